// Open files and their pages.
#include <algorithm>

#include "sim/arms/nfs_fs.h"

namespace xenfs::sim {
namespace {
constexpr std::size_t calls_in_flight = 16;  // WRITEs, Linux's initial RPC slots [M]
}  // namespace

Result<Attr> NfsFs::open(NodeId node, bool) {
    if (!info(node).known || !info(node).fresh) {
        if (const int error = ask(node)) return Errno{error};
    }
    info(node).fresh = false;
    if (const int error = check_access(node)) return Errno{error};
    return info(node).attr;
}

int NfsFs::close(NodeId node, bool wrote, bool last) {
    int error = 0;
    if (wrote) {
        error = vfs_->pages().flush(node);
        const int committed = commit(node, false);
        if (error == 0) error = committed;
    }
    Info& of = info(node);
    of.fresh = false;
    if (!last || of.silly.empty()) return error;
    const std::string silly = std::move(of.silly);
    of.silly.clear();
    const NodeId parent = of.silly_parent;
    const Call made = call(NfsProcedure::remove, silly.size(),
                           [parent, silly](NfsServer& server, NfsReply& reply) {
                               server.remove(parent, silly, false, reply);
                           });
    learn_directory(parent, made->reply, true);
    lost(node);
    return error;
}

Result<std::uint64_t> NfsFs::revalidate(NodeId node) {
    if (node >= infos_.size() || !infos_[node] || !trusted(*infos_[node])) {
        ++stats_.revalidations;
        if (const int error = ask(node)) return Errno{error};
    }
    return size_of(node);
}

int NfsFs::commit(NodeId node, bool) {
    Info& of = info(node);
    if (of.unstable) {
        of.unstable = false;
        const Call made = call(NfsProcedure::commit, 0, [node](NfsServer& server, NfsReply& reply) {
            server.commit(node, reply);
        });
        if (made->reply.error != 0) return made->reply.error;
        learn(made->reply.attr, true);
    }
    // All that was written here is in the server's size now, unless it was written meanwhile.
    if (of.writes == 0 && !vfs_->pages().dirty(node)) of.local_end = 0;
    return 0;
}

int NfsFs::read_pages(NodeId node, std::uint64_t first_page, std::span<Fingerprint> out) {
    for (std::size_t done = 0; done < out.size();) {
        const std::size_t count = std::min<std::size_t>(transfer_pages_, out.size() - done);
        const Call made =
            call(NfsProcedure::read, 16,
                 [node, first = first_page + done, count](NfsServer& server, NfsReply& reply) {
                     server.read(node, first, count, reply);
                 });
        if (made->reply.error != 0) return made->reply.error;
        std::copy(made->reply.pages.begin(), made->reply.pages.end(), out.begin() + done);
        done += count;
    }
    return 0;
}

void NfsFs::write_pages(std::span<Run> runs) {
    struct Sent {
        Call call;
        std::size_t run;
    };
    std::deque<Sent> sent;
    const auto take = [&] {
        const Sent first = std::move(sent.front());
        sent.pop_front();
        wait(first.call);
        const NfsReply& reply = first.call->reply;
        Info& of = info(runs[first.run].node);
        if (reply.error != 0) {
            runs[first.run].error = reply.error;
        } else {
            of.unstable = true;
            learn(reply.attr, true);
        }
        --of.writes;
    };
    for (std::size_t i = 0; i < runs.size(); ++i) {
        Run& run = runs[i];
        const std::uint64_t end = size_of(run.node);
        for (std::size_t done = 0; done < run.pages.size();) {
            const std::uint64_t first = run.first_page + done;
            if (first << page_shift >= end) break;  // the file was cut since
            const std::size_t count =
                std::min<std::size_t>(transfer_pages_, run.pages.size() - done);
            if (sent.size() == calls_in_flight) take();
            const auto piece = run.pages.subspan(done, count);
            const std::size_t bytes =
                std::min<std::uint64_t>(end - (first << page_shift), count * page_size);
            ++info(run.node).writes;
            sent.push_back({start(NfsProcedure::write, bytes,
                                  [node = run.node, first, end,
                                   data = std::vector<Fingerprint>(piece.begin(), piece.end())](
                                      NfsServer& server, NfsReply& reply) mutable {
                                      server.write(node, first, data, end, reply);
                                  }),
                            i});
            done += count;
        }
    }
    while (!sent.empty()) take();
}

std::uint64_t NfsFs::size_of(NodeId node) const {
    if (node >= infos_.size() || !infos_[node] || !infos_[node]->known) return 0;
    return std::max(infos_[node]->attr.size, infos_[node]->local_end);
}

void NfsFs::extend(NodeId node, std::uint64_t end) {
    Info& of = info(node);
    of.local_end = std::max(of.local_end, end);
}

}  // namespace xenfs::sim
