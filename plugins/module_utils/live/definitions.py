# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CustomResourceDefinitions as a release of ESO ships them, in files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterator

from .. import files
from ..errors import FileError

if TYPE_CHECKING:
    from ..resources import Object


def read_files(src: str) -> list[Object]:
    """The CustomResourceDefinitions of a file, a URL, or a folder's files that end with .yaml.

    :raises FileError: when one can't be read, or holds anything else.
    """
    import yaml

    definitions = []
    for path in _paths(src):
        text = files.fetch(path, "file with the CRDs")
        try:
            documents = [
                document
                for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                if document
            ]
        except yaml.YAMLError as error:
            raise FileError("'%s' is not valid YAML: %s." % (path, error)) from None
        if not documents or any(
            not isinstance(item, dict) or item.get("kind") != "CustomResourceDefinition" or not _is_whole(item)
            for item in documents
        ):
            raise FileError("'%s' must hold CustomResourceDefinitions and nothing else." % path)
        for item in documents:
            item.pop("status", None)
            # Some releases carry the null timestamp that their generator wrote.
            item["metadata"] = {key: value for key, value in item["metadata"].items() if value is not None}
            definitions.append(item)
    return definitions


def _is_whole(item: Object) -> bool:
    meta, spec = item.get("metadata"), item.get("spec")
    return bool(isinstance(meta, dict) and meta.get("name") and isinstance(spec, dict) and spec.get("versions"))


def _paths(src: str) -> Iterator[str]:
    if "://" in src or not os.path.isdir(src):
        yield src
        return
    names = sorted(name for name in os.listdir(src) if name.endswith((".yaml", ".yml")))
    if not names:
        raise FileError("the folder '%s' holds no file with CRDs." % src)
    for name in names:
        yield os.path.join(src, name)
