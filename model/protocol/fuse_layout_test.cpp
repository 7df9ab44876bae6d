// Our mirror of FUSE's structures is compared with the system's header: sizes and every field's
// offset.
#include <fcntl.h>
#include <linux/fuse.h>

#include <gtest/gtest.h>

#include "model/files/file_system.h"
#include "model/protocol/fuse.h"
#include "model/protocol/notices.h"

namespace p = xenfs::protocol;

#define SAME_SIZE(ours, theirs) EXPECT_EQ(sizeof(p::ours), sizeof(theirs)) << #theirs
#define SAME_FIELD(ours, theirs, field)                                                 \
    EXPECT_EQ(offsetof(p::ours, field), offsetof(theirs, field)) << #theirs "." #field; \
    EXPECT_EQ(sizeof(p::ours::field), sizeof(theirs::field)) << #theirs "." #field

TEST(FuseLayout, Headers) {
    SAME_SIZE(InHeader, fuse_in_header);
    SAME_FIELD(InHeader, fuse_in_header, len);
    SAME_FIELD(InHeader, fuse_in_header, opcode);
    SAME_FIELD(InHeader, fuse_in_header, unique);
    SAME_FIELD(InHeader, fuse_in_header, nodeid);
    SAME_FIELD(InHeader, fuse_in_header, uid);
    SAME_FIELD(InHeader, fuse_in_header, gid);
    SAME_FIELD(InHeader, fuse_in_header, pid);
    SAME_FIELD(InHeader, fuse_in_header, total_extlen);
    EXPECT_EQ(offsetof(p::InHeader, flags), offsetof(fuse_in_header, padding));
    SAME_SIZE(OutHeader, fuse_out_header);
    SAME_FIELD(OutHeader, fuse_out_header, len);
    SAME_FIELD(OutHeader, fuse_out_header, error);
    SAME_FIELD(OutHeader, fuse_out_header, unique);
}

TEST(FuseLayout, Attributes) {
    SAME_SIZE(Attr, fuse_attr);
    SAME_FIELD(Attr, fuse_attr, ino);
    SAME_FIELD(Attr, fuse_attr, size);
    SAME_FIELD(Attr, fuse_attr, blocks);
    SAME_FIELD(Attr, fuse_attr, atime);
    SAME_FIELD(Attr, fuse_attr, mtime);
    SAME_FIELD(Attr, fuse_attr, ctime);
    SAME_FIELD(Attr, fuse_attr, atimensec);
    SAME_FIELD(Attr, fuse_attr, mtimensec);
    SAME_FIELD(Attr, fuse_attr, ctimensec);
    SAME_FIELD(Attr, fuse_attr, mode);
    SAME_FIELD(Attr, fuse_attr, nlink);
    SAME_FIELD(Attr, fuse_attr, uid);
    SAME_FIELD(Attr, fuse_attr, gid);
    SAME_FIELD(Attr, fuse_attr, rdev);
    SAME_FIELD(Attr, fuse_attr, blksize);
    SAME_FIELD(Attr, fuse_attr, flags);
    SAME_SIZE(EntryOut, fuse_entry_out);
    SAME_FIELD(EntryOut, fuse_entry_out, nodeid);
    SAME_FIELD(EntryOut, fuse_entry_out, generation);
    SAME_FIELD(EntryOut, fuse_entry_out, entry_valid);
    SAME_FIELD(EntryOut, fuse_entry_out, attr_valid);
    SAME_FIELD(EntryOut, fuse_entry_out, attr);
    SAME_SIZE(AttrOut, fuse_attr_out);
    SAME_FIELD(AttrOut, fuse_attr_out, attr_valid);
    SAME_FIELD(AttrOut, fuse_attr_out, attr);
    SAME_SIZE(GetattrIn, fuse_getattr_in);
    SAME_FIELD(GetattrIn, fuse_getattr_in, fh);
    SAME_SIZE(SetattrIn, fuse_setattr_in);
    SAME_FIELD(SetattrIn, fuse_setattr_in, valid);
    SAME_FIELD(SetattrIn, fuse_setattr_in, fh);
    SAME_FIELD(SetattrIn, fuse_setattr_in, size);
    SAME_FIELD(SetattrIn, fuse_setattr_in, lock_owner);
    SAME_FIELD(SetattrIn, fuse_setattr_in, atime);
    SAME_FIELD(SetattrIn, fuse_setattr_in, mtime);
    SAME_FIELD(SetattrIn, fuse_setattr_in, ctime);
    SAME_FIELD(SetattrIn, fuse_setattr_in, atimensec);
    SAME_FIELD(SetattrIn, fuse_setattr_in, mtimensec);
    SAME_FIELD(SetattrIn, fuse_setattr_in, ctimensec);
    SAME_FIELD(SetattrIn, fuse_setattr_in, mode);
    SAME_FIELD(SetattrIn, fuse_setattr_in, uid);
    SAME_FIELD(SetattrIn, fuse_setattr_in, gid);
    EXPECT_EQ(p::fattr_mode | p::fattr_uid | p::fattr_gid | p::fattr_size | p::fattr_atime |
                  p::fattr_mtime | p::fattr_fh | p::fattr_atime_now | p::fattr_mtime_now |
                  p::fattr_lockowner | p::fattr_ctime | p::fattr_kill_suidgid,
              unsigned(FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME |
                       FATTR_FH | FATTR_ATIME_NOW | FATTR_MTIME_NOW | FATTR_LOCKOWNER |
                       FATTR_CTIME | FATTR_KILL_SUIDGID));
    EXPECT_EQ(p::fattr_size, unsigned(FATTR_SIZE));
    EXPECT_EQ(p::fattr_mtime_now, unsigned(FATTR_MTIME_NOW));
}

