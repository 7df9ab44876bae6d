// Requests, open files and their data.
#include "sim/arms/remote_fs.h"

#include <algorithm>

namespace xenfs::sim {

RemoteFs::RemoteFs(Machine& machine, Domain& guest, RemoteServer& server,
                   const RemoteProtocol& protocol, const RemoteOptions& options)
    : machine_(machine),
      guest_(guest),
      clock_(guest.host().clock()),
      server_(server),
      protocol_(protocol),
      options_(options),
      lock_retry_ns_(machine.costs().time("p9.lock_retry")),
      ring_space_(guest.host().tasks().make_gate()),
      unlocked_(guest.host().tasks().make_gate()) {}

/// One request and its reply.
RemoteFs::Call RemoteFs::request(RemoteOp op, std::size_t payload_bytes, std::size_t reply_bytes,
                                 Body body) {
    auto made = std::make_shared<RemoteCall>();
    made->number = ++stats_.requests;
    made->op = op;
    made->payload_bytes = payload_bytes;
    made->body = std::move(body);
    made->gate = guest_.host().tasks().make_gate();
    const std::size_t room = std::max(payload_bytes, reply_bytes) + protocol_.header_bytes;
    if (protocol_.ring_bytes > 0) {
        if (ring_used_ + room > protocol_.ring_bytes) ++stats_.ring_waits;
        while (ring_used_ > 0 && ring_used_ + room > protocol_.ring_bytes) ring_space_->wait();
        ring_used_ += room;
    }
    clock_.charge(protocol_.guest_request_ns + protocol_.hypercall_ns);
    charge_ring(payload_bytes);
    clock_.flush();
    Simulation& simulation = machine_.simulation();
    simulation.at(simulation.now() + protocol_.event_ns,
                  [&server = server_, made] { server.arrived(made); });
    while (!made->done) made->gate->wait();
    charge_ring(made->reply.payload_bytes);
    if (protocol_.ring_bytes > 0) {
        ring_used_ -= room;
        ring_space_->wake_all();
    }
    return made;
}

void RemoteFs::charge_ring(std::size_t bytes) {
    if (protocol_.ring_byte_ns == 0) return;
    stats_.bytes_copied += bytes;
    clock_.charge(static_cast<Nanoseconds>(protocol_.ring_byte_ns * static_cast<double>(bytes)));
}

RemoteFs::Call RemoteFs::call(RemoteOp op, std::size_t payload_bytes, std::size_t reply_bytes,
                              Body body) {
    const auto index = static_cast<std::size_t>(op);
    ++stats_.operations[index];
    for (unsigned trip = 1; trip < protocol_.trips[index]; ++trip) request(op, 0, 0, {});
    return request(op, payload_bytes, reply_bytes, std::move(body));
}

Result<Attr> RemoteFs::open(NodeId node, bool) {
    const Call made = call(RemoteOp::open, 0, [node](RemoteServer& server, RemoteReply& reply) {
        server.open(node, reply);
    });
    if (made->reply.error != 0) {
        if (made->reply.error == ESTALE) lost(node);
        return Errno{made->reply.error};
    }
    if (!options_.keep_pages_at_open && !vfs_->is_open(node) && vfs_->pages().has_pages(node)) {
        ++stats_.pages_stale;
        vfs_->pages().invalidate(node);
    }
    learn(made, false);
    return info(node).attr;
}

int RemoteFs::close(NodeId node, bool, bool last) {
    const Call made = call(RemoteOp::close, 0, [node](RemoteServer& server, RemoteReply& reply) {
        server.getattr(node, reply);
        reply.error = 0;
        server.close(node);
    });
    if (last && made->reply.attr.links == 0) lost(node);
    return 0;
}

Result<std::uint64_t> RemoteFs::revalidate(NodeId node) {
    Info& of = info(node);
    if (options_.data == DataCaching::none) {
        // Nobody is asked: the reply says how much there was. Here we know it before.
        const Inode* inode = server_.shared().mount.volume().find(node);
        if (inode == nullptr) return Errno{ESTALE};
        of.attr.size = inode->attr.size;
        return of.attr.size;
    }
    if (!of.known || !in_time(of.fetched, options_.attribute_timeout_ns)) {
        if (const int error = ask(node)) return Errno{error};
    }
    return size_of(node);
}

int RemoteFs::commit(NodeId node, bool data_only) {
    return call(RemoteOp::fsync, 0,
                [node, data_only](RemoteServer& server, RemoteReply& reply) {
                    server.fsync(node, data_only, reply);
                })
        ->reply.error;
}

Result<std::size_t> RemoteFs::read_range(NodeId node, std::uint64_t offset, host::Buffer into) {
    std::size_t done = 0;
    while (done < into.length) {
        const std::uint64_t at = offset + done;
        const std::size_t length = std::min<std::uint64_t>(
            into.length - done, protocol_.transfer_bytes - (at & (page_size - 1)));
        const Call made = call(RemoteOp::read, 0, length,
                               [node, at, length](RemoteServer& server, RemoteReply& reply) {
                                   server.read(node, at, length, reply);
                               });
        if (made->reply.error != 0) return Errno{made->reply.error};
        if (into.pages != nullptr) {
            std::copy(made->reply.pages.begin(), made->reply.pages.end(),
                      into.pages + ((at >> page_shift) - (offset >> page_shift)));
        }
        done += made->reply.bytes;
        if (made->reply.bytes < length) break;
    }
    return done;
}

int RemoteFs::read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) {
    const Result<std::size_t> got =
        read_range(node, first_page << page_shift, {nullptr, out.data(), out.size() * page_size});
    return got.error();
}

