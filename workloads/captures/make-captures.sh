#!/bin/sh
# Makes the captures in this directory from nothing, on Debian 12, as root:
#     workloads/captures/make-captures.sh XENFS_CAPTURE [NAME...]
# XENFS_CAPTURE is the built program; NAME is tiny-a, tiny-b or tiny-alt (all three if none is given).
# Needs mmdebstrap and some 4 GB in $WORK (default /var/tmp/xenfs-captures), where chroot and source stay for another time.
set -eu

capture=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- tiny-a tiny-b tiny-alt
here=$(cd "$(dirname "$0")" && pwd)
WORK=${WORK:-/var/tmp/xenfs-captures}
root=$WORK/root

# 1. A clean system: nothing of the developer's machine (no rustup, no LLVM plugin of binutils) can get in.
if [ ! -e "$WORK/root.done" ]; then
    rm -rf "$root"
    mkdir -p "$WORK"
    mmdebstrap --variant=apt \
        --include=build-essential,flex,bison,bc,libelf-dev,libssl-dev,xz-utils,kmod,cpio,linux-source-6.1 \
        bookworm "$root"
    mkdir -p "$root/usr/src/linux" "$root/build"
    tar -C "$root/usr/src/linux" --strip-components=1 -xf "$root/usr/src/linux-source-6.1.tar.xz"
    touch "$WORK/root.done"
fi

# 2. Each capture in a mount namespace of its own: a fresh /build and /tmp, the source read-only.
for name in "$@"; do
    case $name in
        tiny-a | tiny-b) changes= ;;
        tiny-alt) changes="-d CC_OPTIMIZE_FOR_SIZE -e CC_OPTIMIZE_FOR_PERFORMANCE -e SMP -e PRINTK" ;;
        *)
            echo "make-captures.sh: $name: no such capture (tiny-a, tiny-b, tiny-alt)" >&2
            exit 2
            ;;
    esac
    rm -rf "$WORK/$name.build" "$WORK/$name.tmp"
    mkdir -p "$WORK/$name.build" "$WORK/$name.tmp"
    chmod 1777 "$WORK/$name.tmp"
    # --one-cpu: see `xenfs-capture --help`; make still runs two jobs at a time.
    root=$root build=$WORK/$name.build tmp=$WORK/$name.tmp changes=$changes capture=$capture \
        out=$here/$name.xfcap unshare --mount sh -euc '
        mount --bind "$build" "$root/build"
        mount --bind "$tmp" "$root/tmp"
        mount --bind "$root/usr/src/linux" "$root/usr/src/linux"
        mount -o remount,bind,ro "$root/usr/src/linux"
        mount --bind /proc "$root/proc"
        mount --bind /dev "$root/dev"
        in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TMPDIR=/tmp chroot "$root" "$@"; }
        in_root make -s -C /usr/src/linux O=/build tinyconfig
        if [ -n "$changes" ]; then
            in_root /usr/src/linux/scripts/config --file /build/.config $changes
            in_root make -s -C /usr/src/linux O=/build olddefconfig
        fi
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TMPDIR=/tmp \
            "$capture" --one-cpu --root "$root" --cwd /build "$out" -- make -j2
    '
    rm -rf "$WORK/$name.build" "$WORK/$name.tmp"
    "$capture" info "$here/$name.xfcap"
done
