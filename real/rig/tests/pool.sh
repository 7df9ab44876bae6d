# Run in dom0 by `./lab xen test`: the pool domain, its grants to two guests, revocation.
ids=""
for number in 1 2; do
    id=$(xl domid guest$number)
    ids="$ids $id"
    for node in refs step seen; do
        xenstore write /local/domain/$id/data/probe/$node ""
        xenstore chmod /local/domain/$id/data/probe/$node n$id
    done
    (rig-guest $number xenfs-probe use || echo "FAILED: guest$number ended with $?") &
done
xenfs-probe serve $ids
result=$?
wait
exit $result
