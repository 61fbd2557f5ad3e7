# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program helm, and whether kubernetes.core can drive it."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Tuple

from ansible.module_utils.common.process import get_bin_path

if TYPE_CHECKING:
    from .live.release import Record

#: The first release of kubernetes.core that drives helm 4 to the end: older ones install, and then fail.
DRIVES_HELM_4 = (6, 5)

_Version = Tuple[int, ...]


def problem(binary: str | None) -> str | None:
    """What is to be done before helm can be used, or None.

    :arg binary: the program's path; the one on the PATH, unless given.
    """
    try:
        path = get_bin_path(binary or "helm")
    except ValueError:
        return (
            "%s was not found, and it is needed to install External Secrets. Install helm, name it in "
            "'cluster_secrets_eso_helm_binary', or set 'cluster_secrets_eso_method: existing'. Nothing was changed."
            % (binary or "the program helm")
        )
    try:
        number = version(path)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "%s can't be run (%s). Name another in 'cluster_secrets_eso_helm_binary'. Nothing was changed." % (
            path,
            type(error).__name__,
        )
    return refusal(path, number, driver())


def version(binary: str | None) -> _Version | None:
    """The release of a program helm, or None. Raises OSError or TimeoutExpired for one that can't be run."""
    done = subprocess.run(  # pylint: disable=ansible-bad-function  # it is no module's
        [binary or "helm", "version", "--template", "{{.Version}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return parsed(done.stdout)


def merges(binary: str | None, record: Record | None) -> bool:
    """Whether a program helm has the API server merge the objects of a release, and so can be refused others' fields.

    helm 4 does with those that it installed itself.

    :arg record: helm's own of the release, or None.
    """
    if record is None or not record.server_side:
        return False
    try:
        return (version(binary) or (0,))[0] >= 4
    except (OSError, subprocess.TimeoutExpired):
        return False


def template(
    binary: str | None,
    release: str,
    namespace: str,
    chart: list[str],
    values: dict[str, Any],
    kubernetes: str,
    versions: list[str],
) -> subprocess.CompletedProcess[str]:
    """Render a chart as helm would for a cluster; its output may hold passwords, as values may. Raises OSError.

    :arg chart: the chart and, if it comes from a repository, '--repo' and '--version'; :arg values: go through a pipe;
        :arg kubernetes: the server's version; :arg versions: what it serves.
    """
    argv = [binary or "helm", "template", release, *chart, "--values", "-", "--namespace", namespace]
    argv += ["--kube-version", kubernetes, "--api-versions", ",".join(versions)]
    return subprocess.run(  # pylint: disable=ansible-bad-function  # run_command would log what it says
        argv, input=json.dumps(values), capture_output=True, text=True, check=False
    )


def refusal(path: str, helm: _Version | None, kubernetes_core: _Version | None) -> str | None:
    """Why a release of helm can't be driven by one of kubernetes.core; None if it can, or if one is not known."""
    if helm is None or kubernetes_core is None or helm[0] < 4 or kubernetes_core >= DRIVES_HELM_4:
        return None
    return (
        "helm %s (%s) needs kubernetes.core %s or newer, and %s is installed. Run 'ansible-galaxy collection install "
        "--upgrade kubernetes.core', or name a helm 3 in 'cluster_secrets_eso_helm_binary'. Nothing was changed."
        % (_text(helm), path, _text(DRIVES_HELM_4), _text(kubernetes_core))
    )


def parsed(version: str) -> _Version | None:
    """A version as numbers, such as (4, 0, 1) for 'v4.0.1'; None for anything else."""
    match = re.match(r"\s*v?([0-9]+(?:\.[0-9]+)+)", version)
    return tuple(int(number) for number in match[1].split(".")) if match else None


def _text(version: _Version) -> str:
    return ".".join(map(str, version))


def driver() -> _Version | None:
    """The installed release of kubernetes.core; None where it can't be told, as on another machine."""
    try:
        package = import_module("ansible_collections.kubernetes.core")
    except ImportError:
        return None
    for folder in package.__path__:
        try:
            said = json.loads((Path(folder) / "MANIFEST.json").read_text(encoding="utf-8"))
            return parsed(said["collection_info"]["version"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
