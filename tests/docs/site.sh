#!/usr/bin/env bash
# Build the documentation site: the collection as installed, its guides and the notes below docs/.
# A warning is an error. The first argument is a folder for what is built.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$1
rm -rf "$work"
mkdir -p "$work/rst/notes"
cp "$root/docs/docsite/conf.py" "$root/docs/docsite/ansible.rst" "$work/rst/"
cp -r "$root"/docs/*.md "$root/docs/permissions.yml" "$root/docs/catalog.schema.json" "$root/docs/images" "$work/rst/notes/"
antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --no-add-antsibull-docs-version \
  --dest-dir "$work/rst" platform.cluster_secrets >"$work/antsibull.log" 2>&1 || { cat "$work/antsibull.log"; exit 1; }
{
  printf '\n.. toctree::\n   :maxdepth: 1\n   :caption: Notes\n\n'
  for note in "$root"/docs/*.md; do printf '   notes/%s\n' "$(basename "$note" .md)"; done
} >>"$work/rst/index.rst"
sphinx-build -q -n -W --keep-going -b html "$work/rst" "$work/html"
echo "built $work/html/index.html"
