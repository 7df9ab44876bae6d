// The control task: clients come, go and die.
#include <array>

#include "model/server/server_state.h"

namespace xenfs::server {

using protocol::XenbusState;

void ServerState::control() {
    if (config_.recovery) recovery_.begin();
    while (!stopping_) {
        look_ = false;
        for (std::size_t i = 0; i < clients_.places().size(); ++i) {
            if (clients_.places()[i] == nullptr) continue;
            // survives yields: only this task removes it
            Connection& c = *clients_.places()[i];
            if (c.withdrawn && c.state == Connection::State::offered) {
                withdraw(c);
                continue;
            }
            if (c.watch == 0) {  // attached, not offered yet
                // A guest that left with pages mapped gets no second quota beside them.
                if (!c.returning && ledger_.orphaned_of(c.device.guest) != 0) continue;
                write_offer(c);
                const ConnectionIndex index = c.index;
                const std::uint32_t generation = c.generation;
                c.watch = host_.store().watch(
                    protocol::frontend_path(c.device), [this, index, generation] {
                        Connection* changed = clients_.at(index);
                        if (changed == nullptr || changed->generation != generation) {
                            return;
                        }
                        changed->looked_at = false;
                        look_ = true;
                        control_gate_->wake_one();
                    });
            }
            if (!c.looked_at) look_at(c);
            if (c.dying && c.state == Connection::State::connected) {
                c.state = Connection::State::closing;
                acks_came();
            }
            if (c.state == Connection::State::closing && c.active == 0) disconnect(c);
        }
        if (book_.deferred() != 0) {
            if (residency_.retry_busy() != 0) look_ = true;
            fill_.settled();
        }
        recovery_.end_if_due();
        if (look_ || stopping_) continue;
        // What stayed mapped is asked again from time to time: Xen sends no event when it ends.
        Nanoseconds most = book_.deferred() != 0 ? config_.ack_timeout : host::forever;
        if (recovery_.under_way()) {
            most = std::min(most, recovery_.deadline() - host_.clock().now());
        }
        control_gate_->wait(most);
    }
}

void ServerState::write_offer(Connection& c) {
    c.refused = false;
    if (!c.returning) c.session = journal_->next_session();
    const protocol::BackendOffer offer{.max_slots = config_.max_slots,
                                       .pool_domain = host_.granter(),
                                       .export_name = c.attachment.export_name,
                                       .quota_pages = c.attachment.quota_pages,
                                       .read_only = c.attachment.read_only,
                                       .session = c.session};
    protocol::write_backend_offer(host_.store(), c.device, offer);
}

void ServerState::look_at(Connection& c) {
    c.looked_at = true;
    const XenbusState state = protocol::read_frontend_state(host_.store(), c.device);
    if (c.state == Connection::State::offered) {
        if (state == XenbusState::initialised && !c.refused) connect(c);
        if (state == XenbusState::initialising && c.refused) write_offer(c);
        if (c.returning && (state == XenbusState::unknown || state == XenbusState::closing ||
                            state == XenbusState::closed)) {
            not_coming_back(c);
        }
        return;
    }
    if (state == XenbusState::closing || state == XenbusState::closed ||
        state == XenbusState::unknown || state == XenbusState::initialising) {
        c.vanished = state == XenbusState::unknown;
        begin_close(c);
    }
}

void ServerState::connect(Connection& c) {
    const auto refuse = [&] {
        ++stats_.errors;
        c.refused = true;
        protocol::write_backend_state(host_.store(), c.device, XenbusState::closing);
        protocol::write_backend_state(host_.store(), c.device, XenbusState::closed);
    };
    const auto offer = protocol::read_frontend_offer(host_.store(), c.device, config_.max_slots);
    if (!offer) return refuse();
    const std::uint32_t count = 1 + offer->slots;
    std::array<GrantStatus, 1 + protocol::max_slots> status;
    host_.grants().map(c.device.guest, std::span(offer->ring_refs).first(count), Access::read_write,
                       std::span(c.mapped).first(count), std::span(status).first(count));
    std::array<std::byte*, 1 + protocol::max_slots> memory{};
    std::uint32_t good = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (status[i] != GrantStatus::okay) continue;
        c.mapped[good] = c.mapped[i];
        memory[good++] = host_.memory().bytes(host::Page::of_mapping(c.mapped[i]));
    }
    const auto port = good == count ? host_.events().bind(c.device.guest, offer->event_channel)
                                    : Result<Port>::failure(EINVAL);
    if (!port) {
        host_.grants().unmap(std::span(c.mapped).first(good));
        return refuse();
    }
    c.mapped_count = count;
    c.port = *port;
    c.ring = protocol::RingBack(memory[0], std::span(memory).subspan(1, offer->slots));
    c.resuming = c.returning && protocol::read_resume(host_.store(), c.device) == c.session;
    if (c.returning && !c.resuming) not_coming_back(c);
    if (!c.resuming) {
        c.account = ledger_.open(c.device.guest, c.attachment.quota_pages);
        ledger_.set_collateral(c.account, c.attachment.collateral_pages);
    }
    c.returning = false;
    journal_->keep_client(c.index, c.device.guest, c.device.number, c.session);
    c.state = Connection::State::connected;
    c.dying = c.vanished = c.initialised = false;
    notices_.begin(c.index);
    coherence_.begin(c.index);
    files_.begin(c.index);
    Connection* const self = &c;
    const std::uint32_t generation = c.generation;
    const ConnectionIndex index = c.index;
    host_.events().on_event(c.port, [this, self, index, generation] {
        Connection* now = clients_.at(index);
        if (now == self && now->generation == generation && now->alive()) on_ring_event(*now);
    });
    ready_.insert(c.index);
    protocol::write_backend_state(host_.store(), c.device, XenbusState::connected);
    wake_worker();
}

