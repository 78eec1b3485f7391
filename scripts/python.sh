#!/bin/sh
# Makes .tools/venv with the Python packages that the tests use, pinned by hash in
# tests/requirements.txt; does nothing when it is there and of the same list.
set -eu
cd "$(dirname "$0")/.."

list=tests/requirements.txt
venv=.tools/venv
[ -f "$venv/requirements.txt" ] && cmp -s "$list" "$venv/requirements.txt" && exit 0

command -v python3 >/dev/null || {
  echo "python3 is missing: the tests of the Python OpenFeature provider need 3.10 or newer, with its module venv" >&2
  exit 1
}
echo "==> installing the tests' Python packages into $venv"
rm -rf "$venv"
python3 -m venv "$venv" || {
  echo "python3 cannot make a virtual environment: install your system's package \`python3-venv\`" >&2
  exit 1
}
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$list"
cp "$list" "$venv/requirements.txt"
