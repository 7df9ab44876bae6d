# Two programs in two guests have one file in their memory and add to one word of it.
. /rig/tests/lib.sh
times=1000000
dd if=/dev/zero of=/srv/export/counter bs=4096 count=1 2>/dev/null
serve
await_offer 1 && await_offer 2 || exit 1
programs=""
for number in 1 2; do
    rig-guest $number "xenfs-counter counter $times" >/tmp/counter$number 2>&1 &
    programs="$programs $!"
done
wait $programs
tail -n 1 /tmp/counter1 /tmp/counter2
for number in 1 2; do
    check "guest$number saw the right sum of two times $times atomic additions" [ "$(tail -n 1 /tmp/counter$number)" = $((2 * times)) ]
done
kill $daemon
wait $daemon
check "and it is in dom0's tree" [ "$(od -A n -t u8 -N 8 /srv/export/counter | tr -d ' ')" = $((2 * times)) ]
