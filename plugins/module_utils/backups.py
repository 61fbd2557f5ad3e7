# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and read backups of Secrets, encrypted before they touch the disk."""

from __future__ import annotations

import datetime
import json
import os
import re
import secrets
from typing import TYPE_CHECKING, Any, List, Tuple

from . import files
from .errors import FileError
from .resources import Object
from .takeover import backup

if TYPE_CHECKING:
    from .module import Context, Vault

#: What a run calls the backups that it takes by itself.
AUTOMATIC = "cluster-secrets-%%s-%Y%m%dT%H%M%S.%fZ.vault.yml"


def beside(path: str) -> str:
    """The path of the digests that belong to a backup."""
    return path + ".digests.json"


def automatic(folder: str, server: str) -> str:
    """The path of a backup that is taken now; that of no other ``server``, the API's URL, is the same."""
    place = re.sub(r"[^A-Za-z0-9.-]+", "-", server.partition("://")[2]).strip("-.")
    return os.path.join(folder, datetime.datetime.now(datetime.timezone.utc).strftime(AUTOMATIC) % place)


def write(
    vault: Vault, path: str, live: List[Object], cluster: Tuple[str, str], force: bool = False, dry: bool = False
) -> bool:
    """Write a backup of live Secrets and the digests beside it; the result says whether it was (would be) written.

    A file that holds the same already is left alone.

    :arg cluster: as live.snapshot.identity() returns it; :arg dry: only say whether.
    :raises FileError: when the file holds something else and ``force`` is not set, or can't be written.
    """
    kept = backup.kept(live)
    if os.path.exists(path):
        try:
            before = read(vault, path)["secrets"]
        except FileError:
            # A run that was stopped may have left one that is not whole.
            if not force:
                raise
            before = None
        if before == kept:
            return False
        if not force:
            raise FileError(
                "the file '%s' is there and holds other Secrets. Name another one, or set 'force: true' (in the "
                "playbook, cluster_secrets_force)." % path
            )
    if dry:
        vault.encrypt("", "backup")  # a run would need the password
        return True
    files.make_folder(os.path.dirname(path), 0o700)
    taken = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    salt = secrets.token_hex(32)
    encrypted = vault.encrypt(backup.document(kept, backup.keys_of_ours(live), taken, cluster, salt), "backup")
    # The digests first: a backup is only there once all of it is.
    files.write(beside(path), backup.digests(kept, taken, cluster[1], salt), "digests", private=True)
    files.write(path, encrypted, "backup", private=True)
    return True


def save(context: Context, live: List[Object], cluster: Tuple[str, str], dry: bool = False) -> str | None:
    """Back up live Secrets before they change, in the task's ``backup_dir``: the path, or None in check mode.

    :arg cluster: as live.snapshot.identity() returns it; :arg dry: only see to it that one could be written.
    """
    refuse_passing(context.params["backup_dir"])
    path = automatic(context.params["backup_dir"], context.client.server)
    dry = dry or context.check_mode
    write(context.vault, path, live, cluster, dry=dry)
    return None if dry else path


def is_passing(folder: str) -> bool:
    """Whether AWX removes a folder when the job ends. ansible-runner's own is its user's to keep."""
    of_job = os.environ.get("AWX_ISOLATED_DATA_DIR")
    if not of_job or "AWX_HOST" not in os.environ:
        return False
    path, of_job = os.path.realpath(folder), os.path.realpath(of_job)
    return os.path.commonpath([path, of_job]) == of_job


def refuse_passing(folder: str, named: str = "'backup_dir' (the variable cluster_secrets_backup_dir)") -> None:
    """Raise FileError for a folder that AWX removes with the job: the backup may be the only copy.

    :arg named: what names the folder.
    """
    if is_passing(folder):
        raise FileError(
            "the backup would be lost: '%s' is in the job's own folder, which AWX removes when the job ends. Set %s to "
            "a place that is mounted into the execution environment." % (folder, named)
        )


def read(vault: Vault, path: str) -> dict[str, Any]:
    """The content of a backup; see backup.parse(). Raises FileError when it is not whole."""
    content = backup.parse(vault.decrypt(files.read(path, "backup"), "backup '%s'" % path), path)
    try:
        listed = json.loads(files.read(beside(path), "digests"))
    except ValueError:
        listed = None
    damaged = backup.unlike(content, listed)
    if damaged:
        raise FileError("the digests '%s' don't fit the backup: %s." % (beside(path), ", ".join(damaged[:5])))
    return content
