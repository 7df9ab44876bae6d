#pragma once
// The table of operations: one row for each opcode that the server answers. Whatever distinguishes
// operations before their handlers run (rights, statistics, urgency, recovery) is a column here and
// is tested in one place. An opcode without a row is answered with ENOSYS.

#include <cstdint>
#include <span>
#include <string_view>

#include "model/protocol/message.h"
#include "model/server/handlers.h"
#include "model/server/latency.h"

namespace xenfs::server {

struct Request;

/// What the client's attachment must allow. A handler checks the open file besides.
enum class Right : std::uint8_t {
    none,  ///< concerns the connection itself, or gives something back
    read,
    write,      ///< refused with EROFS on a read-only attachment
    by_request  ///< read or write: Operation::writes looks at the arguments
};

/// How a restarted server tells whether its predecessor, killed half-way, carried the request out.
enum class Outcome : std::uint8_t {
    repeatable,    ///< carrying it out twice does no harm
    makes_name,    ///< the name exists
    links,         ///< the name exists and is the node's
    removes_name,  ///< the name exists no more, or is another node's
    moves,         ///< the node has the new name and not the old one
    resizes,       ///< the file has the size that was asked for
    recorded       ///< only the intent's record says so
};

/// Whether it is served while a restarted server waits for the clients of its predecessor.
enum class DuringRecovery : std::uint8_t { waits, served, served_while_resuming };

struct Operation {
    protocol::Opcode opcode;
    std::string_view name;
    int (*handler)(Handlers&, Request&);  ///< may yield
    RequestKind kind;
    Right right;
    Outcome outcome;
    DuringRecovery during_recovery = DuringRecovery::waits;
    /// A client may need it to carry out a notice, and may mark it as urgent then.
    bool may_be_urgent = false;
    /// It takes frames of the pool, so it queues behind requests that wait for frames.
    bool takes_frames = false;
    /// For Right::by_request; the reader stands at the first argument.
    bool (*writes)(protocol::Reader args) = nullptr;
    /// Whether the arguments also ask for what the file holds to be durable: then the request
    /// counts as RequestKind::sync. Null: never.
    bool (*syncs)(protocol::Reader args) = nullptr;

    RequestKind kind_of(protocol::Reader args) const {
        return syncs != nullptr && syncs(args) ? RequestKind::sync : kind;
    }
    bool needs_write(protocol::Reader args) const {
        return right == Right::write || (right == Right::by_request && writes(args));
    }
};

/// All rows, by ascending opcode.
std::span<const Operation> operations();
/// Null: the server does not have it.
const Operation* find_operation(std::uint32_t opcode);

}  // namespace xenfs::server
