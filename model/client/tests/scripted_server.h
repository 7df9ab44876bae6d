#pragma once
// A host with one domain and one task, and a server at its rings that a test scripts; there is no
// simulator and no second task. Where the client would wait, the server answers all that has been
// submitted, which is one round. So a test counts rounds exactly, and can let any request fail.

#include <array>
#include <cassert>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/client/client.h"
#include "model/protocol/handshake.h"
#include "model/protocol/ring.h"

namespace xenfs::client::tests {

/// Frames have no content but what Memory::store of whole pages puts there, which are the words of
/// buffer.pages.
class OneDomain final : public host::Host,
                        host::Frames,
                        host::Grants,
                        host::Events,
                        host::Memory,
                        host::Store,
                        host::Tasks,
                        host::Clock {
  public:
    static constexpr DomainId guest = 3, server = 0, pool = 2;

    /// serves one round; false where there is nothing to do
    std::function<bool()> serve = [] { return false; };
    std::map<Frame, Fingerprint> content;          ///< the guest's frames
    std::map<GrantRef, Fingerprint> pool_content;  ///< the pages behind entries
    std::size_t frames_left = 1 << 20;

    DomainId self() const override { return guest; }
    DomainId granter() const override { return guest; }
    const host::Capabilities& capabilities() const override { return capabilities_; }
    const host::CoreCosts& core_costs() const override { return core_costs_; }
    const host::MechanismCosts& mechanism_costs() const override { return mechanism_costs_; }
    host::Frames& frames() override { return *this; }
    host::Grants& grants() override { return *this; }
    host::Events& events() override { return *this; }
    host::Memory& memory() override { return *this; }
    host::Store& store() override { return *this; }
    host::Tasks& tasks() override { return *this; }
    host::Clock& clock() override { return *this; }

    std::byte* ring_page(GrantRef reference) { return shared_.at(reference).get(); }
    void raise_event() { on_event_(); }

  private:
    struct OneTaskGate final : host::Gate {
        explicit OneTaskGate(OneDomain& of) : domain(of) {}
        bool wait(Nanoseconds timeout) override {
            if (domain.serve()) return true;
            domain.now_ += timeout == host::forever ? 1'000'000'000 : timeout;
            return false;
        }
        void wake_one() override {}
        void wake_all() override {}
        OneDomain& domain;
    };

    // Frames
    std::size_t allocate(std::span<Frame> out) override {
        std::size_t count = 0;
        for (; count < out.size() && frames_left > 0; ++count, --frames_left) {
            out[count] = next_frame_++;
        }
        return count;
    }
    void release(std::span<const Frame> frames) override { frames_left += frames.size(); }
    std::size_t donate(std::size_t pages) override { return pages; }
    std::size_t reclaim(std::size_t pages) override { return pages; }
    std::size_t donated_by(DomainId) const override { return 0; }
    std::size_t owned() const override { return 0; }
    std::size_t limit() const override { return 1 << 20; }
    void set_limit(std::size_t) override {}
    // Grants; a reference is its frame's number
    std::size_t grant(DomainId, std::span<const Frame> frames, Access,
                      std::span<GrantRef> out) override {
        std::copy(frames.begin(), frames.end(), out.begin());
        return frames.size();
    }
    std::size_t accept_transfer(DomainId, std::span<GrantRef>) override { return 0; }
    void revoke(std::span<const GrantRef>, std::span<GrantStatus> status) override {
        std::fill(status.begin(), status.end(), GrantStatus::okay);
    }
    Frame take_transferred(GrantRef) override { return no_frame; }
    std::size_t granted() const override { return 0; }
    std::size_t grant_capacity() const override { return 1 << 20; }
    void map(DomainId, std::span<const GrantRef> references, Access, std::span<MapHandle> out,
             std::span<GrantStatus> status) override {
        std::copy(references.begin(), references.end(), out.begin());
        std::fill(status.begin(), status.end(), GrantStatus::okay);
    }
    void unmap(std::span<const MapHandle>) override {}
    void copy(std::span<host::CopyOperation> operations) override {
        for (host::CopyOperation& operation : operations) {
            const bool in = operation.destination.reference != no_grant;
            if (in) {
                pool_content[operation.destination.reference] = content[operation.source.frame];
            } else {
                content[operation.destination.frame] = pool_content[operation.source.reference];
            }
        }
    }
    void transfer(std::span<host::TransferOperation>) override {}
    // Events
    Result<Port> allocate_unbound(DomainId) override { return Port{1}; }
    Result<Port> bind(DomainId, Port) override { return Port{1}; }
    void close(Port) override {}
    void on_event(Port, std::function<void()> handler) override { on_event_ = std::move(handler); }
    void notify(Port) override {}
    // Memory
    void load(std::span<const host::Piece> pieces, Buffer into) override {
        for (const host::Piece& piece : pieces) {
            const bool own = piece.page.kind == host::Page::Kind::frame;
            into.pages[piece.buffer_offset / page_size] =
                own ? content[piece.page.id] : pool_content[piece.page.id];
        }
    }
    void store(std::span<const host::Piece> pieces, Buffer from) override {
        for (const host::Piece& piece : pieces) {
            const bool own = piece.page.kind == host::Page::Kind::frame;
            (own ? content[piece.page.id] : pool_content[piece.page.id]) =
                from.pages[piece.buffer_offset / page_size];
        }
    }
    void zero(host::Page page, std::uint16_t, std::uint16_t) override { content[page.id] = 0; }
    void copy(host::Page from, host::Page to) override { content[to.id] = content[from.id]; }
    void hash(std::span<const host::Page>, std::span<Fingerprint>) override {}
    bool equal(host::Page a, host::Page b) override { return content[a.id] == content[b.id]; }
    std::byte* bytes(host::Page page) override { return ring_page(page.id); }
    Result<Frame> allocate_shared() override {
        const Frame frame = next_frame_++;
        shared_[frame] = std::make_unique<std::byte[]>(page_size);
        return frame;
    }
    void release_shared(Frame frame) override { shared_.erase(frame); }
    // Store
    Result<std::string> read(std::string_view path) override {
        const auto found = store_.find(std::string(path));
        if (found == store_.end()) return Errno{ENOENT};
        return found->second;
    }
    int write(std::string_view path, std::string_view value) override {
        store_[std::string(path)] = value;
        return 0;
    }
    int remove(std::string_view path) override { return store_.erase(std::string(path)), 0; }
    Result<std::vector<std::string>> list(std::string_view) override { return Errno{ENOENT}; }
    int allow(std::string_view, DomainId) override { return 0; }
    std::uint64_t watch(std::string_view, std::function<void()> changed) override {
        changed();
        return 1;
    }
    void unwatch(std::uint64_t) override {}
    // Tasks; those of the client (notices, write-behind) do not run
    void spawn(std::string, std::function<void()>, bool) override {}
    std::unique_ptr<host::Gate> make_gate() override {
        return std::make_unique<OneTaskGate>(*this);
    }
    // Clock
    Nanoseconds now() const override { return now_; }
    WorldTime world() const override { return WorldTime{1'000'000'000, 0}.after(now_); }
    void charge(Nanoseconds) override {}
    void flush() override {}
    void sleep(Nanoseconds duration) override { now_ += duration; }

    host::Capabilities capabilities_;
    host::CoreCosts core_costs_;
    host::MechanismCosts mechanism_costs_;
    std::map<std::string, std::string> store_;
    std::map<Frame, std::unique_ptr<std::byte[]>> shared_;
    std::function<void()> on_event_ = [] {};
    Frame next_frame_ = 1;
    Nanoseconds now_ = 1;
};

/// A file server without a disk, which grants what is asked for and accepts each commit.
class ScriptedServer {
  public:
    struct Seen {
        protocol::Opcode opcode;
        std::uint64_t first_page = 0;  ///< PAGES_GET and PAGES_COMMIT
        std::uint32_t count = 0;
        std::uint16_t flags = 0;
    };
    std::vector<Seen> seen;    ///< requests, in the order in which they were served
    std::uint32_t rounds = 0;  ///< rounds in which at least one was served
    std::uint32_t widest = 0;  ///< the most requests of one round
    std::uint32_t slots = 32;  ///< how many it offers
    /// Decides the error with which a request is answered; 0 serves it. Called for each request
    /// first.
    std::function<int(const Seen&)> fail = [](const Seen&) { return 0; };
    std::uint32_t grant_at_most = protocol::max_pages_per_request;
    std::uint32_t credit = 1 << 20;  ///< how many entries may be out at a time
    int sync_error = 0;
    std::map<std::uint64_t, Fingerprint> file;  ///< what was committed, by page
    std::uint64_t file_size = 0;

    explicit ScriptedServer(OneDomain& domain) : domain_(domain) {
        protocol::BackendOffer offer;
        offer.max_slots = slots;
        offer.pool_domain = OneDomain::pool;
        offer.export_name = "test";
        protocol::write_backend_offer(domain.store(), device(), offer);
        domain.serve = [this] { return serve(); };
    }
    void forget_counts() {
        seen.clear();
        rounds = widest = 0;
    }
    std::size_t count(protocol::Opcode opcode) const {
        return static_cast<std::size_t>(std::count_if(
            seen.begin(), seen.end(), [&](const Seen& each) { return each.opcode == opcode; }));
    }

  private:
    static protocol::Device device() { return {OneDomain::guest, OneDomain::server, 0}; }

    bool serve() {
        if (protocol::read_frontend_state(domain_.store(), device()) !=
            protocol::XenbusState::connected) {
            return connect();
        }
        std::uint32_t served = 0;
        std::uint16_t slot = 0;
        std::array<std::byte, protocol::max_message_bytes> message;
        std::vector<std::uint16_t> answered;
        while (ring_.take_request(slot, message.data()) == protocol::RingBack::Take::request) {
            answer(slot, message.data());
            ++served;
        }
        ring_.final_check_for_requests();
        if (served == 0) return false;
        ++rounds;
        widest = std::max(widest, served);
        domain_.raise_event();
        return true;
    }

    bool connect() {
        if (protocol::read_frontend_state(domain_.store(), device()) !=
            protocol::XenbusState::initialised) {
            return false;
        }
        const auto mine = protocol::read_frontend_offer(domain_.store(), device(), slots);
        assert(mine);
        std::vector<std::byte*> pages;
        for (std::uint32_t i = 0; i < mine->slots; ++i) {
            pages.push_back(domain_.ring_page(mine->ring_refs[1 + i]));
        }
        ring_ = protocol::RingBack(domain_.ring_page(mine->ring_refs[0]), pages);
        protocol::write_backend_state(domain_.store(), device(), protocol::XenbusState::connected);
        return true;
    }

    void answer(std::uint16_t slot, const std::byte* message) {
        protocol::InHeader header;
        std::memcpy(&header, message, sizeof header);
        protocol::Reader in(message + sizeof header, header.len - sizeof header);
        protocol::Writer out(ring_.slot(slot) + sizeof(protocol::OutHeader),
                             protocol::max_message_bytes - sizeof(protocol::OutHeader));
        const auto opcode = static_cast<protocol::Opcode>(header.opcode);
        const int error = respond(opcode, header, in, out);
        const std::size_t bytes = error == 0 ? out.size() : 0;
        const protocol::OutHeader reply{
            static_cast<std::uint32_t>(sizeof(protocol::OutHeader) + bytes), -error, header.unique};
        std::memcpy(ring_.slot(slot), &reply, sizeof reply);
        ring_.reply(slot);
    }

    protocol::Attr attributes() const {
        protocol::Attr attr{};
        attr.ino = 2;
        attr.mode = 0100644;
        attr.nlink = 1;
        attr.size = file_size;
        return attr;
    }

    int respond(protocol::Opcode opcode, const protocol::InHeader&, protocol::Reader& in,
                protocol::Writer& out) {
        using protocol::Opcode;
        Seen request{opcode, 0, 0, 0};
        protocol::PagesGetIn get{};
        protocol::PagesCommitIn commit{};
        if (opcode == Opcode::pages_get) {
            get = in.get<protocol::PagesGetIn>();
            request = {opcode, get.first_page, get.count, get.flags};
        } else if (opcode == Opcode::pages_commit) {
            commit = in.get<protocol::PagesCommitIn>();
            request = {opcode, commit.offset >> page_shift, commit.ref_count, commit.flags};
        }
        seen.push_back(request);
        if (int error = fail(request)) return error;
        switch (opcode) {
            case Opcode::init: {
                protocol::InitOut agreed{};
                agreed.major = protocol::fuse_major;
                agreed.minor = protocol::fuse_minor;
                out.put(agreed);
                return 0;
            }
            case Opcode::create:
                put_created(out);
                return 0;
            case Opcode::getattr: {
                protocol::AttrOut attr{};
                attr.attr_valid = 1;
                attr.attr = attributes();
                out.put(attr);
                return 0;
            }
            case Opcode::pages_get:
                grant(get, out);
                return 0;
            case Opcode::pages_commit:
                take(commit, in, out);
                return 0;
            case Opcode::pages_release: {
                out.put(protocol::PagesReleaseOut{});
                return 0;
            }
            default:
                return 0;
        }
    }

    void put_created(protocol::Writer& out) {
        protocol::EntryOut entry{};
        entry.nodeid = 2;
        entry.entry_valid = entry.attr_valid = 1;
        entry.attr = attributes();
        protocol::OpenOut opened{};
        opened.fh = 1;
        opened.open_flags = protocol::fopen_lease_exclusive;
        out.put(entry);
        out.put(opened);
    }
    void grant(const protocol::PagesGetIn& get, protocol::Writer& out) {
        const std::uint32_t granted = std::min({get.count, grant_at_most, credit - out_now_});
        const bool short_of_credit = granted < std::min(get.count, grant_at_most);
        out_now_ += granted;
        out.put(protocol::PagesGetOut{
            file_size, granted,
            static_cast<std::uint16_t>(short_of_credit ? protocol::got_credit : 0), 0});
        for (std::uint32_t i = 0; i < granted; ++i) {
            out.put(protocol::PageEntry{next_entry_, 0});
            ++next_entry_;
        }
    }
    void take(const protocol::PagesCommitIn& commit, protocol::Reader& in, protocol::Writer& out) {
        const auto refs = in.get_array<std::uint32_t>(commit.ref_count);
        for (std::size_t i = 0; i < refs.size(); ++i) {
            file[(commit.offset >> page_shift) + i] = domain_.pool_content[refs[i]];
        }
        out_now_ -= commit.ref_count;
        file_size = std::max(file_size, commit.offset + commit.length);
        protocol::PagesCommitOut reply{};
        reply.file_size = file_size;
        reply.committed = commit.ref_count;
        if ((commit.flags & (protocol::commit_sync | protocol::commit_sync_all)) != 0) {
            reply.sync_error = static_cast<std::uint32_t>(sync_error);
        }
        out.put(reply);
    }

    OneDomain& domain_;
    protocol::RingBack ring_;
    GrantRef next_entry_ = 1;
    std::uint32_t out_now_ = 0;  ///< entries that were granted and not committed
};

}  // namespace xenfs::client::tests
