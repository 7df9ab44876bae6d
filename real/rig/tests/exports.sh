# Two daemons, each with a pool and a tree of its own, at once: a guest mounts both exports. One daemon's pool domain
# is no guest of the other; one that is killed or ended is nothing to the other.
. /rig/tests/lib.sh
serve
mkdir -p /srv/other
echo other >/srv/other/which
echo root >/srv/export/which
cat >/tmp/other.toml <<TOML
host = "xen"
[pool]
name = "xenfs-other"
grant_frames = 8
[cache]
size = "8MiB"
[server]
ack_timeout = "10 s"
control = "/run/xenfs/other.sock"
metrics = "/run/xenfs/other-metrics.sock"
[[export]]
name = "other"
path = "/srv/other"
[[export.guest]]
name = "*"
device = 1
quota = "2MiB"
TOML
serve_other() {
    xenfsd -c /tmp/other.toml >>/tmp/xenfsd.log 2>&1 &
    other=$!
}
serve_other
mount_guest 1 && mount_guest 2 && await_offer 1 1 && await_offer 2 1 || exit 1
xenfsctl --socket /run/xenfs/other.sock status >/tmp/other.status
check "the second daemon offers to both guests and to no pool domain" [ "$(grep -c ' 1 other ' /tmp/other.status)" = 2 ]
check "guest1 mounts the second export beside the first" \
    rig-guest 1 "mkdir -p /other; xenfs-mount xen /other -o device=1,memory=4,mapping=1,server_timeout=300"
check "each mount shows its own tree" rig-guest 1 "[ \$(cat /mnt/which) = root ] && [ \$(cat /other/which) = other ]"
check "a copy from one to the other" rig-guest 1 "dd if=/mnt/big of=/other/copy bs=64k count=16 conv=fsync 2>/dev/null"
check "is in the other's tree" sh -c "head -c 1048576 /srv/export/big | cmp - /srv/other/copy"
kill -9 $other
check "the first goes on when the second is killed" rig-guest 1 "echo more >/mnt/more && [ \$(cat /mnt/more) = more ]"
serve_other
check "and the second's mount goes on with its successor" rig-guest 1 "echo more >/other/more && [ \$(cat /other/more) = more ]"
rig-guest 1 "umount /other"
kill $other
wait $other
check "the second ends in order" [ $? -eq 0 ]
check "and leaves nothing of its pool" [ -z "$(xl list | grep xenfs-other)" ]
check "guest1 still reads the first export" rig-guest 1 "grep big /mnt/stable-sums | (cd /mnt && md5sum -c >/dev/null)"
rm -f /srv/export/which /srv/export/more
unserve