/// The kernel's own time64_t goes through FUSE's unsigned seconds in the same way.
TEST(FuseLayout, TimesBeforeAndFarBehindTheEpochComeThrough) {
    using xenfs::WorldTime;
    for (const WorldTime time : {WorldTime{-1, 999'999'999}, WorldTime{-2'147'483'649, 0},
                                 WorldTime{4'294'967'296, 1}, WorldTime{16'725'225'600, 7}}) {
        p::Attr attr{};
        p::put_time(time, attr.mtime, attr.mtimensec);
        EXPECT_EQ(static_cast<std::int64_t>(attr.mtime), time.seconds);
        EXPECT_EQ(p::time_from(attr.mtime, attr.mtimensec), time);
    }
    EXPECT_EQ(p::time_from(5, 4'000'000'000), (WorldTime{5, 999'999'999}));
    EXPECT_EQ((WorldTime{-1, 999'999'999}).after(2), (WorldTime{0, 1}));
    EXPECT_LT((WorldTime{-1, 999'999'999}), (WorldTime{0, 0}));
}

TEST(FuseLayout, Operations) {
    SAME_SIZE(MknodIn, fuse_mknod_in);
    SAME_FIELD(MknodIn, fuse_mknod_in, rdev);
    SAME_SIZE(MkdirIn, fuse_mkdir_in);
    SAME_SIZE(RenameIn, fuse_rename_in);
    SAME_SIZE(Rename2In, fuse_rename2_in);
    SAME_FIELD(Rename2In, fuse_rename2_in, flags);
    SAME_SIZE(LinkIn, fuse_link_in);
    SAME_SIZE(OpenIn, fuse_open_in);
    SAME_FIELD(OpenIn, fuse_open_in, open_flags);
    SAME_SIZE(CreateIn, fuse_create_in);
    SAME_FIELD(CreateIn, fuse_create_in, mode);
    SAME_FIELD(CreateIn, fuse_create_in, umask);
    SAME_SIZE(OpenOut, fuse_open_out);
    SAME_FIELD(OpenOut, fuse_open_out, open_flags);
    SAME_SIZE(ReleaseIn, fuse_release_in);
    SAME_FIELD(ReleaseIn, fuse_release_in, lock_owner);
    SAME_SIZE(FlushIn, fuse_flush_in);
    SAME_FIELD(FlushIn, fuse_flush_in, lock_owner);
    SAME_SIZE(ReadIn, fuse_read_in);
    SAME_FIELD(ReadIn, fuse_read_in, offset);
    SAME_FIELD(ReadIn, fuse_read_in, size);
    SAME_SIZE(FsyncIn, fuse_fsync_in);
    SAME_FIELD(FsyncIn, fuse_fsync_in, fsync_flags);
    EXPECT_EQ(p::fsync_data_only, unsigned(FUSE_FSYNC_FDATASYNC));
    SAME_SIZE(SetxattrIn, fuse_setxattr_in);
    SAME_FIELD(SetxattrIn, fuse_setxattr_in, flags);
    SAME_SIZE(GetxattrIn, fuse_getxattr_in);
    SAME_SIZE(GetxattrOut, fuse_getxattr_out);
    SAME_SIZE(StatfsOut, fuse_statfs_out);
    EXPECT_EQ(offsetof(p::StatfsOut, bsize), offsetof(fuse_kstatfs, bsize));
    EXPECT_EQ(offsetof(p::StatfsOut, ffree), offsetof(fuse_kstatfs, ffree));
    EXPECT_EQ(offsetof(p::StatfsOut, frsize), offsetof(fuse_kstatfs, frsize));
    EXPECT_EQ(offsetof(p::StatfsOut, namelen), offsetof(fuse_kstatfs, namelen));
    SAME_SIZE(Dirent, fuse_dirent);
    SAME_FIELD(Dirent, fuse_dirent, off);
    SAME_FIELD(Dirent, fuse_dirent, namelen);
    SAME_FIELD(Dirent, fuse_dirent, type);
    EXPECT_EQ(p::dirent_size(1), FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 1));
    EXPECT_EQ(p::dirent_size(8), FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 8));
    SAME_SIZE(FileLock, fuse_file_lock);
    SAME_FIELD(FileLock, fuse_file_lock, end);
    SAME_FIELD(FileLock, fuse_file_lock, type);
    SAME_SIZE(LkIn, fuse_lk_in);
    SAME_FIELD(LkIn, fuse_lk_in, owner);
    SAME_FIELD(LkIn, fuse_lk_in, lk);
    SAME_FIELD(LkIn, fuse_lk_in, lk_flags);
    SAME_SIZE(LkOut, fuse_lk_out);
    EXPECT_EQ(p::lk_flock, unsigned(FUSE_LK_FLOCK));
    SAME_SIZE(ForgetIn, fuse_forget_in);
    SAME_SIZE(ForgetOne, fuse_forget_one);
    SAME_SIZE(BatchForgetIn, fuse_batch_forget_in);
    SAME_SIZE(InterruptIn, fuse_interrupt_in);
    SAME_SIZE(CopyFileRangeIn, fuse_copy_file_range_in);
    SAME_FIELD(CopyFileRangeIn, fuse_copy_file_range_in, off_in);
    SAME_FIELD(CopyFileRangeIn, fuse_copy_file_range_in, nodeid_out);
    SAME_FIELD(CopyFileRangeIn, fuse_copy_file_range_in, off_out);
    SAME_FIELD(CopyFileRangeIn, fuse_copy_file_range_in, flags);
    SAME_FIELD(CopyFileRangeOut, fuse_write_out, size);
    SAME_SIZE(LseekIn, fuse_lseek_in);
    SAME_FIELD(LseekIn, fuse_lseek_in, whence);
    SAME_SIZE(LseekOut, fuse_lseek_out);
    EXPECT_EQ(int(p::seek_data), SEEK_DATA);
    EXPECT_EQ(int(p::seek_hole), SEEK_HOLE);
    SAME_SIZE(FallocateIn, fuse_fallocate_in);
    SAME_FIELD(FallocateIn, fuse_fallocate_in, offset);
    SAME_FIELD(FallocateIn, fuse_fallocate_in, length);
    SAME_FIELD(FallocateIn, fuse_fallocate_in, mode);
    EXPECT_EQ(int(p::lock_read), F_RDLCK);
    EXPECT_EQ(int(p::lock_write), F_WRLCK);
    EXPECT_EQ(int(p::lock_unlock), F_UNLCK);
    EXPECT_EQ(int(p::open_sync), O_SYNC);
    EXPECT_EQ(int(p::open_create), O_CREAT);
    EXPECT_EQ(int(p::open_exclusive), O_EXCL);
    EXPECT_EQ(int(p::open_truncate), O_TRUNC);
    EXPECT_EQ(int(p::open_append), O_APPEND);
}

TEST(FuseLayout, Init) {
    SAME_SIZE(InitIn, fuse_init_in);
    SAME_FIELD(InitIn, fuse_init_in, flags2);
    SAME_SIZE(InitOut, fuse_init_out);
    SAME_FIELD(InitOut, fuse_init_out, max_background);
    SAME_FIELD(InitOut, fuse_init_out, max_write);
    SAME_FIELD(InitOut, fuse_init_out, time_gran);
    SAME_FIELD(InitOut, fuse_init_out, max_pages);
    SAME_FIELD(InitOut, fuse_init_out, flags2);
}

TEST(FuseLayout, Opcodes) {
    const auto number = [](p::Opcode opcode) { return static_cast<std::uint32_t>(opcode); };
    EXPECT_EQ(number(p::Opcode::lookup), FUSE_LOOKUP);
    EXPECT_EQ(number(p::Opcode::forget), FUSE_FORGET);
    EXPECT_EQ(number(p::Opcode::getattr), FUSE_GETATTR);
    EXPECT_EQ(number(p::Opcode::setattr), FUSE_SETATTR);
    EXPECT_EQ(number(p::Opcode::readlink), FUSE_READLINK);
    EXPECT_EQ(number(p::Opcode::symlink), FUSE_SYMLINK);
    EXPECT_EQ(number(p::Opcode::mknod), FUSE_MKNOD);
    EXPECT_EQ(number(p::Opcode::mkdir), FUSE_MKDIR);
    EXPECT_EQ(number(p::Opcode::unlink), FUSE_UNLINK);
    EXPECT_EQ(number(p::Opcode::rmdir), FUSE_RMDIR);
    EXPECT_EQ(number(p::Opcode::rename), FUSE_RENAME);
    EXPECT_EQ(number(p::Opcode::link), FUSE_LINK);
    EXPECT_EQ(number(p::Opcode::open), FUSE_OPEN);
    EXPECT_EQ(number(p::Opcode::statfs), FUSE_STATFS);
    EXPECT_EQ(number(p::Opcode::release), FUSE_RELEASE);
    EXPECT_EQ(number(p::Opcode::fsync), FUSE_FSYNC);
    EXPECT_EQ(number(p::Opcode::setxattr), FUSE_SETXATTR);
    EXPECT_EQ(number(p::Opcode::getxattr), FUSE_GETXATTR);
    EXPECT_EQ(number(p::Opcode::listxattr), FUSE_LISTXATTR);
    EXPECT_EQ(number(p::Opcode::removexattr), FUSE_REMOVEXATTR);
    EXPECT_EQ(number(p::Opcode::flush), FUSE_FLUSH);
    EXPECT_EQ(number(p::Opcode::init), FUSE_INIT);
    EXPECT_EQ(number(p::Opcode::opendir), FUSE_OPENDIR);
    EXPECT_EQ(number(p::Opcode::readdir), FUSE_READDIR);
    EXPECT_EQ(number(p::Opcode::releasedir), FUSE_RELEASEDIR);
    EXPECT_EQ(number(p::Opcode::fsyncdir), FUSE_FSYNCDIR);
    EXPECT_EQ(number(p::Opcode::getlk), FUSE_GETLK);
    EXPECT_EQ(number(p::Opcode::setlk), FUSE_SETLK);
    EXPECT_EQ(number(p::Opcode::setlkw), FUSE_SETLKW);
    EXPECT_EQ(number(p::Opcode::create), FUSE_CREATE);
    EXPECT_EQ(number(p::Opcode::interrupt), FUSE_INTERRUPT);
    EXPECT_EQ(number(p::Opcode::destroy), FUSE_DESTROY);
    EXPECT_EQ(number(p::Opcode::batch_forget), FUSE_BATCH_FORGET);
    EXPECT_EQ(number(p::Opcode::fallocate), FUSE_FALLOCATE);
    EXPECT_EQ(number(p::Opcode::rename2), FUSE_RENAME2);
    EXPECT_EQ(number(p::Opcode::lseek), FUSE_LSEEK);
    EXPECT_EQ(number(p::Opcode::copy_file_range), FUSE_COPY_FILE_RANGE);
    EXPECT_EQ(number(p::Opcode::syncfs), FUSE_SYNCFS);
}

TEST(FuseLayout, NameHashIsTheOneThatClientsKeep) {
    for (const char* name : {"a", "", "Makefile", "a rather longer name than the others.o"}) {
        EXPECT_EQ(p::name_hash(name), xenfs::files::Name::hash_of(name));
    }
}
