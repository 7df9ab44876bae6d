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
    [ $code -ne 0 ] && echo "FAILED: $name ended with $code"
done </rig/order
exit 0
