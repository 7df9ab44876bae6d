#!/bin/sh
# rig-guest N COMMAND…: runs a command in guest N, prints the end of what it prints, exits as it does.
name=guest$1
shift
id=$(xl domid "$name") || exit 125
base=/local/domain/$id/data
number=$(($(xenstore read $base/rig-number 2>/dev/null || echo 0) + 1))
xenstore write $base/rig-command "$*"
xenstore write $base/rig-number $number
tries=0
until [ "$(xenstore read $base/rig-exit 2>/dev/null | cut -d' ' -f1)" = "$number" ]; do
    tries=$((tries + 1))
    [ $tries -gt "${RIG_GUEST_TENTHS:-3000}" ] && { echo "rig-guest: $name does not answer" >&2; exit 124; }
    usleep 100000
done
xenstore read $base/rig-output | base64 -d
exit "$(xenstore read $base/rig-exit | cut -d' ' -f2)"
