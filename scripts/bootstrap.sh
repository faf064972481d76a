#!/bin/sh
# Brings a fresh checkout to where the demo and the tests run: the npm packages, then everything else that `appshot setup` does.
# The second time it only compares a checksum and asks set-up, which finds nothing to do.
set -eu
self=$(readlink -f -- "$0")
root=${self%/scripts/*}
cd "$root"
stamp=node_modules/.appshot-stamp

# Two at once would remove each other's node_modules.
exec 9<package-lock.json
flock 9
wanted=$(sha256sum <package-lock.json)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  if ! command -v npm >/dev/null 2>&1; then
    echo "appshot: npm is needed to install the project's packages; install Node with npm" >&2
    exit 1
  fi
  echo "installing npm packages" >&2
  # Some packages say that they want a newer Node than the one that runs npm; they run with the Node installed here.
  if ! npm ci --no-audit --no-fund --loglevel=error --engine-strict=false >&2; then
    echo "appshot: npm ci failed; mend what it says above and run this again" >&2
    exit 1
  fi
  echo "$wanted" >"$stamp"
fi
exec 9<&-

exec sh bin/appshot setup --testing
