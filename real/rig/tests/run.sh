# Run in dom0 by `./lab xen test`: each test of /rig/order within its limit. A test prints lines that
# begin with "ok:", "FAILED:" or "skipped:", which the rig outside counts.
while read -r name limit; do
    echo "== $name"
    timeout "$limit" sh "/rig/tests/$name.sh"
    code=$?
    if [ $code -eq 143 ]; then # what it has started still runs: no test after it would be fair
        echo "FAILED: $name did not end within $limit s"
        break
    fi
    [ $code -eq 0 ] && continue
    echo "FAILED: $name ended with $code"
    for number in 1 2; do rig-guest $number "umount -l /mnt 2>/dev/null; kill \$(pidof xenfs-mount) 2>/dev/null"; done
    kill $(pidof xenfsd) 2>/dev/null && sleep 5
done </rig/order
exit 0