/// Nothing of the client is believed from now on; the control task takes it apart.
void ServerState::begin_close(Connection& c) {
    if (c.dying || c.state != Connection::State::connected) return;
    c.dying = true;
    ready_.erase(c.index);
    look_ = true;
    acks_came();
    fill_.settled();
    control_gate_->wake_one();
}

void ServerState::disconnect(Connection& c) {
    ++(c.vanished ? stats_.clients_died : stats_.clients_closed);
    const ConnectionIndex index = c.index;
    drop_requests(c);
    release_client(c);
    journal_->drop_client(index);
    host_.events().close(c.port);
    host_.grants().unmap(std::span(c.mapped).first(c.mapped_count));
    host_.store().unwatch(c.watch);
    const protocol::Device device = c.device;
    const Attachment attachment = c.attachment;
    const bool vanished = c.vanished, withdrawn = c.withdrawn;
    const std::optional<Attachment> next = c.next;
    clients_.remove(index);
    // Offered again at once, before anybody else gets the place; the control task, which is this
    // one, writes the offer afterwards.
    if (next) {
        attach(*next);
    } else if (!vanished && !withdrawn) {
        attach(attachment);
    }
    if (!vanished) protocol::write_backend_state(host_.store(), device, XenbusState::closed);
    if (vanished || withdrawn) host_.store().remove(protocol::backend_path(device));
}

/// An offer that nobody took.
void ServerState::withdraw(Connection& c) {
    if (c.returning) not_coming_back(c);
    if (c.watch != 0) {
        host_.store().unwatch(c.watch);
        protocol::write_backend_state(host_.store(), c.device, XenbusState::closed);
        host_.store().remove(protocol::backend_path(c.device));
    }
    const std::optional<Attachment> next = c.next;
    clients_.remove(c.index);
    if (next && !stopping_) attach(*next);
}

/// Everything that the client held: entries, opens, locks, leases, donation, what it believed.
void ServerState::release_client(Connection& c) {
    residency_.end_all(c.account);
    ledger_.close(c.account);
    balloon_.adjust_capacity();
    for (const Replay& r : c.replays) journal_->end_change(r.record);
    c.replays.clear();
    files_.close_all(c);
    std::vector<InodeTable::Index> known;
    inodes_.for_each([&](InodeTable::Index i, Inode& inode) {
        if (coherence_.drop_client(inode, c) || inode.locks) known.push_back(i);
    });
    for (const InodeTable::Index i : known) {
        if (inodes_[i].node == 0) continue;
        InodeUse inode(inodes_, i);
        if (inode->locks) locks_.drop_client(*inode, c);
    }
    fill_.settled();
    room_.made();
}

/// From a client of a predecessor nothing more is to be expected.
void ServerState::not_coming_back(Connection& c) {
    c.returning = c.resuming = false;
    ++stats_.not_resumed;
    journal_->drop_client(c.index);
    release_client(c);
}

}  // namespace xenfs::server
