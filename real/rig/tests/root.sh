# Guests boot from a XenFS root, shared by both, and compile a C program there with Debian's gcc.
. /rig/tests/lib.sh
EXPORT=/srv/root CACHE_SIZE=192MiB QUOTA_OF_GUEST1=128MiB QUOTA_OF_GUEST2=128MiB serve
memory=224
for number in 1 2; do cp /tmp/guest$number.cfg /tmp/ordinary$number.cfg; done
# Pages: of the shared cache, of the guest's own copies (program text), and of the guest in all.
figures() { # GUESTS
    echo "pages of the host with $1 booted from XenFS: $(($(counter cache_cached_bytes) / 4096)) in the shared cache," \
        "$(($(counter cache_saved_bytes) / 4096)) saved by sharing"
    for number in $2; do
        rig-guest $number "awk '/^MemTotal|^MemFree|^Cached|^AnonPages|^Mapped/ {printf \"%s %d, \", \$1, \$2 / 4}' /proc/meminfo" |
            sed "s/^/guest$number, pages: /"
        echo
    done
}
# minigzip of zlib's examples: what Debian's gzip has packed it must unpack, and the other way.
cat >/tmp/compile.sh <<'WORK'
set -e
mkdir -p /root/$1 && cd /root/$1
start=$(cut -d. -f1 /proc/uptime)
cp /usr/share/doc/zlib1g-dev/examples/minigzip.c .
printf 'minigzip: minigzip.o\n\t$(CC) -o $@ $< -lz\nminigzip.o: minigzip.c\n\t$(CC) -O2 -c $<\n' >Makefile
make
gzip -c minigzip.c >by-gzip.gz
./minigzip -d <by-gzip.gz | cmp - minigzip.c
./minigzip <minigzip.c | gzip -dc | cmp - minigzip.c
echo "compiled and run in $(($(cut -d. -f1 /proc/uptime) - start)) s: $(wc -c <minigzip) bytes"
WORK
reads=$(disk_reads)
for number in 1 2; do
    boot_from_xenfs $number $memory 1 memory=32,mapping=96 || { failed "guest$number boots from XenFS"; exit 1; }
    check "guest$number has switched to a XenFS root" rig-guest $number "grep -q ' / fuse.xenfs-mount' /proc/mounts && ! grep -q ' /newroot' /proc/mounts"
    check "guest$number compiles a C program there, which runs" rig-guest $number "echo $(base64 /tmp/compile.sh | tr -d '\n') | base64 -d >/tmp/compile.sh; sh /tmp/compile.sh guest$number"
    echo "pages read from dom0's disk: $(($(disk_reads) - reads))"
    reads=$(disk_reads)
    [ $number = 1 ] && figures "one guest" 1 || figures "two guests" "1 2"
done
check "both have compiled the same program" [ "$(rig-guest 1 'md5sum </root/guest1/minigzip')" = "$(rig-guest 1 'md5sum </root/guest2/minigzip')" ]
check "the mount's program is marked as the root's (@)" rig-guest 1 "for p in /proc/[0-9]*; do head -c 1 \$p/cmdline 2>/dev/null | grep -q @ && exit 0; done; exit 1"
check "dom0 sees what they have made" [ -s /srv/root/root/guest1/minigzip -a -s /srv/root/root/guest2/minigzip ]
for number in 1 2; do
    xl destroy guest$number
    cp /tmp/ordinary$number.cfg /tmp/guest$number.cfg
done
kill $daemon
wait $daemon
check "xenfsd ends in order" [ $? -eq 0 ]
for number in 1 2; do rig-boot $number; done
