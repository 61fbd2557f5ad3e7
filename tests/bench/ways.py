# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways that the benchmark compares, as plays and templates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LABEL, ENTRY, SOURCE, STORE = "secrets/bench", "bench", "bench-source", "central-secret-store"
LOOP, TEMPLATE, OURS, RAW_PLAY, RAW = "k8s loop", "k8s template", "ours", "raw in a play", "raw HTTP"
#: Seeding as in "ours", with entries and values from a file of variables, which Ansible reads and not the task.
VARIABLES = "ours, -e"
#: A rotation as in "ours", by a controller with the limits that its chart gives it.
CHART = "ours, chart's"
#: Seeding as in "raw in a play", by server-side apply, so that what others wrote stays; the others create or patch.
APPLY = "raw, applying"
WAYS = (LOOP, TEMPLATE, CHART, VARIABLES, OURS, APPLY, RAW_PLAY, RAW)
#: The loop takes about a second for each object, so it is measured at this size only.
LOOP_SIZE = 20
#: The most targets that a rotation is measured with; the usual way takes minutes with more.
ROTATED = 2000
WORKLOADS = ("label, changed", "label, unchanged", "seed, changed", "seed, unchanged", "rotate")

#: Beside the plays: the entries of "ours seed" as JSON, its values encrypted, and the password.
ENTRIES, VALUES, PASSWORD = "entries.json", "values.vault.yml", "password"

PLAYS: dict[str, Any] = {
    "empty": [],
    # The floor with what every play pays, so that an empty play can be taken from both.
    "raw": [{"ansible.builtin.command": {"argv": [sys.executable, str(HERE / "raw.py"), "{{ verb }}", "{{ job }}"]}}],
    "ours label": [{"platform.cluster_secrets.namespace_labels": {"catalog": "{{ catalog }}", "missing": "fail"}}],
    "ours seed": [
        {
            "platform.cluster_secrets.central_secrets": {
                "catalog": f"{{{{ lookup('ansible.builtin.file', playbook_dir ~ '/{ENTRIES}') | from_json }}}}",
                "values": f"{{{{ lookup('platform.cluster_secrets.values_file', playbook_dir ~ '/{VALUES}') }}}}",
            },
            "vars": {"ansible_pipelining": True},
        }
    ],
    "variables seed": [
        {
            "platform.cluster_secrets.central_secrets": {"catalog": "{{ seeds }}", "values": "{{ values }}"},
            "vars": {"ansible_pipelining": True},
        }
    ],
    "ours rotate": [
        {
            "platform.cluster_secrets.central_secrets": {"catalog": "{{ catalog }}", "values": "{{ rotated }}"},
            "vars": {"ansible_pipelining": True},
            "register": "seeded",
        },
        {
            "platform.cluster_secrets.sync": {
                "catalog": "{{ catalog }}",
                "changed_sources": "{{ seeded.changed_sources }}",
                "wait_timeout": 900,
            }
        },
    ],
    "loop label": [
        {
            "kubernetes.core.k8s": {
                "definition": {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": "{{ item }}", "labels": {LABEL: "true"}},
                }
            },
            "loop": "{{ catalog[0].namespaces }}",
        }
    ],
    "loop seed": [
        {
            "kubernetes.core.k8s": {
                "definition": {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": "{{ item.key }}", "namespace": STORE},
                    "data": {"key": "{{ item.value.key | b64encode }}"},
                }
            },
            "loop": "{{ values | dict2items }}",
            "no_log": True,
        }
    ],
    "template label": [{"kubernetes.core.k8s": {"template": "label.yml.j2"}}],
    "template seed": [{"kubernetes.core.k8s": {"template": "seed.yml.j2"}, "no_log": True}],
}
_SOURCE = {
    "kubernetes.core.k8s": {
        "definition": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SOURCE, "namespace": STORE},
            "data": {"key": "{{ rotated[source].key | b64encode }}"},
        }
    },
    "no_log": True,
}
# What its users do today: touch each ExternalSecret, then look until all Secrets have changed.
_WAIT = {
    "kubernetes.core.k8s_info": {"kind": "Secret", "label_selectors": ["reconcile.external-secrets.io/managed=true"]},
    "register": "found",
    "until": "found.resources | map(attribute='data.KEY') | select('equalto', rotated[source].key | b64encode) | "
    "length == catalog[0].namespaces | length",
    "retries": "{{ [30, catalog[0].namespaces | length // 40] | max }}",
    "delay": 1,
    "no_log": True,
}
_TOUCH = {
    "apiVersion": "external-secrets.io/v1",
    "kind": "ExternalSecret",
    "metadata": {"name": ENTRY, "namespace": "{{ item }}", "annotations": {"force-sync": "{{ stamp }}"}},
}
PLAYS["loop rotate"] = [
    _SOURCE,
    {"kubernetes.core.k8s": {"definition": _TOUCH}, "loop": "{{ catalog[0].namespaces }}"},
    _WAIT,
]
PLAYS["template rotate"] = [_SOURCE, {"kubernetes.core.k8s": {"template": "rotate.yml.j2"}}, _WAIT]

TEMPLATES = {
    "label.yml.j2": (
        "{% for name in catalog[0].namespaces %}\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n"
        "  name: {{ name }}\n  labels: {'" + LABEL + "': 'true'}\n{% endfor %}\n"
    ),
    "seed.yml.j2": (
        "{% for item in values | dict2items %}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n"
        "  name: {{ item.key }}\n  namespace: "
        + STORE
        + "\ndata:\n  key: {{ item.value.key | b64encode }}\n{% endfor %}\n"
    ),
    "rotate.yml.j2": (
        "{% for name in catalog[0].namespaces %}\n---\napiVersion: external-secrets.io/v1\nkind: "
        "ExternalSecret\nmetadata:\n"
        "  name: " + ENTRY + "\n  namespace: {{ name }}\n  annotations: {force-sync: '{{ stamp }}'}\n{% endfor %}\n"
    ),
}
