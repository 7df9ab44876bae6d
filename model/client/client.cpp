#include "model/client/client.h"

#include <algorithm>

namespace xenfs::client {
namespace {

constexpr std::size_t flip_headroom = std::size_t{4} * protocol::max_pages_per_request;

}  // namespace

Client::Client(host::Host& host, ClientConfig config)
    : host_(host),
      config_(std::move(config)),
      connection_(host, config_, stats_),
      pages_(host, config_, stats_),
      choice_(shared_),
      balloon_(shared_),
      exchange_(shared_, choice_, balloon_, open_files_),
      flusher_(shared_, choice_, exchange_),
      fetch_(shared_, choice_, exchange_, flusher_),
      opens_(shared_, exchange_, flusher_),
      texts_(shared_),
      attributes_(shared_, exchange_, opens_, texts_),
      names_(shared_, attributes_, opens_, texts_),
      locks_(shared_),
      open_files_(shared_, names_, attributes_, opens_, locks_),
      reader_(shared_, attributes_, fetch_),
      writer_(shared_, choice_, exchange_, flusher_, fetch_, attributes_, locks_),
      ranges_(shared_, exchange_, flusher_, attributes_, reader_, writer_),
      loans_(shared_, choice_, exchange_, flusher_, fetch_, attributes_, reader_),
      notices_(shared_, choice_, exchange_, opens_, names_, locks_),
      resumption_(shared_, exchange_, opens_, names_, locks_),
      exit_gate_(host.tasks().make_gate()) {}

Client::~Client() = default;

template <class PartType>
void Client::start(const char* name, PartType& part, void (PartType::*body)()) {
    ++tasks_;
    part.start();
    const auto run = [this, &part, body]() MAY_YIELD {
        (part.*body)();
        --tasks_;
        exit_gate_->wake_all();
    };
    host_.tasks().spawn(name, run, true);
}

int Client::mount() {
    if (mounted_) return EBUSY;
    if (int error = connection_.open()) return error;
    mounted_ = true;
    start("xenfs-notices", notices_, &NoticeHandler::serve);
    start("xenfs-write-behind", flusher_, &Flusher::write_behind);
    if (connection_.recoverable()) {
        start("xenfs-follow-server", resumption_, &Resumption::follow_server);
    }
    if (config_.donate > 0) donate(config_.donate);
    // A frame that is flipped to a domain at its limit is lost, so the limit leaves room for those
    // in flight.
    if (host_.capabilities().transfer) {
        host_.frames().set_limit(host_.frames().limit() + flip_headroom);
    }
    return 0;
}

int Client::unmount() {
    if (!mounted_) return EINVAL;
    const int error = sync();
    drop_caches();
    nodes_.for_each([&](const Node& node) {
        pages_.drop_range(node.file(), 0, UINT32_MAX);
        pages_.drop_range(node.kernel_file(), 0, UINT32_MAX);
    });
    exchange_.release(Urgency::ordinary);
    pages_.give_frames_back();
    resumption_.stop();
    flusher_.stop();
    notices_.stop();
    connection_.close();
    while (tasks_ > 0) exit_gate_->wait(config_.mount_timeout);
    balloon_.reclaim_all();
    if (host_.capabilities().transfer) {
        host_.frames().set_limit(host_.frames().limit() - flip_headroom);
    }
    mounted_ = false;
    return error;
}

int Client::setxattr(NodeId id, std::string_view name, std::string_view value, int flags) {
    Node* const known = name == protocol::file_capabilities ? nodes_.find(id) : nullptr;
    if (known != nullptr) {  // a write ends them, also one that is sent later
        const NodeUse node(*known);
        if (int error = flusher_.flush(*node)) return error;
    }
    return attributes_.setxattr(id, name, value, flags);
}

int Client::fsync(Handle handle, bool data_only) {
    host_.clock().charge(host_.core_costs().syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return EBADF;
    const NodeUse node(*file->node);
    return flusher_.sync(*node, data_only);
}

int Client::sync() {
    host_.clock().charge(host_.core_costs().syscall);
    const int error = flusher_.flush_all();
    Call call(connection_, protocol::Opcode::syncfs, root_node);
    call.put(std::uint64_t{0});
    const int failed = call.send();
    return error != 0 ? error : failed;
}

void Client::drop_caches() {
    for (std::uint32_t i = 0; i < nodes_.records(); ++i) {
        if (!nodes_.at(i).used) continue;
        const NodeUse node(nodes_.at(i));
        pages_.drop_clean(node->file());
        pages_.drop_clean(node->kernel_file());
        node->uses = {};
        if (node->handles == 0) opens_.release_idle(*node);
        if (!node->state.leased()) node->state.forget();
    }
    names_.clear();
    exchange_.release(Urgency::ordinary, protocol::max_release_per_request / 2);
    pages_.give_frames_back();
}

NodeId Client::opened_as(Handle handle, bool& read, bool& write) {
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return 0;
    read = file->read;
    write = file->write;
    return file->node->id;
}

std::size_t Client::memory_bytes() const {
    return pages_.memory_bytes() + names_.memory_bytes();
}

}  // namespace xenfs::client
