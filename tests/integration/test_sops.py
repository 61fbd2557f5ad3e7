# Copyright (c) 2026, platform.cluster_secrets contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values from a file that the real sops encrypted, with age. The matrix has the programs (``make matrix``)."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from support import CANARY, leaked

from controlplane import values

pytestmark = pytest.mark.skipif(
    not (shutil.which("sops") and shutil.which("age-keygen")), reason="sops and age-keygen are not on the PATH"
)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """(the file of an age identity, its recipient)."""
    path = tmp_path_factory.mktemp("age") / "key.txt"
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    return path, re.search(r"age1\w+", path.read_text())[0]


def encrypted(given, key, folder):
    """The file of values, encrypted."""
    path = folder / "values.sops.yml"
    argv = ["sops", "encrypt", "--age", key[1], "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin"]
    done = subprocess.run(argv, input=yaml.safe_dump(given), text=True, check=True, capture_output=True)
    assert leaked(done.stdout) == []
    path.write_text(done.stdout)
    return path


def test_bootstrap_and_rotate_from_a_file_of_sops(bootstrapped, key, tmp_path):
    given = values.read_vault(bootstrapped.vault, bootstrapped.password)
    before = given["cloudflare-api-token"]
    environment = {"SOPS_AGE_KEY_FILE": str(key[0])}

    def play(name, *arguments, **more):
        path = encrypted(given, key, tmp_path)
        variables = {"cluster_secrets_values_from": "sops", "cluster_secrets_values_file": str(path)}
        done = bootstrapped.play(name, *arguments, variables=variables, **{**environment, **more})
        assert leaked(done.output) == []
        return done

    bootstrapped.play("bootstrap")
    assert play("bootstrap").recap["changed"] == 0
    given["cloudflare-api-token"] = {"api-token": f"{CANARY}-from-sops"}
    play("rotate", "-vvvv", "--diff")
    assert bootstrapped.data("cert-manager", "cloudflare-api-token") == given["cloudflare-api-token"]
    given["cloudflare-api-token"] = before
    assert play("rotate").recap["changed"] > 0


def test_a_file_without_its_key_is_an_error_that_writes_nothing(bootstrapped, key, tmp_path):
    path = encrypted(values.read_vault(bootstrapped.vault, bootstrapped.password), key, tmp_path)
    variables = {"cluster_secrets_values_from": "sops", "cluster_secrets_values_file": str(path)}
    mark = bootstrapped.mark()
    failed = bootstrapped.play("bootstrap", variables=variables, check=False, SOPS_AGE_KEY_FILE=str(tmp_path / "none"))
    assert failed.rc == 2 and "values.sops.yml" in failed.output and leaked(failed.output) == []
    assert bootstrapped.writes(mark) == []


def test_the_catalog_is_checked_with_them_from_any_folder(bootstrapped, key, tmp_path):
    encrypted({}, key, tmp_path)
    argv = ["ansible-playbook", "platform.cluster_secrets.validate", "-e", "cluster_secrets_values_from=sops"]
    done = subprocess.run(
        [*argv, "-e", "cluster_secrets_values_file=values.sops.yml"],
        cwd=tmp_path,
        env={**bootstrapped.environment, "SOPS_AGE_KEY_FILE": str(key[0])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "source 'github-pat' has no values" in done.stdout, done.stdout + done.stderr
