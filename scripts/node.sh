#!/bin/sh
# Runs its arguments with Node 24 or later: the one that npm installed with the project, else the one on PATH.
set -eu
self=$(readlink -f -- "$0")
root=${self%/scripts/*}
for own in "$root"/node_modules/node-linux-*/bin/node; do
  if [ -x "$own" ]; then exec "$own" "$@"; fi
done
if command -v node >/dev/null 2>&1; then
  version=$(node --version)
  major=${version#v}
  if [ "${major%%.*}" -ge 24 ]; then exec node "$@"; fi
fi
echo "appshot: Node 24 or later is needed, ${version:-none} was found; in a checkout, 'npm run setup' installs it" >&2
exit 1
