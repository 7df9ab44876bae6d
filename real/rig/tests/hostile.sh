# guest2 attacks the server with a client of its own making while guest1 works.
. /rig/tests/lib.sh
QUOTA_OF_GUEST2=1MiB ACK_TIMEOUT='1 s' serve # who ignores revocations is to be found out within the test
mount_guest 1 || exit 1
await_offer 2 || exit 1
# How many rounds of verified work guest1 does in 20 s.
work='end=$(($(cut -d. -f1 /proc/uptime) + 20)); rounds=0
while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do
    rounds=$((rounds + 1)); echo $rounds >/mnt/honest; [ "$(cat /mnt/honest)" = $rounds ] || { echo wrong; exit 1; }
done
grep big /mnt/stable-sums >/tmp/big && cd /mnt && md5sum -c /tmp/big >/dev/null || { echo wrong; exit 1; }
echo $rounds'
alone=$(rig-guest 1 "$work")
# What a second guest that is as busy takes from the first one is its fair share.
mount_guest 2 || exit 1
rig-guest 2 "$(echo "$work" | sed 's|/mnt/honest|/mnt/neighbour|g')" >/tmp/neighbour &
neighbour=$!
shared=$(rig-guest 1 "$work")
wait $neighbour
rig-guest 2 "umount /mnt"
await_offer 2 || exit 1
rig-guest 2 "xenfs-hostile 256" &
attacker=$!
if command -v xenfsctl >/dev/null; then
    (while [ -e /proc/$attacker ]; do
        xenfsctl metrics | sed -n 's/^xenfs_guest_pinned_bytes{guest="guest2".*} //p'
        sleep 1
    done >/tmp/pinned) &
fi
beside=$(rig-guest 1 "$work")
wait $attacker
check "the attack came to its end" [ $? -eq 0 ]
counters "after the attack"
if [ -s /tmp/pinned ]; then
    check "its pins stayed within its quota, $(sort -n /tmp/pinned | tail -n 1) bytes at most" \
        awk '$1 > 1048576 {exit 1}' /tmp/pinned
fi
echo "guest1's rounds of work in 20 s: $alone alone, $shared beside a guest that works as well ($(tail -n 1 /tmp/neighbour)), $beside beside the attack"
check "guest1's work went on, verified" [ "$beside" -gt 0 ]
check "the attack costs guest1 no more than three times what a working guest does" [ $((beside * 3)) -ge "$shared" ]
check "xenfsd is up" kill -0 $daemon
check "guest1 still writes and reads" [ "$(rig-guest 1 'echo after >/mnt/honest; cat /mnt/honest')" = after ]
grep -E 'level=(warn|error)' /tmp/xenfsd.log | tail -n 5
rig-guest 1 "umount /mnt"
kill $daemon
wait $daemon
check "xenfsd ends in order" [ $? -eq 0 ]
