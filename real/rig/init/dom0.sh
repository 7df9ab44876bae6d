#!/bin/sh
# dom0's init: brings up xenstored, starts the guests that it is told to, runs /rig/job, powers off.
# Lines that begin with "@rig" are for the rig outside.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin:/usr/lib/xen-4.17/bin
say() { echo "@rig $*"; }
fail() { say "failed $*"; sync; poweroff -f; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm && mount -t devpts devpts /dev/pts && mount -t tmpfs tmpfs /dev/shm
mkdir -p /run/xen /run/xenstored /run/lock/xl /var/lib/xen /var/lib/xenstored /var/log/xen/console
mkdir -p /etc/xen && echo 'autoballoon="off"' >/etc/xen/xl.conf
ln -sf /run /var/run; ln -sf /run/lock /var/lock
say phase dom0-userspace
while read -r module; do
    insmod /modules/$module.ko 2>/dev/null || grep -q "^$module " /proc/modules || fail "insmod $module"
done </modules/order
mount -t xenfs xenfs /proc/xen || fail "mount xenfs"

xenstored --pid-file /run/xenstored.pid || fail "xenstored does not start"
tries=0
until xenstore ls / >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -gt 300 ] && fail "xenstored does not answer"
    usleep 100000
done
xen-init-dom0 || fail "xen-init-dom0"
xenconsoled --log=all --log-dir=/var/log/xen/console
# What is exported lies on a disk of its own, so that reading it can be seen.
mkdir -p /srv && mount -t ext4 -o noatime /dev/vda /srv || fail "mount /dev/vda"
say phase xenstored

# rig_guests=N on the kernel's line arrives as environment.
number=1
while [ $number -le "${rig_guests:-0}" ]; do
    cat >/tmp/guest$number.cfg <<CFG
name = "guest$number"
type = "pv"
kernel = "/boot/vmlinux"
ramdisk = "/boot/guest.cpio"
memory = ${rig_guest_memory:-160}
vcpus = 1
max_maptrack_frames = 128
extra = "console=hvc0 quiet mitigations=off rig_name=guest$number"
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
CFG
    why=$(rig-boot $number created) || fail "$why"
    say phase guest$number-created
    number=$((number + 1))
done
number=1
while [ $number -le "${rig_guests:-0}" ]; do
    why=$(rig-ready $number) || fail "$why"
    say phase guest$number-ready
    number=$((number + 1))
done

if [ -n "$rig_shell" ]; then
    say phase shell
    echo "This is dom0. 'xl list' shows the guests, 'xl console guest1' opens one (leave it with Ctrl-]),"
    echo "'rig-guest 1 COMMAND' runs a command in it. 'poweroff -f' ends it all."
    setsid cttyhack sh
else
    say phase job
    sh /rig/job
    say result $?
fi
for log in /var/log/xen/console/guest-*.log; do
    [ -s "$log" ] && sed "s|^|@guest $(basename "$log" .log | sed 's/^guest-//'): |" "$log"
done
say phase done
sync
poweroff -f
