#include "sim/arms/nfs_server.h"

#include <algorithm>

namespace xenfs::sim {

NfsServer::NfsServer(Machine& machine, Domain& dom0, VirtualNetwork& network,
                     VolumeStorage& storage, const NfsServerOptions& options)
    : dom0_(dom0),
      network_(network),
      storage_(storage),
      options_(options),
      request_ns_(machine.costs().time("nfs.server_request")),
      header_bytes_(machine.costs().count("nfs.header")),
      fs_(dom0, storage),
      names_(1 << 20),
      pages_(dom0, fs_, options.cache),
      idle_(dom0.host().tasks().make_gate()) {
    storage.volume().on_forget([this](NodeId node) { pages_.forget(node); });
    for (unsigned i = 0; i < options.threads; ++i) {
        dom0.spawn(
            "nfsd/" + std::to_string(i), [this] { serve(); }, true);
    }
}

void NfsServer::arrived(std::shared_ptr<NfsCall> call) {
    queue_.push_back(std::move(call));
    idle_->wake_one();
}

void NfsServer::serve() {
    host::Clock& clock = dom0_.host().clock();
    for (;;) {
        while (queue_.empty()) idle_->wait();
        const std::shared_ptr<NfsCall> call = std::move(queue_.front());
        queue_.pop_front();
        ++stats_.calls[static_cast<std::size_t>(call->procedure)];
        const std::size_t request_bytes = header_bytes_ + call->payload_bytes;
        stats_.bytes_in += request_bytes;
        clock.charge(network_.side_ns(request_bytes) + request_ns_);
        call->body(*this, call->reply);
        const std::size_t reply_bytes = header_bytes_ + call->reply.payload_bytes;
        stats_.bytes_out += reply_bytes;
        network_.send(dom0_, reply_bytes, [call] {
            call->done = true;
            call->gate->wake_one();
        });
    }
}

void NfsServer::getattr(NodeId node, NfsReply& reply) {
    const Result<Attr> attr = fs_.getattr(node);
    reply.error = attr.error();
    reply.has_attr = bool(attr);
    if (attr) reply.attr = *attr;
}

void NfsServer::setattr(NodeId node, const SetAttr& change, NfsReply& reply) {
    const Result<Attr> attr = fs_.setattr(node, change);
    reply.error = attr.error();
    if (!attr) return;
    if ((change.valid & SetAttr::size_) != 0) pages_.truncate(node, attr->size);
    if (options_.sync) storage_.sync_all();
    getattr(node, reply);
}

void NfsServer::lookup(NodeId parent, const std::string& name, NfsReply& reply) {
    const Name key{std::string_view(name)};
    const NodeId known = names_.find(parent, key);
    if (known == client::EntryCache::unknown) {
        const Result<Attr> found = fs_.lookup(parent, key);
        reply.error = found.error();
        if (found) {
            reply.attr = *found;
            reply.has_attr = true;
        }
        // What it found is cached if it is still so: the look-up may have waited for the disk.
        const Result<Attr> now = storage_.volume().lookup(parent, name, key.hash);
        if (now) names_.put(parent, key, now->node);
        if (now.error() == ENOENT) names_.put(parent, key, client::EntryCache::negative);
    } else if (known == client::EntryCache::negative) {
        reply.error = ENOENT;
    } else {
        getattr(known, reply);
    }
    if (const Inode* directory = storage_.volume().find(parent)) {
        reply.directory = directory->attr;
        reply.has_directory = true;
    }
}

void NfsServer::readlink(NodeId node, NfsReply& reply) {
    const Result<std::string> target = fs_.readlink(node);
    reply.error = target.error();
    if (target) reply.text = *target;
    reply.payload_bytes = reply.text.size();
}

void NfsServer::read(NodeId node, std::uint64_t first_page, std::size_t count, NfsReply& reply) {
    reply.pages.assign(count, zero_fingerprint);
    const std::uint64_t end = (fs_.size_of(node) + page_size - 1) >> page_shift;
    if (first_page < end) {
        const std::size_t have = std::min<std::uint64_t>(count, end - first_page);
        reply.error = pages_.lend(node, first_page, {reply.pages.data(), have});
        reply.payload_bytes = have * page_size;
    }
    const int error = reply.error;
    getattr(node, reply);
    if (error != 0) reply.error = error;
}

void NfsServer::write(NodeId node, std::uint64_t first_page, std::span<Fingerprint> pages,
                      std::uint64_t file_end, NfsReply& reply) {
    if (storage_.volume().find(node) == nullptr) {
        reply.error = ESTALE;
        return;
    }
    const int error = pages_.write(node, first_page << page_shift,
                                   {nullptr, pages.data(), pages.size() * page_size}, file_end);
    getattr(node, reply);
    if (error != 0) reply.error = error;
}

void NfsServer::commit(NodeId node, NfsReply& reply) {
    const int error = pages_.flush(node);
    const int committed = fs_.commit(node, false);
    getattr(node, reply);
    if (error != 0 || committed != 0) reply.error = error != 0 ? error : committed;
}

WorldTime NfsServer::directory_time(NodeId directory) const {
    const Inode* inode = storage_.volume().find(directory);
    return inode == nullptr ? WorldTime{} : inode->attr.mtime;
}

void NfsServer::after_change(NodeId directory, WorldTime before, NfsReply& reply) {
    reply.directory_before = before;
    if (const Inode* inode = storage_.volume().find(directory)) {
        reply.directory = inode->attr;
        reply.has_directory = true;
    }
    if (reply.error == 0 && options_.sync) storage_.sync_all();
}

void NfsServer::create(NodeId parent, const std::string& name, FileType type, std::uint32_t mode,
                       Owner who, const std::string& target, std::uint32_t rdev, NfsReply& reply) {
    const Name key{std::string_view(name)};
    const WorldTime before = directory_time(parent);
    const Result<Attr> made = fs_.create(parent, key, type, mode, who, target, rdev);
    reply.error = made.error();
    if (made) {
        names_.put(parent, key, made->node);
        reply.attr = *made;
        reply.has_attr = true;
    }
    after_change(parent, before, reply);
}

void NfsServer::remove(NodeId parent, const std::string& name, bool directory, NfsReply& reply) {
    const Name key{std::string_view(name)};
    const WorldTime before = directory_time(parent);
    if (directory) {
        reply.error = fs_.rmdir(parent, key);
    } else {
        const Result<Attr> gone = fs_.unlink(parent, key);
        reply.error = gone.error();
        if (gone) {
            reply.attr = *gone;
            reply.has_attr = true;
        }
    }
    names_.forget(parent, key);
    after_change(parent, before, reply);
}

void NfsServer::rename(NodeId old_parent, const std::string& old_name, NodeId new_parent,
                       const std::string& new_name, std::uint32_t flags, NfsReply& reply) {
    const Name from{std::string_view(old_name)}, to{std::string_view(new_name)};
    const WorldTime before = directory_time(new_parent);
    reply.error = fs_.rename(old_parent, from, new_parent, to, flags);
    names_.forget(old_parent, from);
    names_.forget(new_parent, to);
    after_change(new_parent, before, reply);
}

void NfsServer::link(NodeId node, NodeId parent, const std::string& name, NfsReply& reply) {
    const Name key{std::string_view(name)};
    const WorldTime before = directory_time(parent);
    const Result<Attr> linked = fs_.link(node, parent, key);
    reply.error = linked.error();
    if (linked) {
        names_.put(parent, key, node);
        reply.attr = *linked;
        reply.has_attr = true;
    }
    after_change(parent, before, reply);
}

void NfsServer::readdir(NodeId node, std::uint64_t offset, std::size_t max_entries,
                        NfsReply& reply) {
    auto entries = fs_.readdir(node, offset, max_entries);
    reply.error = entries.error();
    if (!entries) return;
    reply.entries = std::move(*entries);
    for (const DirEntry& entry : reply.entries) reply.payload_bytes += 24 + entry.name.size();
}

}  // namespace xenfs::sim
