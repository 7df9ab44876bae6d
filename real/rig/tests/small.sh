# Two guests create, rename, list and remove many small files at once; all see the same tree.
. /rig/tests/lib.sh
files=${SMALL_FILES:-200}
export RIG_GUEST_SECONDS=${LONG_SECONDS:-500}
serve
mount_guest 1 && mount_guest 2 || exit 1
mkdir -p /srv/export/small
cat >/srv/export/small.sh <<'WORK'
guest=$1 files=$2 number=0
mkdir /mnt/small/$guest && cd /mnt/small/$guest || exit 1
while [ $number -lt $files ]; do
    number=$((number + 1))
    echo "$guest wrote $number" >new$number && mv new$number file$number || exit 1
    case $((number % 4)) in
        0) rm file$number || exit 1 ;;
        1) mv file$number ../$guest-$number || exit 1 ;; # beside what the other one moves there
    esac
done
ls | wc -l
WORK
workers=""
for number in 1 2; do
    rig-guest $number "sh /mnt/small.sh guest$number $files" >/tmp/small$number 2>&1 &
    workers="$workers $!"
done
for worker in $workers; do wait $worker || failed "a guest's work: $(cat /tmp/small1 /tmp/small2)"; done
tree='cd $TREE/small && find . | sort | md5sum; find . -type f | sort | xargs cat | md5sum; find . -type f | wc -l'
one=$(rig-guest 1 "TREE=/mnt; $tree")
two=$(rig-guest 2 "TREE=/mnt; $tree")
check "both guests see the same tree of $(echo "$one" | tail -n 1) files" [ "$one" = "$two" ]
check "none is lost" [ "$(echo "$one" | tail -n 1)" -eq $((2 * (files - files / 4))) ]
unserve
check "dom0's tree is the same" [ "$(TREE=/srv/export; eval "$tree")" = "$one" ]
