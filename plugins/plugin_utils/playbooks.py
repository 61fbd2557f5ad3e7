# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks and the variables that they have beside those of the roles, as data.

Variables are checked by it, and docs/reference.md is made of it.
"""

from __future__ import annotations

from typing import Any, Dict

_Variables = Dict[str, Dict[str, Any]]


def _of(kind: str, description: str, default: str = "", **more: Any) -> dict[str, Any]:
    """A variable: its type, what it says, and the default as people write it."""
    return {"type": kind, "description": description, "default": default, **more}


#: What several of them have. Only plays over several clusters at a time have the second.
HOSTS: _Variables = {"cluster_secrets_hosts": _of("str", "the hosts of the play, one for each cluster", "localhost")}
SERIAL: _Variables = {"cluster_secrets_serial": _of("raw", "how many clusters at a time, as a play's serial", "100%")}

_UPGRADE: _Variables = {
    "cluster_secrets_upgrade_cronjobs": _of(
        "list", "CronJobs to suspend during the upgrade, each {namespace, name}", "[]", elements="dict"
    ),
}
_BEFORE: _Variables = {
    "cluster_secrets_upgrade_etcd_check": _of("list", "a command that fails unless there is a snapshot of etcd"),
}
_COMMAND = _of("list", "the program, with the arguments common to all calls", "[talosctl]")
_ARGUMENTS = _of(
    "dict",
    "lists of arguments: upgrade and reboot (of staged nodes) for the commands of these names, stage for those that "
    "keep an upgrade from rebooting, kubernetes for upgrade-k8s",
    "upgrade [--wait], stage [--no-reboot], reboot [--drain, --wait], kubernetes []",
    options={name: {"type": "list", "elements": "str"} for name in ("upgrade", "stage", "reboot", "kubernetes")},
)


#: What each playbook does, and its own variables.
PLAYBOOKS: dict[str, tuple[str, _Variables]] = {
    "init": (
        "Writes an inventory, a catalog and encrypted values to begin with. It asks for what isn't given.",
        {
            "cluster_secrets_dest": _of("str", "the folder", "."),
            "cluster_secrets_init_secrets": _of("list", "the Secrets, each {name, keys, namespaces}", elements="dict"),
            "cluster_secrets_secret": _of("str", "the name of one Secret", "example"),
            "cluster_secrets_init_keys": _of("raw", "its keys, as a list or separated by commas", "username,password"),
            "cluster_secrets_namespace": _of("raw", "the namespaces that get it", "demo"),
            "cluster_secrets_init_values": _of(
                "dict", "values, {NAME: {KEY: VALUE}}; others are generated", "asked for"
            ),
            "cluster_secrets_init_cluster": _of(
                "dict", "connection variables for the inventory", "the context that is asked for"
            ),
            "cluster_secrets_force": _of("bool", "replace existing files", "false"),
        },
    ),
    "validate": (
        "Checks the catalog, and the values against it, without a cluster.",
        {"cluster_secrets_validate_values": _of("bool", "check the values, too", "true")},
    ),
    "bootstrap": ("Sets up everything, from ESO to the Secrets in the namespaces.", SERIAL),
    "status": (
        "Shows the state of every namespace/secret pair; fails unless all are synced, their chains are intact and "
        "nothing in their sources has expired. Of several clusters, shows how many are synced in each, and fails as "
        "well if their values differ.",
        {
            "cluster_secrets_namespace": _of("raw", "only these namespaces, as a list or separated by commas"),
            "cluster_secrets_secret": _of("raw", "only these Secrets, likewise"),
            "cluster_secrets_unsynced": _of("bool", "list only unsynced pairs", "false"),
            "cluster_secrets_report": _of(
                "raw", "where to write a page (.html) or JSON (.json), as a list or with commas"
            ),
            "cluster_secrets_may_differ": _of("list", "sources whose values may differ between clusters", "[]"),
        },
    ),
    "explain": (
        "Follows the chain from the source to the pods of one namespace, and reports where it breaks.",
        {
            "cluster_secrets_namespace": _of("raw", "the namespace", required=True),
            "cluster_secrets_secret": _of("raw", "the Secret", required=True),
        },
    ),
    "audit": (
        "Looks for hand-made Secrets, drift, leftovers, wide permissions, values that are due and a vulnerable ESO.",
        {
            "cluster_secrets_report": _of(
                "raw",
                "where to write a page (.html), JSON (.json), JUnit XML (.xml) or OpenMetrics (.prom), a list or with "
                "commas",
            ),
            "cluster_secrets_audit_ends_within": _of("int", "how many days before expiry a value is reported", "30"),
            "cluster_secrets_audit_fail_on": _of(
                "str", "what fails the play", "error", choices=["error", "warning", "never"]
            ),
        },
    ),
    "onboard": (
        "Gives one namespace some of the catalog's secrets.",
        {
            "cluster_secrets_namespace": _of("raw", "the namespace", required=True),
            "cluster_secrets_secret": _of("raw", "the entries, as a list or separated by commas", required=True),
        },
    ),
    "offboard": (
        "Removes some of the catalog's secrets from one namespace, with the finalizers that ESO would leave.",
        {
            "cluster_secrets_namespace": _of("raw", "the namespace", required=True),
            "cluster_secrets_secret": _of("raw", "the entries, as a list or separated by commas", required=True),
        },
    ),
    "rotate": (
        "Distributes changed values to every namespace, and waits until they have arrived. Refuses a cluster without "
        "the store, where nothing would read them.",
        {
            **SERIAL,
            "cluster_secrets_rotate_sources": _of(
                "raw", "only these sources; nothing else is touched", "those that changed"
            ),
        },
    ),
    "adopt": (
        "Generates variables and values from a cluster that was set up without the collection.",
        {
            "cluster_secrets_dest": _of("str", "the folder", ". for localhost, ./HOST for others"),
            "cluster_secrets_force": _of("bool", "replace existing files", "false"),
        },
    ),
    "logs": (
        "Shows the end of ESO's log.",
        {"cluster_secrets_logs_lines": _of("int", "how many lines to show for each pod", "100")},
    ),
    "backup": (
        "Writes the master Secrets to an encrypted file.",
        {
            "cluster_secrets_backup_file": _of("str", "the file", "a new one in cluster_secrets_backup_dir"),
            "cluster_secrets_backup_targets": _of("bool", "include the targets", "false"),
            "cluster_secrets_force": _of("bool", "replace an existing file", "false"),
        },
    ),
    "restore": (
        "Restores the master Secrets from a backup.",
        {
            "cluster_secrets_backup_file": _of("str", "the file", required=True),
            "cluster_secrets_restore_into": _of("str", "the uid of this cluster, for a backup from another"),
            "cluster_secrets_backup_targets": _of("bool", "restore the targets, too", "false"),
            "cluster_secrets_restore_verify": _of(
                "bool", "refresh what reads the restored Secrets, and wait for it", "true"
            ),
        },
    ),
    "render": (
        "Writes the catalog's objects as files for Argo CD or Flux, without values.",
        {
            "cluster_secrets_dest": _of(
                "str", "the folder", "cluster-secrets for localhost, cluster-secrets/HOST for others"
            ),
            "cluster_secrets_render_format": _of(
                "str", "the format of the files", "kustomize", choices=["plain", "kustomize"]
            ),
        },
    ),
    "eso_upgrade": (
        "Upgrades ESO to another release, one minor release at a time, and stores all of its objects as v1.",
        {**SERIAL, "cluster_secrets_eso_store_only": _of("bool", "only store the objects, upgrade nothing", "false")},
    ),
    "talos_upgrade_pre": (
        "Run before nodes are upgraded: checks whether to continue, and takes a snapshot.",
        {**_UPGRADE, **_BEFORE},
    ),
    "talos_upgrade_gate": ("Run between two nodes: checks whether to continue.", {}),
    "talos_upgrade_post": ("Run after the last node: checks whether anything was lost.", _UPGRADE),
    "talos_upgrade": (
        "Upgrades the nodes, the control plane one by one, then the workers.",
        {
            **SERIAL,
            "cluster_secrets_talos_nodes": _of(
                "list", "the nodes, each {name, address}", elements="dict", required=True
            ),
            "cluster_secrets_talos_command": _COMMAND,
            "cluster_secrets_talos_timeout": _of("int", "seconds within which a node must be back", "1800"),
            "cluster_secrets_talos_image": _of("str", "the installer image", required=True),
            "cluster_secrets_talos_version": _of(
                "str", "the version that nodes should run, unless the image's tag says it"
            ),
            "cluster_secrets_talos_schematic": _of("str", "the schematic that nodes are to run", "any"),
            "cluster_secrets_talos_workers": _of("int", "how many workers to upgrade at the same time", "1"),
            "cluster_secrets_talos_check": _of(
                "list", "one or more commands to run before and after each control plane node"
            ),
            "cluster_secrets_talos_stage": _of("bool", "install only; the next run without it reboots", "false"),
            "cluster_secrets_talos_arguments": _ARGUMENTS,
            **_UPGRADE,
            **_BEFORE,
        },
    ),
    "talos_upgrade_kubernetes": (
        "Upgrades Kubernetes on Talos.",
        {
            **SERIAL,
            "cluster_secrets_talos_nodes": _of(
                "list", "nodes, each {name, address}; the address of the first is used", elements="dict", required=True
            ),
            "cluster_secrets_talos_command": _COMMAND,
            "cluster_secrets_talos_timeout": _of(
                "int", "seconds to wait for the API server and the kubelets, once talosctl has ended", "1800"
            ),
            "cluster_secrets_talos_kubernetes": _of("str", "the version", required=True),
            "cluster_secrets_talos_arguments": _ARGUMENTS,
            "cluster_secrets_talos_kubernetes_accept": _of(
                "list", "removed: APIs in use that will be gone; kubelet: kubelets that are too old", "[]"
            ),
            **_UPGRADE,
            **_BEFORE,
        },
    ),
    "teardown": (
        "Removes what the collection created or took over and nobody else uses.",
        {
            "cluster_secrets_teardown_confirmed": _of("bool", "the confirmation where nobody can be asked", "false"),
            "cluster_secrets_teardown_eso": _of("bool", "uninstall ESO, too", "false"),
        },
    ),
}


def variables() -> _Variables:
    """All variables of the playbooks, by name."""
    by_name = dict(HOSTS)
    for _text, own in PLAYBOOKS.values():
        by_name.update(own)
    return by_name
