# Two guests mount one export: the same bytes, read from the disk once; what one writes the other
# reads at once; dom0 sees it after fsync, with its own tools.
. /rig/tests/lib.sh
serve
mount_guest 1 && mount_guest 2 || exit 1
check "xenfsd has given up what it does not need" grep -q 'CapEff:	00000000812041df' /proc/$daemon/status
check "and cannot get it back" grep -q 'NoNewPrivs:	1' /proc/$daemon/status
before=$(disk_reads)
check "guest1 reads what is in the tree" rig-guest 1 "cd /mnt && md5sum -c stable-sums >/tmp/sums || { grep -v OK /tmp/sums | head -n 3; false; }"
between=$(disk_reads)
counters "after the first guest has read"
frames=$(counter cache_cached_bytes)
check "guest2 reads the same" rig-guest 2 "cd /mnt && md5sum -c stable-sums >/tmp/sums || { grep -v OK /tmp/sums | head -n 3; false; }"
after=$(disk_reads)
counters "after the second guest has read the same"
echo "pages read from the disk: $((between - before)) for the first guest, $((after - between)) for the second"
check "the first guest's reads came from the disk" [ $((between - before)) -ge 512 ]
check "the second guest's reads cost no disk read" [ $((after - between)) -le 8 ]
if command -v xenfsctl >/dev/null; then
    check "and no new frame" [ "$(counter cache_cached_bytes)" = "$frames" ]
fi

rig-guest 1 "echo one >/mnt/news"
check "what guest1 wrote guest2 reads at once" [ "$(rig-guest 2 'cat /mnt/news')" = one ]
rig-guest 2 "echo two >>/mnt/news"
check "and the other way" [ "$(rig-guest 1 'cat /mnt/news' | tail -n 1)" = two ]
rig-guest 1 "mkdir /mnt/work && dd if=/mnt/big of=/mnt/work/copy bs=64k conv=fsync 2>/dev/null && echo needle | dd of=/mnt/work/hay conv=fsync 2>/dev/null"
check "after fsync dom0 finds it in the tree" cmp /srv/export/big /srv/export/work/copy
check "dom0 searches the guests' files while they run" [ "$(grep -rl needle /srv/export/work)" = /srv/export/work/hay ]
tar -cf /tmp/backup.tar -C /srv/export work && mkdir -p /tmp/restored && tar -xf /tmp/backup.tar -C /tmp/restored
check "dom0 backs them up" cmp /tmp/restored/work/copy /srv/export/big
rm -rf /tmp/backup.tar /tmp/restored
rig-guest 1 "echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >/etc/passwd; mkdir -m 1777 /mnt/everybodys"
check "a user who is not root reads, and writes where he may" rig-guest 1 "su nobody -c 'cat /mnt/many/1 >/dev/null && echo mine >/mnt/everybodys/his && ! echo no 2>/dev/null >/mnt/his'"
check "what he makes is his" [ "$(rig-guest 2 'stat -c %u /mnt/everybodys/his')" = 65534 ]
# A mount that ends without a word leaves its ring mapped in dom0 and "connected" in xenstore.
rig-guest 2 "kill -9 \$(pidof xenfs-mount); umount -l /mnt"
check "guest2 mounts again after its mount was killed" mount_at_once 2
check "and reads what is there" rig-guest 2 "grep -q one /mnt/news && grep big /mnt/stable-sums | (cd /mnt && md5sum -c >/dev/null)"
check "guest1 notices nothing of it" rig-guest 1 "echo three >>/mnt/news"
check "and guest2 sees what guest1 writes" [ "$(rig-guest 2 'cat /mnt/news' | tail -n 1)" = three ]
check "a second mount of one device is refused with a word" rig-guest 2 "mkdir -p /other; ! xenfs-mount xen /other 2>/tmp/said && grep -q 'is mounted already' /tmp/said"
unserve
