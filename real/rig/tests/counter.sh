# Two programs in two guests have one file in their memory and add to one word of it: once with
# libxenfs, once unmodified ones under the preload library.
. /rig/tests/lib.sh
times=1000000
for name in linked preloaded; do dd if=/dev/zero of=/srv/export/$name bs=4096 count=1 2>/dev/null; done
serve
mount_guest 1 && mount_guest 2 || exit 1
both() { # NAME COMMAND…: in both guests at once
    name=$1
    shift
    programs=""
    for number in 1 2; do
        rig-guest $number "$*" >/tmp/$name$number 2>&1 &
        programs="$programs $!"
    done
    wait $programs
    tail -n 3 /tmp/${name}1 /tmp/${name}2
    for number in 1 2; do
        check "$name: guest$number saw the right sum of two times $times atomic additions" [ "$(tail -n 1 /tmp/$name$number)" = $((2 * times)) ]
        check "$name: and reads it from its mount" [ "$(rig-guest $number "od -A n -t u8 -N 8 /mnt/$name" | tr -d ' ')" = $((2 * times)) ]
    done
    check "$name: after msync it is in dom0's tree" [ "$(od -A n -t u8 -N 8 /srv/export/$name | tr -d ' ')" = $((2 * times)) ]
}
both linked "xenfs-share-probe /mnt linked $times"
both preloaded "LD_PRELOAD=/bin/libxenfs-preload.so xenfs-plain-probe /mnt/preloaded $times"
unserve
