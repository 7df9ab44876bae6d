# Two guests create, rename, list and remove many small files at once; all see the same tree.
. /rig/tests/lib.sh
files=${SMALL_FILES:-200}
export RIG_GUEST_SECONDS=${LONG_SECONDS:-500}
serve
mount_guest 1 && mount_guest 2 || exit 1
mkdir -p /srv/export/small
requests() { counter requests_total; }
processor_time() { cut -d' ' -f14,15 /proc/$daemon/stat | tr ' ' + | sed 's/.*/echo $((&))/' | sh; } # in 1/100 s
own_time='awk "{print \"its mount computed \" (\$14 + \$15) / 100 \" s\"}" /proc/$(pidof xenfs-mount)/stat'
chmod 755 /srv/export/small
before="$(requests) $(processor_time)"
started=$(cut -d. -f1 /proc/uptime)
workers=""
for number in 1 2; do
    rig-guest $number "xenfs-small-files /mnt/small guest$number $files && $own_time" >/tmp/small$number 2>&1 &
    workers="$workers $!"
done
for worker in $workers; do
    wait $worker || failed "a guest's work: $(cat /tmp/small1 /tmp/small2)"
done
echo "$before $(requests) $(processor_time) $(($(cut -d. -f1 /proc/uptime) - started))" |
    awk '{printf "%d requests in %d s, of which xenfsd computed %.1f s\n", $3 - $1, $5, ($4 - $2) / 100}'
cat /tmp/small1 /tmp/small2
tree='cd $TREE/small && find . | sort | md5sum; find . -type f | sort | xargs cat | md5sum; find . -type f | wc -l'
one=$(rig-guest 1 "TREE=/mnt; $tree")
two=$(rig-guest 2 "TREE=/mnt; $tree")
check "both guests see the same tree of $(echo "$one" | tail -n 1) files" [ "$one" = "$two" ]
check "none is lost" [ "$(echo "$one" | tail -n 1)" -eq $((2 * (files - files / 4))) ]
unserve
check "dom0's tree is the same" [ "$(TREE=/srv/export; eval "$tree")" = "$one" ]
