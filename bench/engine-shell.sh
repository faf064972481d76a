#!/bin/sh
# engine-shell.sh ROOT, in a mount namespace of its own: runs the commands that it reads, one a line, and prints `exit CODE` after each.
# A command's start here costs a fork of a small shell: less than anything that Node could start, so the engine alone is timed.
set -eu
# CRIU keeps what it found out about the kernel on a tmpfs here; without it each start takes tens of milliseconds longer. Images go there too.
mount -t tmpfs tmpfs /run
mount --bind / "$1"
echo "ready $$"
while read -r line; do
  code=0
  # The words are paths and options without spaces.
  # shellcheck disable=SC2086
  $line >/dev/null 2>&1 || code=$?
  echo "exit $code"
done
