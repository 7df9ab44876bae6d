# Linux's tinyconfig built in a guest that boots from a XenFS root: compiler, source and outputs lie
# there. Run by `./lab xen kernel-build`; a build that was broken off goes on.
. /rig/tests/lib.sh
targets=${KERNEL_TARGETS:-914} # lines that make tinyconfig and make print of their work
EXPORT=/srv/root CACHE_SIZE=512MiB QUOTA_OF_GUEST1=256MiB serve
boot_from_xenfs 1 ${KERNEL_MEMORY:-1536} ${KERNEL_VCPUS:-1} ${KERNEL_MOUNT:-memory=128,mapping=224,write_behind=30,names=3600,cache=all} || exit 1
check "the guest's root is XenFS" rig-guest 1 "grep -q ' / fuse.xenfs-mount' /proc/mounts"
# Since the last sync that came to its end a target may be incomplete where the machine was stopped.
cat >/tmp/build.sh <<'BUILD'
cd /usr/src/linux || exit 1
[ -e .safe ] && find . -name '.*.cmd' -newer .safe -delete
[ -e .config ] || make tinyconfig >>/root/build.log 2>&1 || { echo $? >/root/build.exit; exit 1; }
make -j2 >>/root/build.log 2>&1
code=$?
sync /usr/src/linux
echo $code >/root/build.exit
BUILD
rig-guest 1 "rm -f /root/build.exit; echo $(base64 /tmp/build.sh | tr -d '\n') | base64 -d >/tmp/build.sh; (sh /tmp/build.sh >/dev/null 2>&1 &)
    [ -e /root/build.log ] && grep -c '^  [A-Z]' /root/build.log || echo 0" >/tmp/before
before=$(tail -n 1 /tmp/before)
started=$(cut -d. -f1 /proc/uptime)
read_before=$(disk_reads)
[ "$before" = 0 ] || echo "going on after $before of about $targets targets"
while sleep 120; do
    rig-guest 1 "n=\$(grep -c '^  [A-Z]' /root/build.log); last=\$(tail -n 1 /root/build.log); touch /usr/src/.mark && sync /usr/src/linux && mv /usr/src/.mark /usr/src/linux/.safe
        echo \$n \$last; cat /root/build.exit 2>/dev/null || echo running" >/tmp/progress
    built=$(sed -n 's/^\([0-9]*\) .*/\1/p' /tmp/progress | head -n 1)
    passed=$(($(cut -d. -f1 /proc/uptime) - started))
    [ "${built:-0}" -gt "$before" ] && left="about $(((targets - built) * passed / (built - before) / 60)) min left" || left="no estimate yet"
    echo "$passed s: $(head -n 1 /tmp/progress | cut -c 1-100) of $targets targets, $left"
    [ "$(tail -n 1 /tmp/progress)" = running ] || break
done
rig-guest 1 "tail -n 5 /root/build.log"
check "the kernel is built" [ "$(tail -n 1 /tmp/progress)" = 0 ]
echo "after $passed s in this run, in which dom0's disk read $(($(disk_reads) - read_before)) pages"
xenfsctl status
rig-guest 1 "grep -E 'MemTotal|^Cached|MemFree' /proc/meminfo; cat /proc/uptime; ls -l /usr/src/linux/vmlinux /usr/src/linux/arch/x86/boot/bzImage"
check "and dom0 has it" [ -s /srv/root/usr/src/linux/arch/x86/boot/bzImage ]
cp /srv/root/root/build.log /tmp/build.log
md5sum /srv/root/usr/src/linux/vmlinux
xl destroy guest1
kill $daemon
wait $daemon
check "xenfsd ends in order" [ $? -eq 0 ]
