#include "model/server/outside_changes.h"

namespace xenfs::server {

using host::OutsideChange;

OutsideChanges::OutsideChanges(const Shared& shared, FileIo& io, OpenFiles& files, PageFill& fill,
                               Attributes& attributes, std::function<bool()> recovering)
    : Part(shared),
      io_(io),
      files_(files),
      fill_(fill),
      attributes_(attributes),
      recovering_(std::move(recovering)),
      gate_(host_.tasks().make_gate()) {
    storage_.on_outside_change([this](const OutsideChange& change) { heard(change); });
}

OutsideChanges::~OutsideChanges() {
    storage_.on_outside_change(nullptr);
}

void OutsideChanges::heard(const OutsideChange& change) {
    ++stats_.outside_events;
    attributes_.heard_of_change();
    const bool known = inodes_.find(change.node) != Inodes::none;
    switch (change.what) {
        case OutsideChange::What::everything:
            ++stats_.outside_overflows;
            // With its attributes a directory's names are forgotten.
            inodes_.for_each([&](Inodes::Index, const Inode& inode) { nodes_[inode.node] = true; });
            break;
        case OutsideChange::What::name:
            if (known) names_.emplace(change.node, change.name);
            break;
        case OutsideChange::What::content:
            if (known) nodes_[change.node] = true;
            break;
        case OutsideChange::What::attributes:
            if (known) nodes_.try_emplace(change.node, false);
            break;
    }
    if (!nodes_.empty() || !names_.empty()) gate_->wake_one();
}

void OutsideChanges::run() {
    while (!stopping_) {
        busy_ = false;
        const bool any = !names_.empty() || !nodes_.empty();
        if (recovering_() && any) {
            gate_->wait(config_.ack_timeout / 16);
            continue;
        }
        busy_ = true;
        if (!names_.empty()) {
            const auto name = *names_.begin();
            names_.erase(names_.begin());
            tell_name(name.first, name.second);
            continue;
        }
        if (!nodes_.empty()) {
            const auto [node, content] = *nodes_.begin();
            nodes_.erase(nodes_.begin());
            begin(node, content);
        }
        // survives yields: a list's places stay, and only this task adds and removes them
        for (auto change = pending_.begin(); change != pending_.end() && !stopping_;) {
            change = advance(*change) ? pending_.erase(change) : std::next(change);
        }
        if (!names_.empty() || !nodes_.empty()) continue;
        busy_ = false;
        // Silent clients' time passes without an event.
        gate_->wait(pending_.empty() ? host::forever : config_.ack_timeout / 16);
    }
    pending_.clear();
}

void OutsideChanges::tell_name(NodeId directory, std::string_view name) {
    const Inodes::Index index = inodes_.find(directory);
    if (index == Inodes::none) return;
    ++stats_.outside_changes;
    InodeUse inode(inodes_, index);
    inode->attr_valid = false;
    Acks nobody_waits;
    coherence_.entry_changed(nobody_waits, *inode, nullptr, name);
}

void OutsideChanges::begin(NodeId node, bool content) {
    const Inodes::Index index = inodes_.find(node);
    if (index == Inodes::none) return;
    ++stats_.outside_changes;
    for (Pending& change : pending_) {
        if (change.told || change.inode.index() != index) continue;
        change.content = change.content || content;
        return;
    }
    pending_.emplace_back(inodes_, index, content);
}

/// True: it is over.
bool OutsideChanges::advance(Pending& change) {
    Inode& inode = *change.inode;  // survives yields: the change keeps its record
    if (change.told) return notices_.acknowledged(change.acks);
    // The lease's holder alone knows size and content, and may be asked for long: others go first.
    if (inode.believers.lease() != no_connection) coherence_.begin_recall(inode);
    if (inode.believers.lease() != no_connection) return false;
    tell(change);
    return notices_.acknowledged(change.acks);
}

void OutsideChanges::tell(Pending& change) {
    Inode& inode = *change.inode;  // survives yields: the change keeps its record
    change.told = true;            // what is heard of from now on is another change
    Result<host::Attr> now = Errno{ESTALE};
    if (change.content) {
        io_.begin_cut(inode);
        fill_.drop_clean(inode);
        now = attributes_.reconcile(inode);
        io_.end_cut(inode);
    } else {
        inode.attr_valid = false;
        now = attributes_.attributes(inode);
    }
    coherence_.changed_outside(change.acks, inode, change.content);
    const bool gone = now ? now->links == 0 : now.error() == ESTALE || now.error() == ENOENT;
    if (!gone) return;
    inode.attr.links = 0;
    files_.let_go(inode);
}

}  // namespace xenfs::server
