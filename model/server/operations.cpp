#include "model/server/operations.h"

#include <algorithm>
#include <array>

namespace xenfs::server {
namespace {

using protocol::Opcode;
using protocol::PageMode;
using protocol::Reader;

bool open_writes(Reader args) {
    const auto flags = args.get<protocol::OpenIn>().flags;
    return (flags & protocol::open_access_mode) != protocol::open_read_only ||
           (flags & protocol::open_truncate) != 0;
}

bool get_writes(Reader args) {
    const auto mode = static_cast<PageMode>(args.get<protocol::PagesGetIn>().mode);
    return mode != PageMode::map_read && mode != PageMode::copy_out && mode != PageMode::flip_out;
}

bool commit_syncs(Reader args) {
    const auto flags = args.get<protocol::PagesCommitIn>().flags;
    return (flags & (protocol::commit_sync | protocol::commit_sync_all)) != 0;
}

constexpr auto waits = DuringRecovery::waits;
constexpr bool may_be_urgent = true, takes_frames = true;

using K = RequestKind;
using O = Outcome;

// clang-format off
constexpr std::array table{
    Operation{Opcode::lookup,       "lookup",       call<&Names::lookup>,       K::names,      Right::read,  O::repeatable},
    Operation{Opcode::forget,       "forget",       call<&Attributes::forget>,       K::other,      Right::none,  O::repeatable},
    Operation{Opcode::getattr,      "getattr",      call<&Attributes::getattr>,      K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::setattr,      "setattr",      call<&Attributes::setattr>,      K::attributes, Right::write, O::resizes},
    Operation{Opcode::readlink,     "readlink",     call<&Names::readlink>,     K::names,      Right::read,  O::repeatable},
    Operation{Opcode::symlink,      "symlink",      call<&Names::symlink>,      K::names,      Right::write, O::makes_name},
    Operation{Opcode::mknod,        "mknod",        call<&Names::mknod>,        K::names,      Right::write, O::makes_name},
    Operation{Opcode::mkdir,        "mkdir",        call<&Names::mkdir>,        K::names,      Right::write, O::makes_name},
    Operation{Opcode::unlink,       "unlink",       call<&Names::unlink>,       K::names,      Right::write, O::removes_name},
    Operation{Opcode::rmdir,        "rmdir",        call<&Names::rmdir>,        K::names,      Right::write, O::removes_name},
    Operation{Opcode::rename,       "rename",       call<&Names::rename>,       K::names,      Right::write, O::moves},
    Operation{Opcode::link,         "link",         call<&Names::link>,         K::names,      Right::write, O::links},
    Operation{Opcode::open,         "open",         call<&OpenRequests::open>,         K::open,       Right::by_request, O::repeatable,
              waits, false, false, open_writes},
    Operation{Opcode::statfs,       "statfs",       call<&Attributes::statfs>,       K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::release,      "release",      call<&OpenRequests::release>,      K::open,       Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::fsync,        "fsync",        call<&OpenRequests::fsync>,        K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::setxattr,     "setxattr",     call<&Xattrs::setxattr>,     K::attributes, Right::write, O::repeatable},
    Operation{Opcode::getxattr,     "getxattr",     call<&Xattrs::getxattr>,     K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::listxattr,    "listxattr",    call<&Xattrs::listxattr>,    K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::removexattr,  "removexattr",  call<&Xattrs::removexattr>,  K::attributes, Right::write, O::repeatable},
    Operation{Opcode::flush,        "flush",        call<&OpenRequests::flush>,        K::sync,       Right::none,  O::repeatable},
    Operation{Opcode::init,         "init",         call<&OpenRequests::init>,         K::other,      Right::none,  O::repeatable,
              DuringRecovery::served},
    Operation{Opcode::opendir,      "opendir",      call<&OpenRequests::opendir>,      K::open,       Right::by_request, O::repeatable,
              waits, false, false, open_writes},
    Operation{Opcode::readdir,      "readdir",      call<&Names::readdir>,      K::names,      Right::read,  O::repeatable},
    Operation{Opcode::releasedir,   "releasedir",   call<&OpenRequests::release>,      K::open,       Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::fsyncdir,     "fsyncdir",     call<&OpenRequests::fsync>,        K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::getlk,        "getlk",        call<&LockRequests::getlk>,        K::other,      Right::read,  O::repeatable},
    Operation{Opcode::setlk,        "setlk",        call<&LockRequests::setlk>,        K::other,      Right::read,  O::repeatable,
              DuringRecovery::served_while_resuming},
    Operation{Opcode::setlkw,       "setlkw",       call<&LockRequests::setlkw>,       K::other,      Right::read,  O::repeatable,
              DuringRecovery::served_while_resuming},
    Operation{Opcode::create,       "create",       call<&Names::create>,       K::names,      Right::write, O::makes_name},
    Operation{Opcode::interrupt,    "interrupt",    call<&LockRequests::interrupt>,    K::other,      Right::none,  O::repeatable},
    Operation{Opcode::destroy,      "destroy",      call<&OpenRequests::destroy>,      K::other,      Right::none,  O::repeatable},
    Operation{Opcode::batch_forget, "batch_forget", call<&Attributes::batch_forget>, K::other,      Right::none,  O::repeatable},
    Operation{Opcode::fallocate,    "fallocate",    call<&RangeRequests::fallocate>,    K::write,      Right::write, O::recorded},
    Operation{Opcode::rename2,      "rename2",      call<&Names::rename2>,      K::names,      Right::write, O::moves},
    Operation{Opcode::lseek,        "lseek",        call<&RangeRequests::lseek>,        K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::copy_file_range, "copy_file_range", call<&RangeRequests::copy_file_range>, K::write,    Right::write, O::recorded},
    Operation{Opcode::syncfs,       "syncfs",       call<&OpenRequests::syncfs>,       K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::tmpfile,      "tmpfile",      call<&Names::tmpfile>,      K::names,      Right::write, O::repeatable},
    Operation{Opcode::pages_get,    "pages_get",    call<&PageRequests::get>,    K::read,       Right::by_request, O::repeatable,
              waits, may_be_urgent, takes_frames, get_writes},
    Operation{Opcode::pages_commit, "pages_commit", call<&PageRequests::commit>, K::write,      Right::write, O::recorded,
              waits, may_be_urgent, false, nullptr, commit_syncs},
    Operation{Opcode::pages_release, "pages_release", call<&PageRequests::release>, K::other,   Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::donate,       "donate",       call<&Balloon::donate>,       K::other,      Right::none,  O::repeatable},
    Operation{Opcode::reclaim,      "reclaim",      call<&Balloon::reclaim>,      K::other,      Right::none,  O::repeatable},
    Operation{Opcode::lease_return, "lease_return", call<&OpenRequests::lease_return>, K::other,      Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::resume,       "resume",       call<&Returns::come_back>,    K::other,      Right::none,  O::repeatable,
              DuringRecovery::served},
    Operation{Opcode::text_put,     "text_put",     call<&Texts::put>,            K::attributes, Right::none,  O::repeatable},
    Operation{Opcode::text_get,     "text_get",     call<&Texts::get>,            K::attributes, Right::none,  O::repeatable},
};
// clang-format on

constexpr bool by_opcode(const Operation& a, const Operation& b) {
    return a.opcode < b.opcode;
}
static_assert(std::is_sorted(table.begin(), table.end(), by_opcode));

/// Opcodes lie in two dense ranges: FUSE's and ours.
constexpr std::uint32_t fuse_opcodes = 64, own_opcodes = 16;
constexpr std::uint32_t first_own = static_cast<std::uint32_t>(Opcode::pages_get);
constexpr auto places = [] {
    std::array<std::uint8_t, fuse_opcodes + own_opcodes> made{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        const auto opcode = static_cast<std::uint32_t>(table[i].opcode);
        made[opcode < fuse_opcodes ? opcode : fuse_opcodes + opcode - first_own] =
            static_cast<std::uint8_t>(i + 1);
    }
    return made;
}();

}  // namespace

std::span<const Operation> operations() {
    return table;
}

const Operation* find_operation(std::uint32_t opcode) {
    if (opcode >= fuse_opcodes && opcode - first_own >= own_opcodes) return nullptr;
    const std::uint8_t place =
        places[opcode < fuse_opcodes ? opcode : fuse_opcodes + opcode - first_own];
    return place == 0 ? nullptr : &table[place - 1];
}

}  // namespace xenfs::server
