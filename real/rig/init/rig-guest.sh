#!/bin/sh
# rig-guest N COMMAND…: runs a command in guest N, prints the end of what it prints, exits as it does.
name=guest$1
shift
id=$(xl domid "$name") || exit 125
base=/local/domain/$id/data
number=$(($(xenstore read $base/rig-number 2>/dev/null || echo 0) + 1))
# The first event says that the watch stands, the second that the guest has written.
events=/tmp/rig-guest.$$
mkfifo $events
timeout "${RIG_GUEST_SECONDS:-300}" xenstore watch -n 2 $base/rig-exit >$events &
exec 3<$events
rm $events
read -r _ <&3
# Encoded: xenstore takes no newlines and makes other signs its own.
xenstore write $base/rig-command "$(echo "$*" | base64 | tr -d '\n')"
xenstore write $base/rig-number $number
read -r _ <&3 || { echo "rig-guest: $name does not answer" >&2; exit 124; }
xenstore read $base/rig-output | base64 -d
exit "$(xenstore read $base/rig-exit | cut -d' ' -f2)"
