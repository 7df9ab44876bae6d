# xenfsd killed in the middle of a load and started again; a guest destroyed while it holds pages.
. /rig/tests/lib.sh
serve
mount_guest 1 && mount_guest 2 || exit 1
rig-guest 1 "md5sum /mnt/big >/dev/null"
# A line is acknowledged when it has been written and fsynced; the other guest only writes.
cat >/srv/export/load.sh <<'LOAD'
number=0
while [ ! -e /tmp/stop ]; do
    number=$((number + 1))
    echo "$number" >>/mnt/log$1 || { echo "write $number: $?"; exit 1; }
    echo $number >/tmp/acknowledged
done
echo "acknowledged $(cat /tmp/acknowledged)"
LOAD
for number in 1 2; do
    rig-guest $number "rm -f /tmp/stop; (sh /mnt/load.sh $number >/tmp/load 2>&1 &)"
done
# Waits, for a minute at most, until guest N has acknowledged more than M lines.
past() {
    tries=0
    while at=$(rig-guest $1 'cat /tmp/acknowledged 2>/dev/null'); [ "${at:-0}" -le $2 ]; do # empty: just being written
        tries=$((tries + 1))
        [ $tries -gt 60 ] && return 1
        sleep 1
    done
}
past 1 5 && past 2 5
kill -9 $daemon
before=$(disk_reads)
serve
at1=$(rig-guest 1 "cat /tmp/acknowledged")
at2=$(rig-guest 2 "cat /tmp/acknowledged")
check "guest1 goes on writing after xenfsd was killed and started again" past 1 $((at1 + 3))
check "guest2 goes on writing" past 2 $((at2 + 3))
for number in 1 2; do
    rig-guest $number "touch /tmp/stop; n=0
        until grep -q . /tmp/load || [ \$n -gt 100 ]; do n=\$((n + 1)); usleep 200000; done; cat /tmp/load" >/tmp/load$number
done
tail -n 1 /tmp/load1 /tmp/load2
for number in 1 2; do
    acknowledged=$(sed -n 's/acknowledged //p' /tmp/load$number)
    [ -n "$acknowledged" ] || { failed "guest$number's writer ended badly: $(tail -n 1 /tmp/load$number)"; tail -n 20 /tmp/xenfsd.log; continue; }
    seen=$(rig-guest $((3 - number)) "tail -n 1 /mnt/log$number; wc -l </mnt/log$number" | tr '\n' ' ')
    check "no acknowledged write of guest$number was lost ($acknowledged)" [ "$seen" = "$acknowledged $acknowledged " ]
done
rig-guest 2 "md5sum /mnt/big >/dev/null"
after=$(disk_reads)
echo "pages read from the disk since the kill: $((after - before))"
check "the cache is still warm" [ $((after - before)) -lt 256 ]
grep -E 'recover|level=(warn|error)' /tmp/xenfsd.log | tail -n 5

xl destroy guest1
check "guest2 notices nothing of guest1's end" rig-guest 2 "cd /mnt && echo more >>log2 && grep big stable-sums | md5sum -c >/dev/null"
rig-boot 1
mount_guest 1
check "guest1 mounts again" rig-guest 1 "cd /mnt && grep big stable-sums | md5sum -c >/dev/null"
unserve
