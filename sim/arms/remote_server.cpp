#include "sim/arms/remote_server.h"

#include <algorithm>

namespace xenfs::sim {

RemoteServer::RemoteServer(RemoteExport& shared, const std::string& guest,
                           const RemoteProtocol& protocol, unsigned threads)
    : shared_(shared), protocol_(protocol), idle_(shared.dom0.host().tasks().make_gate()) {
    for (unsigned i = 0; i < threads; ++i) {
        shared.dom0.spawn(
            protocol.name + "d/" + guest + "/" + std::to_string(i), [this] { serve(); }, true);
    }
}

void RemoteServer::arrived(std::shared_ptr<RemoteCall> call) {
    queue_.push_back(std::move(call));
    idle_->wake_one();
}

void RemoteServer::serve() {
    host::Clock& clock = shared_.dom0.host().clock();
    Simulation& simulation = shared_.machine.simulation();
    for (;;) {
        if (queue_.empty()) {
            while (queue_.empty()) idle_->wait();
            ++stats_.wakes;
            clock.charge(protocol_.wake_ns);
        }
        const std::shared_ptr<RemoteCall> call = std::move(queue_.front());
        queue_.pop_front();
        ++stats_.requests;
        stats_.bytes_in += protocol_.header_bytes + call->payload_bytes;
        clock.charge(protocol_.server_request_ns);
        if (call->body) call->body(*this, call->reply);
        stats_.bytes_out += protocol_.header_bytes + call->reply.payload_bytes;
        clock.charge(protocol_.hypercall_ns);
        clock.flush();
        simulation.at(simulation.now() + protocol_.event_ns, [call] {
            call->done = true;
            call->gate->wake_one();
        });
    }
}

int RemoteServer::open(NodeId node, RemoteReply& reply) {
    getattr(node, reply);
    if (reply.error != 0) return reply.error;
    Open& of = open_[node];
    if (of.opens == 0) {
        files::OpenFlags flags;
        flags.write = reply.attr.type == files::FileType::regular;
        const auto handle = vfs().open(node, flags);  // may yield: others may have come first
        Open& now = open_[node];
        if (!handle) {
            if (now.opens == 0) open_.erase(node);
            return reply.error = handle.error();
        }
        if (now.opens > 0) {
            vfs().close(*handle);
        } else {
            now.handle = *handle;
        }
        ++now.opens;
        return 0;
    }
    ++of.opens;
    return 0;
}

void RemoteServer::close(NodeId node) {
    const auto found = open_.find(node);
    if (found == open_.end() || --found->second.opens > 0) return;
    const files::Handle handle = found->second.handle;
    open_.erase(found);
    vfs().close(handle);
}

/// The guest's own open where there is one, else one for the moment (a page written back after the
/// last close).
template <class Work>
void RemoteServer::with_handle(NodeId node, RemoteReply& reply, Work work) {
    const auto found = open_.find(node);
    if (found != open_.end() && found->second.opens > 0) return work(found->second.handle);
    files::OpenFlags flags;
    flags.write = true;
    const auto handle = vfs().open(node, flags);
    if (!handle) {
        reply.error = handle.error();
        return;
    }
    work(*handle);
    vfs().close(*handle);
}

void RemoteServer::read(NodeId node, std::uint64_t offset, std::size_t length, RemoteReply& reply) {
    const std::uint64_t first = offset >> page_shift;
    const std::uint64_t end = (offset + length + page_size - 1) >> page_shift;
    reply.pages.assign(end - first, zero_fingerprint);
    with_handle(node, reply, [&](files::Handle handle) {
        const auto got = vfs().read(handle, offset, {nullptr, reply.pages.data(), length});
        reply.error = got.error();
        if (got) reply.bytes = reply.payload_bytes = *got;
    });
}

void RemoteServer::write(NodeId node, std::uint64_t offset, std::vector<Fingerprint>& pages,
                         std::size_t length, RemoteReply& reply) {
    with_handle(node, reply, [&](files::Handle handle) {
        const auto put =
            vfs().write(handle, offset, {nullptr, pages.empty() ? nullptr : pages.data(), length});
        reply.error = put.error();
    });
    if (reply.error == 0) getattr(node, reply);
}

void RemoteServer::fsync(NodeId node, bool data_only, RemoteReply& reply) {
    with_handle(node, reply,
                [&](files::Handle handle) { reply.error = vfs().fsync(handle, data_only); });
}

void RemoteServer::lookup(NodeId parent, const std::string& name, RemoteReply& reply) {
    const auto node = vfs().lookup(parent, std::string_view(name));
    reply.error = node.error();
    if (node) getattr(*node, reply);
}

void RemoteServer::getattr(NodeId node, RemoteReply& reply) {
    const auto attr = vfs().getattr(node);
    reply.error = attr.error();
    if (attr) reply.attr = *attr;
}

void RemoteServer::bring_in(NodeId node, std::uint64_t page, RemoteReply& reply) {
    const Inode* inode = shared_.mount.volume().find(node);
    const std::uint64_t end =
        inode == nullptr ? 0 : (inode->attr.size + page_size - 1) >> page_shift;
    if (page >= end) {
        reply.error = EFAULT;
        return;
    }
    const std::uint64_t window =
        std::max<std::uint32_t>(vfs().pages().options().readahead_pages, 1);
    std::vector<Fingerprint> content(std::min(window, end - page));
    reply.error = vfs().pages().lend(node, page, content);
}

}  // namespace xenfs::sim
