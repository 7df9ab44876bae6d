#!/bin/sh
# A guest's init: its own small root, or with rig_root=OPTIONS on the kernel's line one that is mounted by
# xenfs-mount with these options and switched to. Then commands from dom0.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm && mount -t devpts devpts /dev/pts && mount -t tmpfs tmpfs /dev/shm
while read -r module; do
    insmod /modules/$module.ko 2>/dev/null
done </modules/order
mount -t xenfs xenfs /proc/xen
mkdir -p /mnt
[ -n "$rig_root" ] || exec rig-commands

# Systemd's convention, which xenfs-mount follows: what an initrd starts for the root's sake is named with an @.
echo ID=rig >/etc/initrd-release
mkdir -p /newroot
tries=0
until why=$(xenfs-mount xen /newroot -o "$rig_root" 2>&1); do
    tries=$((tries + 1))
    [ $tries -gt 10 ] && { echo "no root: $why"; poweroff -f; }
    sleep 1
done
for place in proc sys dev; do mount --move /$place /newroot/$place; done
mount -t tmpfs tmpfs /newroot/tmp
mount -t tmpfs tmpfs /newroot/run
# The mount's program stays in memory; the rest of this root is emptied.
exec switch_root /newroot /sbin/rig-commands
