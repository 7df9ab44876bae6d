# The suite of sim/conformance over real Xen: dom0 serves, two guests map. A case that destroys a
# guest runs by itself, and the guest is booted again.
conformance() { # FILTER GUESTS-THAT-SURVIVE
    for number in 1 2; do
        rig-guest $number "xenfs-conformance guest $((number - 1)) --gtest_filter=$1" >/tmp/conformance$number 2>&1 &
    done
    xenfs-conformance server "$(xl domid guest1)" "$(xl domid guest2)" --gtest_filter="$1" >/tmp/conformance 2>&1
    sed -n 's|^\[  *OK \] .*/\([a-z_]*\) (\(.*\))|ok: conformance \1 (\2)|p
            s|^\[  SKIPPED \] .*/\([a-z_]*\) (.*|skipped: conformance \1: nothing reaches GNTTABOP_transfer from user space; flip_into_pool has seen it refused|p
            s|^\[  FAILED  \] .*/\([a-z_]*\), .* (.*|FAILED: conformance \1|p' /tmp/conformance
    grep -q '^\[  PASSED' /tmp/conformance || echo "FAILED: conformance did not come to its end"
    grep -q '^\[  FAILED' /tmp/conformance && grep -v '^\[\|^Note' /tmp/conformance
    for number in $2; do
        grep -q '^\[  FAILED' /tmp/conformance$number && sed "s/^/guest$number: /" /tmp/conformance$number
    done
}
conformance '*-*dies_*' "1 2"
conformance '*dies_with_grants' "2"
rig-boot 1
conformance '*dies_with_mappings' "2"
rig-boot 1
