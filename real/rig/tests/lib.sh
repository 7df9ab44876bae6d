# What the tests with xenfsd and xenfs-mount have in common. Sourced.
. /rig/environment
ok() { echo "ok: $*"; }
failed() { echo "FAILED: $*"; }
# check WHAT COMMAND…
check() {
    what=$1
    shift
    if "$@"; then ok "$what"; else failed "$what"; fi
}
# What xenfsd counts, where it can be asked.
counters() {
    command -v xenfsctl >/dev/null || return 0
    echo "$1:"
    xenfsctl status | grep -E '^(cache|shared|pool|guest)'
}
counter() { xenfsctl metrics | awk -v name="xenfs_$1" '$1 == name {print $2}'; }
# Pages that dom0's disk has read so far.
disk_reads() { awk '{print int($3 / 8)}' /sys/block/vda/stat; }

serve() { # [LINES OF TOML]: xenfsd over /srv/export for guest1 and guest2
    mkdir -p /run/xenfs
    cat >/tmp/xenfsd.toml <<TOML
host = "xen"
[pool]
name = "xenfs"
[cache]
size = "${CACHE_SIZE:-64MiB}"
[server]
ack_timeout = "${ACK_TIMEOUT:-10 s}" # a guest is not given up because the emulator let it wait for a second
[log]
level = "info"
[[export]]
name = "/"
path = "${EXPORT:-/srv/export}"
[[export.guest]]
name = "guest1"
quota = "${QUOTA_OF_GUEST1:-32MiB}"
[[export.guest]]
name = "guest2"
quota = "${QUOTA_OF_GUEST2:-32MiB}"
TOML
    ulimit -n 262144 # as the systemd unit has it
    xenfsd -c /tmp/xenfsd.toml >>/tmp/xenfsd.log 2>&1 &
    daemon=$!
}
# Waits until xenfsd has offered DEVICE (0) to guest N, for 30 s at most.
await_offer() { # N [DEVICE]
    node=/local/domain/0/backend/xenfs/$(xl domid guest$1)/${2:-0}/state
    tries=0
    until [ "$(xenstore read $node 2>/dev/null)" = 2 ]; do
        tries=$((tries + 1))
        [ $tries -gt 150 ] && { failed "xenfsd made no offer to guest$1"; tail -n 5 /tmp/xenfsd.log; return 1; }
        usleep 200000
    done
}
mount_at_once() { rig-guest $1 "mkdir -p /mnt; xenfs-mount xen /mnt -o memory=16,mapping=24,server_timeout=300${2:+,$2}"; }
mount_guest() {
    await_offer $1 || return 1
    mount_at_once "$@" || { failed "guest$1 mounts"; return 1; }
}
# Boots guest N anew, with a root file system that xenfs-mount mounts there: MIB of memory, VCPUS, its OPTIONS.
boot_from_xenfs() { # N MIB VCPUS OPTIONS
    xl destroy guest$1
    sed -i -e "s/^memory = .*/memory = $2/" -e "s/^vcpus = .*/vcpus = $3/" -e 's/ rig_root=[^"]*//' \
        -e "s/^extra = \"\(.*\)\"/extra = \"\1 rig_root=$4\"/" -e "s/^max_maptrack_frames = .*/max_maptrack_frames = 1024/" /tmp/guest$1.cfg
    rig-boot $1
}
unserve() {
    for number in 1 2; do rig-guest $number "umount /mnt"; done
    kill $daemon
    wait $daemon
    check "xenfsd ends in order" [ $? -eq 0 ]
}
