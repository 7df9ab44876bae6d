#include "model/server/operations.h"

#include <algorithm>
#include <array>

#include "model/server/server_state.h"

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

using S = ServerState;
using K = RequestKind;
using O = Outcome;

// clang-format off
constexpr std::array table{
    Operation{Opcode::lookup,       "lookup",       &S::lookup,       K::names,      Right::read,  O::repeatable},
    Operation{Opcode::forget,       "forget",       &S::forget,       K::other,      Right::none,  O::repeatable},
    Operation{Opcode::getattr,      "getattr",      &S::getattr,      K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::setattr,      "setattr",      &S::setattr,      K::attributes, Right::write, O::resizes},
    Operation{Opcode::readlink,     "readlink",     &S::readlink,     K::names,      Right::read,  O::repeatable},
    Operation{Opcode::symlink,      "symlink",      &S::symlink,      K::names,      Right::write, O::makes_name},
    Operation{Opcode::mknod,        "mknod",        &S::mknod,        K::names,      Right::write, O::makes_name},
    Operation{Opcode::mkdir,        "mkdir",        &S::mkdir,        K::names,      Right::write, O::makes_name},
    Operation{Opcode::unlink,       "unlink",       &S::unlink,       K::names,      Right::write, O::removes_name},
    Operation{Opcode::rmdir,        "rmdir",        &S::rmdir,        K::names,      Right::write, O::removes_name},
    Operation{Opcode::rename,       "rename",       &S::rename,       K::names,      Right::write, O::moves},
    Operation{Opcode::link,         "link",         &S::link,         K::names,      Right::write, O::links},
    Operation{Opcode::open,         "open",         &S::open,         K::open,       Right::by_request, O::repeatable,
              waits, false, false, open_writes},
    Operation{Opcode::statfs,       "statfs",       &S::statfs,       K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::release,      "release",      &S::release,      K::open,       Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::fsync,        "fsync",        &S::fsync,        K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::setxattr,     "setxattr",     &S::setxattr,     K::attributes, Right::write, O::repeatable},
    Operation{Opcode::getxattr,     "getxattr",     &S::getxattr,     K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::listxattr,    "listxattr",    &S::listxattr,    K::attributes, Right::read,  O::repeatable},
    Operation{Opcode::removexattr,  "removexattr",  &S::removexattr,  K::attributes, Right::write, O::repeatable},
    Operation{Opcode::flush,        "flush",        &S::flush,        K::sync,       Right::none,  O::repeatable},
    Operation{Opcode::init,         "init",         &S::init,         K::other,      Right::none,  O::repeatable,
              DuringRecovery::served},
    Operation{Opcode::opendir,      "opendir",      &S::opendir,      K::open,       Right::by_request, O::repeatable,
              waits, false, false, open_writes},
    Operation{Opcode::readdir,      "readdir",      &S::readdir,      K::names,      Right::read,  O::repeatable},
    Operation{Opcode::releasedir,   "releasedir",   &S::release,      K::open,       Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::fsyncdir,     "fsyncdir",     &S::fsync,        K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::getlk,        "getlk",        &S::getlk,        K::other,      Right::read,  O::repeatable},
    Operation{Opcode::setlk,        "setlk",        &S::setlk,        K::other,      Right::read,  O::repeatable,
              DuringRecovery::served_while_resuming},
    Operation{Opcode::setlkw,       "setlkw",       &S::setlkw,       K::other,      Right::read,  O::repeatable},
    Operation{Opcode::create,       "create",       &S::create,       K::names,      Right::write, O::makes_name},
    Operation{Opcode::interrupt,    "interrupt",    &S::interrupt,    K::other,      Right::none,  O::repeatable},
    Operation{Opcode::destroy,      "destroy",      &S::destroy,      K::other,      Right::none,  O::repeatable},
    Operation{Opcode::batch_forget, "batch_forget", &S::batch_forget, K::other,      Right::none,  O::repeatable},
    Operation{Opcode::rename2,      "rename2",      &S::rename2,      K::names,      Right::write, O::moves},
    Operation{Opcode::syncfs,       "syncfs",       &S::syncfs,       K::sync,       Right::read,  O::repeatable},
    Operation{Opcode::pages_get,    "pages_get",    &S::pages_get,    K::read,       Right::by_request, O::repeatable,
              waits, may_be_urgent, takes_frames, get_writes},
    Operation{Opcode::pages_commit, "pages_commit", &S::pages_commit, K::write,      Right::write, O::recorded,
              waits, may_be_urgent, false, nullptr, commit_syncs},
    Operation{Opcode::pages_release, "pages_release", &S::pages_release, K::other,   Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::donate,       "donate",       &S::donate,       K::other,      Right::none,  O::repeatable},
    Operation{Opcode::reclaim,      "reclaim",      &S::reclaim,      K::other,      Right::none,  O::repeatable},
    Operation{Opcode::lease_return, "lease_return", &S::lease_return, K::other,      Right::none,  O::repeatable,
              waits, may_be_urgent},
    Operation{Opcode::resume,       "resume",       &S::come_back,    K::other,      Right::none,  O::repeatable,
              DuringRecovery::served},
};
// clang-format on

constexpr bool by_opcode(const Operation& a, const Operation& b) {
    return a.opcode < b.opcode;
}
static_assert(std::is_sorted(table.begin(), table.end(), by_opcode));

/// Opcodes lie in two dense ranges: FUSE's and ours.
constexpr std::uint32_t fuse_opcodes = 64, own_opcodes = 8;
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
