#include "model/server/open_files.h"

#include <algorithm>

namespace xenfs::server {
namespace {

// fh = place + 1 in the low half, the place's generation in the high one: never 0, and a closed
// file's number is not mistaken for its successor's.
std::uint64_t make_fh(std::uint32_t place, std::uint32_t generation) {
    return (std::uint64_t{generation} << 32) | (place + 1);
}

std::uint32_t place_of(std::uint64_t fh) {
    return static_cast<std::uint32_t>(fh) - 1;
}

}  // namespace

std::optional<OpenFile> OpenFiles::find(const Connection& c, std::uint64_t fh) const {
    const std::vector<OpenFile>& files = tables_[c.index].files;
    const std::uint32_t place = place_of(fh);
    if (place >= files.size() || files[place].inode == Inodes::none) return {};
    if (files[place].generation != fh >> 32) return {};
    return files[place];
}

std::uint64_t OpenFiles::publish(const Connection& c, Inodes::Index inode, std::uint32_t flags) {
    Table& table = tables_[c.index];
    if (table.free.empty()) {
        table.free.push_back(static_cast<std::uint32_t>(table.files.size()));
        table.files.emplace_back();
    }
    const std::uint32_t place = table.free.back();
    table.free.pop_back();
    const std::uint32_t access = flags & protocol::open_access_mode;
    OpenFile& file = table.files[place];
    file.inode = inode;
    file.read = access != protocol::open_write_only;
    file.write = access != protocol::open_read_only;
    return make_fh(place, file.generation);
}

bool OpenFiles::restore(const Connection& c, Inodes::Index inode, std::uint64_t fh, bool write) {
    Table& table = tables_[c.index];
    const std::uint32_t place = place_of(fh);
    while (table.files.size() <= place) {
        table.free.push_back(static_cast<std::uint32_t>(table.files.size()));
        table.files.emplace_back();
    }
    if (table.files[place].inode != Inodes::none) return false;
    std::erase(table.free, place);
    table.files[place] = {inode, true, write, static_cast<std::uint32_t>(fh >> 32)};
    return true;
}

void OpenFiles::close(Connection& c, std::uint64_t fh) {
    close_place(c, place_of(fh));
}

void OpenFiles::close_place(Connection& c, std::uint32_t place) {
    Table& table = tables_[c.index];
    InodeUse inode(inodes_, table.files[place].inode);
    table.files[place].inode = Inodes::none;
    ++table.files[place].generation;
    table.free.push_back(place);
    remove_opener(*inode, c);
}

void OpenFiles::close_all(Connection& c) {
    for (std::uint32_t place = 0; place < tables_[c.index].files.size(); ++place) {
        if (tables_[c.index].files[place].inode != Inodes::none) close_place(c, place);
    }
}

void OpenFiles::add_opener(Inode& inode, const Connection& c) {
    ++tables_[c.index].open;
    inode.openers.add(c.index);
}

void OpenFiles::remove_opener(Inode& inode, const Connection& c) {
    --tables_[c.index].open;
    const bool last = inode.openers.remove(c.index);
    // All was written back.
    if (last && inode.believers.lease() == c.index) coherence_.end_lease(inode);
    if (!let_go(inode)) unpin_storage(inode);
}

int OpenFiles::pin_storage(Request& q, Inode& inode) {
    constexpr std::uint32_t patience = 64, each = 16;
    while (inode.storage_pinning) io_.wait();
    if (inode.storage_open) return 0;
    inode.storage_pinning = true;
    int e = storage_.open_node(inode.node);
    if (e == ENFILE && !nameless_.empty()) {
        let_all_go();
        e = storage_.open_node(inode.node);
    }
    inode.storage_pinning = false;
    inode.storage_open = e == 0;
    io_.wake();
    const bool late = q.opens_tried == patience || host_.clock().now() >= q.deadline;
    if (e != ENFILE || late || !q.client.alive()) return e;
    if (q.opens_tried++ % each == 0 && !ask_opens_back(q.client)) return e;
    // What others give back is on its way, or another asker takes it.
    q.until = host_.clock().now() + 1'000'000;
    q.wait = Wait::files;
    return parked;
}

/// The storage has as many files open as it can. Who has most of them is told to forget some: what
/// nobody uses there comes back; where others have the same files open, they are told too. False:
/// the asker has the most itself, and sees to it when it hears ENFILE.
bool OpenFiles::ask_opens_back(Connection& asker) {
    if (recovering_()) return false;  // who has come back is not served yet
    constexpr std::size_t most = 128;
    // survives yields: it is used before the first one
    const Connection* rich = &asker;
    clients_.for_each_alive([&](const Connection& c) {
        if (count(c) > count(*rich)) rich = &c;
    });
    const ConnectionIndex richest = rich->index;
    std::vector<Inodes::Index> its, shared;
    inodes_.for_each([&](Inodes::Index i, const Inode& inode) {
        if (!inode.storage_open || !inode.openers.contains(richest)) return;
        (inode.openers.others(richest) ? shared : its).push_back(i);
    });
    // What it gives back by itself closes nothing where others have the same file open.
    if (rich == &asker && shared.size() < most) return false;
    // Another part of them each time: some are in use, and stay.
    opens_asked_ += most;
    for (auto* const part : {&its, &shared}) {
        if (part->empty()) continue;
        std::rotate(part->begin(), part->begin() + static_cast<long>(opens_asked_ % part->size()),
                    part->end());
    }
    its.insert(its.end(), shared.begin(), shared.end());
    if (its.empty()) return false;
    its.resize(std::min(its.size(), most));
    // The asker may come to its notices only when it has the open that it asks for: it gets no more
    // of them than leave room for those of others.
    const auto busy = [&] { return notices_.in_flight(asker) >= protocol::notice_count / 2; };
    Acks unused;
    for (const Inodes::Index i : its) {
        if (inodes_[i].node == 0) continue;
        InodeUse inode(inodes_, i);
        if (inode->believers.leased_to_other(asker.index)) {
            coherence_.begin_recall(*inode);
            continue;
        }
        const auto what = make_notice(protocol::NoticeKind::inval_node, inode->node);
        const ClientSet openers = inode->openers.clients();
        for (const ConnectionIndex each : openers) {
            Connection* const holder = clients_.alive(each);
            if (holder == nullptr) continue;
            if (holder == &asker && busy()) continue;
            coherence_.unhold(*inode, *holder);
            notices_.post(unused, *holder, what);
        }
    }
    return true;
}

void OpenFiles::unpin_storage(Inode& inode) {
    if (!inode.storage_open || !inode.openers.empty() || inode.nameless_until != 0) return;
    inode.storage_open = false;
    storage_.close_node(inode.node);
}

}  // namespace xenfs::server
