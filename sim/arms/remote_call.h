#pragma once
// A request of a guest to its file server in dom0 and the reply: what 9p and virtiofs have in
// common. In the simulator the arguments are a closure, so only the size of what is on the wire is
// stated.

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/files/file_system.h"
#include "model/host/tasks.h"

namespace xenfs::sim {

class RemoteServer;

enum class RemoteOp : std::uint8_t {
    lookup,
    getattr,
    setattr,
    readlink,
    create,
    link,
    remove,
    rename,
    readdir,
    statfs,
    xattr,
    open,
    close,
    read,
    write,
    fsync,
    lock,
    setup_mapping,
    remove_mapping,
    count_
};
inline constexpr std::size_t remote_ops = static_cast<std::size_t>(RemoteOp::count_);
inline constexpr std::array<const char*, remote_ops> remote_op_names = {
    "lookup", "getattr", "setattr", "readlink",      "create",        "link",  "remove",
    "rename", "readdir", "statfs",  "xattr",         "open",          "close", "read",
    "write",  "fsync",   "lock",    "setup_mapping", "remove_mapping"};

struct RemoteReply {
    int error = 0;
    files::Attr attr;
    std::vector<Fingerprint> pages;
    std::size_t bytes = 0;  ///< of data that were read
    std::string text;
    std::vector<std::string> names;
    std::vector<files::DirEntry> entries;
    files::StatFs statfs;
    files::FileLock lock;
    std::size_t payload_bytes = 0;  ///< beyond the header
};

/// Shared by guest and server while under way: the guest may die meanwhile.
struct RemoteCall {
    RemoteOp op = RemoteOp::lookup;
    std::uint64_t number = 0;       ///< of the guest's requests, in the order of sending
    std::size_t payload_bytes = 0;  ///< of the request
    std::function<void(RemoteServer&, RemoteReply&)> body;
    RemoteReply reply;
    bool done = false;
    std::unique_ptr<host::Gate> gate;  ///< the guest's
};

/// How requests travel, and how many an operation takes.
struct RemoteProtocol {
    std::string name;                              ///< prefix of counters
    std::array<std::uint8_t, remote_ops> trips{};  ///< requests, one after the other, an operation
    std::uint8_t absent_trips = 1;                 ///< of a look-up that finds nothing
    Nanoseconds guest_request_ns = 0;              ///< built, and its reply parsed
    Nanoseconds server_request_ns = 0;             ///< taken, decoded, answered
    Nanoseconds wake_ns = 0;                       ///< a daemon that was idle runs
    Nanoseconds hypercall_ns = 0;                  ///< of each side's notification
    Nanoseconds event_ns = 0;                      ///< its way
    double ring_byte_ns = 0;         ///< guest's copy of each payload byte through the ring; 0: the
                                     ///< server reaches the guest's pages itself
    std::size_t ring_bytes = 0;      ///< of payload under way at most; 0: not bounded
    std::size_t header_bytes = 0;    ///< of a request or reply
    std::size_t transfer_bytes = 0;  ///< payload of a read or write at most, whole pages
};

}  // namespace xenfs::sim
