// Calls, and what is known of attributes for how long.
#include <algorithm>

#include "sim/arms/nfs_fs.h"

namespace xenfs::sim {

NfsFs::NfsFs(Machine& machine, Domain& guest, VirtualNetwork& network, NfsServer& server)
    : guest_(guest),
      clock_(guest.host().clock()),
      network_(network),
      server_(server),
      request_ns_(machine.costs().time("nfs.client_request")),
      file_trust_(machine.costs().time("nfs.attribute_timeout")),
      file_trust_max_(machine.costs().time("nfs.attribute_timeout_max")),
      directory_trust_(machine.costs().time("nfs.directory_timeout")),
      directory_trust_max_(machine.costs().time("nfs.directory_timeout_max")),
      lock_retry_(machine.costs().time("nfs.lock_retry")),
      transfer_pages_(
          std::max<std::uint64_t>(machine.costs().count("nfs.transfer_size") / page_size, 1)),
      header_bytes_(server.header_bytes()) {}

NfsFs::Call NfsFs::start(NfsProcedure procedure, std::size_t payload_bytes, Body body) {
    ++stats_.calls[static_cast<std::size_t>(procedure)];
    auto made = std::make_shared<NfsCall>();
    made->procedure = procedure;
    made->payload_bytes = payload_bytes;
    made->body = std::move(body);
    made->gate = guest_.host().tasks().make_gate();
    clock_.charge(request_ns_);
    network_.send(guest_, header_bytes_ + payload_bytes,
                  [&server = server_, made] { server.arrived(made); });
    return made;
}

void NfsFs::wait(const Call& of) {
    while (!of->done) of->gate->wait();
    clock_.charge(network_.side_ns(header_bytes_ + of->reply.payload_bytes));
}

NfsFs::Call NfsFs::call(NfsProcedure procedure, std::size_t payload_bytes, Body body) {
    Call made = start(procedure, payload_bytes, std::move(body));
    wait(made);
    return made;
}

NfsFs::Info& NfsFs::info(NodeId node) {
    if (node >= infos_.size()) infos_.resize(node + node / 2 + 64);
    if (!infos_[node]) infos_[node] = std::make_unique<Info>();
    return *infos_[node];
}

bool NfsFs::trusted(const Info& of) const {
    return of.known && clock_.now() < of.fetched + of.trust;
}

/// Attributes came from the server. A change that is not our own makes cached pages stale.
void NfsFs::learn(const Attr& attr, bool own_change) {
    Info& of = info(attr.node);
    const bool directory = attr.type == FileType::directory;
    const Nanoseconds least = directory ? directory_trust_ : file_trust_;
    const Nanoseconds most = directory ? directory_trust_max_ : file_trust_max_;
    const bool changed = !of.known || attr.mtime != of.attr.mtime || attr.ctime != of.attr.ctime;
    const bool writing = of.writes > 0 || of.local_end > 0;
    if (of.known && !own_change && !writing && !directory && attr.mtime != of.attr.mtime) {
        if (vfs_->pages().has_pages(attr.node)) ++stats_.pages_stale;
        vfs_->pages().invalidate(attr.node);
    }
    if (of.known && !own_change && attr.ctime != of.attr.ctime) of.access = false;
    // As long as it is asked in time, trust does not grow; it doubles when it ran out unchanged.
    const bool ran_out = of.known && clock_.now() >= of.fetched + of.trust;
    of.trust = changed || of.trust == 0 ? least : ran_out ? std::min(of.trust * 2, most) : of.trust;
    of.attr = attr;
    of.known = true;
    of.fetched = clock_.now();
}

/// The directory's attributes after a call that concerned it.
void NfsFs::learn_directory(NodeId directory, const NfsReply& reply, bool own_change) {
    Info& of = info(directory);
    if (!reply.has_directory) {
        of.trust = 0;
        return;
    }
    const WorldTime expected = own_change ? reply.directory_before : reply.directory.mtime;
    if (of.names_mtime != expected) vfs_->names().forget_directory(directory);
    of.names_mtime = reply.directory.mtime;
    learn(reply.directory, own_change);
}

int NfsFs::ask(NodeId node) {
    const Call made = call(NfsProcedure::getattr, 0, [node](NfsServer& server, NfsReply& reply) {
        server.getattr(node, reply);
    });
    if (made->reply.error == 0) {
        learn(made->reply.attr, false);
    } else if (made->reply.error == ESTALE) {
        lost(node);
    }
    return made->reply.error;
}

/// The server has it no longer.
void NfsFs::lost(NodeId node) {
    vfs_->pages().forget(node);
    Info& of = info(node);
    of.known = false;
    of.local_end = 0;
}

int NfsFs::check_access(NodeId node) {
    if (info(node).access) return 0;
    const Call made = call(NfsProcedure::access, 0, [node](NfsServer& server, NfsReply& reply) {
        server.getattr(node, reply);
    });
    if (made->reply.error != 0) return made->reply.error;
    learn(made->reply.attr, false);
    info(node).access = true;
    return 0;
}

Result<Attr> NfsFs::getattr(NodeId node) {
    const Result<std::uint64_t> size = revalidate(node);
    if (!size) return Errno{size.error()};
    Attr attr = info(node).attr;
    attr.size = *size;
    return attr;
}

Result<Attr> NfsFs::setattr(NodeId node, const SetAttr& change) {
    const bool cut = (change.valid & SetAttr::size_) != 0;
    if (cut) {
        // What is dirty goes first, so that no late WRITE makes the file longer again.
        if (const int error = vfs_->pages().flush(node)) return Errno{error};
    }
    const Call made =
        call(NfsProcedure::setattr, 64, [node, change](NfsServer& server, NfsReply& reply) {
            server.setattr(node, change, reply);
        });
    if (made->reply.error != 0) return Errno{made->reply.error};
    if (cut) info(node).local_end = 0;
    learn(made->reply.attr, true);
    return made->reply.attr;
}

Result<StatFs> NfsFs::statfs() {
    const Call made = call(NfsProcedure::fsstat, 0, [](NfsServer& server, NfsReply& reply) {
        reply.statfs = *server.fs().statfs();
    });
    return made->reply.statfs;
}

Result<std::string> NfsFs::getxattr(NodeId node, std::string_view name) {
    const Call made = call(NfsProcedure::xattr, name.size(),
                           [node, key = std::string(name)](NfsServer& server, NfsReply& reply) {
                               auto value = server.fs().getxattr(node, key);
                               reply.error = value.error();
                               reply.text = *value;
                               reply.payload_bytes = reply.text.size();
                           });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.text;
}

int NfsFs::setxattr(NodeId node, std::string_view name, std::string_view value, int flags) {
    return call(NfsProcedure::xattr, name.size() + value.size(),
                [node, key = std::string(name), text = std::string(value), flags](NfsServer& server,
                                                                                  NfsReply& reply) {
                    reply.error = server.fs().setxattr(node, key, text, flags);
                })
        ->reply.error;
}

Result<std::vector<std::string>> NfsFs::listxattr(NodeId node) {
    const Call made = call(NfsProcedure::xattr, 0, [node](NfsServer& server, NfsReply& reply) {
        auto names = server.fs().listxattr(node);
        reply.error = names.error();
        reply.names = *names;
        for (const std::string& name : reply.names) reply.payload_bytes += name.size() + 4;
    });
    if (made->reply.error != 0) return Errno{made->reply.error};
    return made->reply.names;
}

int NfsFs::removexattr(NodeId node, std::string_view name) {
    return call(NfsProcedure::xattr, name.size(),
                [node, key = std::string(name)](NfsServer& server, NfsReply& reply) {
                    reply.error = server.fs().removexattr(node, key);
                })
        ->reply.error;
}

/// Owners of different guests are different: the guest's number is mixed in.
int NfsFs::set_lock(NodeId node, const files::FileLock& lock, bool may_wait) {
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    for (;;) {
        const Call made =
            call(NfsProcedure::lock, 64, [node, wanted](NfsServer& server, NfsReply& reply) {
                if (!server.locks().set(node, wanted)) reply.error = EAGAIN;
            });
        if (made->reply.error != EAGAIN || !may_wait) return made->reply.error;
        clock_.sleep(lock_retry_);
    }
}

Result<files::FileLock> NfsFs::get_lock(NodeId node, const files::FileLock& lock) {
    files::FileLock wanted = lock;
    wanted.owner ^= std::uint64_t{guest_.id()} << 48;
    files::FileLock found =
        call(NfsProcedure::lock, 64, [node, wanted](NfsServer& server, NfsReply& reply) {
            reply.lock = server.locks().conflict(node, wanted);
        })->reply.lock;
    found.owner ^= std::uint64_t{guest_.id()} << 48;
    return found;
}

void NfsFs::drop_locks(NodeId node, std::uint64_t owner, bool whole_file) {
    const std::uint64_t there = owner ^ (std::uint64_t{guest_.id()} << 48);
    call(NfsProcedure::lock, 64, [node, there, whole_file](NfsServer& server, NfsReply&) {
        server.locks().drop(node, there, whole_file);
    });
}

void NfsFs::drop_caches() {
    for (auto& of : infos_) {
        if (of) of->trust = 0;
    }
}

Counters NfsFs::counters() const {
    Counters counters = {{"nfs_revalidations", stats_.revalidations},
                         {"nfs_files_stale", stats_.pages_stale},
                         {"nfs_silly_renames", stats_.silly_renames}};
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < stats_.calls.size(); ++i) {
        counters.emplace_back(std::string("nfs_") + nfs_procedure_names[i], stats_.calls[i]);
        all += stats_.calls[i];
    }
    counters.emplace_back("nfs_calls", all);
    return counters;
}

}  // namespace xenfs::sim