int RemoteFs::write_range(NodeId node, std::uint64_t offset, host::Buffer from) {
    for (std::size_t done = 0; done < from.length;) {
        const std::uint64_t at = offset + done;
        const std::size_t length = std::min<std::uint64_t>(
            from.length - done, protocol_.transfer_bytes - (at & (page_size - 1)));
        std::vector<Fingerprint> pages;
        if (from.pages != nullptr) {
            const std::uint64_t first = (at >> page_shift) - (offset >> page_shift);
            const std::uint64_t end =
                ((at + length + page_size - 1) >> page_shift) - (offset >> page_shift);
            pages.assign(from.pages + first, from.pages + end);
        }
        ++info(node).writes;
        const Call made = call(RemoteOp::write, length,
                               [node, at, length, pages = std::move(pages)](
                                   RemoteServer& server, RemoteReply& reply) mutable {
                                   server.write(node, at, pages, length, reply);
                               });
        Info& of = info(node);
        --of.writes;
        of.written = stats_.requests;
        if (made->reply.error != 0) return made->reply.error;
        learn(made, true);
        of.expired = true;  // the reply carries no times
        done += length;
    }
    return 0;
}

void RemoteFs::write_pages(std::span<Run> runs) {
    for (Run& run : runs) {
        const std::uint64_t start = run.first_page << page_shift;
        const std::uint64_t end = size_of(run.node);
        if (start >= end) continue;  // the file was cut since
        const std::size_t length =
            std::min<std::uint64_t>(end - start, run.pages.size() * page_size);
        std::vector<Fingerprint> content(run.pages.begin(), run.pages.end());
        run.error = write_range(run.node, start, {nullptr, content.data(), length});
    }
}

std::uint64_t RemoteFs::size_of(NodeId node) const {
    if (node >= infos_.size() || !infos_[node]) return 0;
    return std::max(infos_[node]->attr.size, infos_[node]->local_end);
}

void RemoteFs::extend(NodeId node, std::uint64_t end) {
    Info& of = info(node);
    of.local_end = std::max(of.local_end, end);
}

}  // namespace xenfs::sim
