#!/bin/sh
# attach.sh NETNS BRIDGE LINK ADDRESS COMMAND...: gives the new network namespace that it runs in a veth, whose other end LINK is a port of
# BRIDGE in the namespace named NETNS, and the address (with its prefix length); joins control groups by the files in CGROUPS; executes the command.
set -eu
netns=$1 bridge=$2 link=$3 address=$4
shift 4
for members in ${CGROUPS:-}; do echo $$ >"$members"; done
ip link add eth0 type veth peer name "$link" netns "$netns"
ip -n "$netns" link set "$link" master "$bridge" up
ip link set lo up
ip address add "$address" dev eth0
ip link set eth0 up
exec "$@"
