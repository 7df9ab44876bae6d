#!/bin/sh
# rig-boot N: creates guest N from /tmp/guestN.cfg and waits until it is ready for commands.
xl create -q /tmp/guest$1.cfg || { echo "xl create guest$1"; exit 1; }
[ "$2" = created ] && exit 0
exec rig-ready "$1"
