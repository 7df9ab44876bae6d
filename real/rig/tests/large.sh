# A file larger than the guest's memory and than the shared cache: written, read, read again, at
# random, verified by fio, which runs from the mount.
. /rig/tests/lib.sh
size=${LARGE_MIB:-192}
export RIG_GUEST_SECONDS=${LONG_SECONDS:-500}
# A guest of 192 MB, and a cache that holds a sixth of the short variant.
xl destroy guest1
sed -i 's/^memory = .*/memory = 192/' /tmp/guest1.cfg
rig-boot 1 || exit 1
CACHE_SIZE=32MiB serve
mount_guest 1 || exit 1
# Debian's fio brings libraries of Ceph with 130 MB of zeroes that it never touches.
rig-guest 1 "echo 1 >/proc/sys/vm/overcommit_memory"
fio="cd /tmp && LD_LIBRARY_PATH=/mnt/tools/lib /mnt/tools/fio --name=large --filename=/mnt/large --size=${size}m --ioengine=psync
    --verify=crc32c --verify_fatal=1 --output-format=terse --terse-version=3 --minimal"
fio=$(echo $fio)
check "fio writes $size MiB and verifies them" rig-guest 1 "$fio --rw=write --bs=128k --do_verify=1 --end_fsync=1 >/tmp/fio 2>&1 || { tail -n 3 /tmp/fio; false; }"
check "fio reads them again" rig-guest 1 "$fio --rw=read --bs=128k --verify_only >/tmp/fio 2>&1 || { tail -n 3 /tmp/fio; false; }"
check "fio reads and writes at random, verified" rig-guest 1 "$fio --rw=randrw --bs=4k --io_size=$((size / 16))m --do_verify=1 >/tmp/fio 2>&1 || { tail -n 3 /tmp/fio; false; }"
rig-guest 1 "grep -E 'MemTotal|^Cached' /proc/meminfo"
check "the file is whole in dom0" [ "$(stat -c %s /srv/export/large)" -eq $((size << 20)) ]
rig-guest 1 "rm /mnt/large"
rig-guest 1 "umount /mnt"
kill $daemon
wait $daemon
check "xenfsd ends in order" [ $? -eq 0 ]
