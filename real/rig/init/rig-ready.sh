#!/bin/sh
# rig-ready N: waits, for a minute at most, until guest N says that it takes commands.
id=$(xl domid guest$1) || exit 1
tries=0
until [ "$(xenstore read /local/domain/$id/data/rig 2>/dev/null)" = ready ]; do
    tries=$((tries + 1))
    if [ $tries -gt 600 ]; then
        echo "guest$1 does not come up; its console: $(tail -n 3 /var/log/xen/console/guest-guest$1.log)"
        exit 1
    fi
    usleep 100000
done
