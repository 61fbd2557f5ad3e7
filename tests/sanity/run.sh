#!/usr/bin/env bash
# ansible-test sanity without containers, in the installed collection: all of its tests but those for
# files that a collection of this kind does not have (PowerShell: pslint, validate of .ps1; the other
# left-out ones are of ansible-core's own repository), and mypy, which the Makefile runs itself, with
# the collection's own settings.
set -euo pipefail
collection=$1
cd "$collection"
tests=(action-plugin-docs ansible-doc changelog compile empty-init ignores line-endings no-assert no-get-exception
  no-illegal-filenames no-smart-quotes replace-urlopen runtime-metadata shebang symlinks use-argspec-type-path
  use-compat-six validate-modules yamllint pep8 import pylint shellcheck)
# ansible-test fetches pip's bootstrap script from a host of its own; Python's own ensurepip does the same.
export HOME=${2:?a folder for what ansible-test installs}
pip=$(python3 - <<'PYTHON'
import pathlib
import re

import ansible_test

text = (pathlib.Path(ansible_test.__file__).parent / "_internal/python_requirements.py").read_text()
print(re.search(r"pip='([0-9.]+)'", text)[1].replace(".", "_"))
PYTHON
)
bootstrap=$HOME/.ansible/test/cache/get_pip_$pip.py
mkdir -p "$(dirname "$bootstrap")"
cat >"$bootstrap" <<'PYTHON'
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *arguments]))
PYTHON
# It also hides pip's variables (a proxy's certificate, an index) from pip; a configuration file gets through.
mkdir -p "$HOME/.config/pip"
python3 - >"$HOME/.config/pip/pip.conf" <<'PYTHON'
import os

print("[global]")
for key, value in sorted(os.environ.items()):
    if key.startswith("PIP_") and key not in ("PIP_CONFIG_FILE", "PIP_REQUIRE_VIRTUALENV"):
        print(key[len("PIP_"):].lower().replace("_", "-"), "=", value)
PYTHON
export LC_ALL=C.UTF-8
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
arguments=()
for name in "${tests[@]}"; do arguments+=(--test "$name"); done
echo "ansible-test sanity (${#tests[@]} tests, Python $python)"
log=$HOME/sanity.log
if ! ansible-test sanity --color no --python "$python" "${arguments[@]}" >"$log" 2>&1; then
  grep -E '^(ERROR|FATAL|See documentation)' "$log" || cat "$log"
  exit 1
fi
