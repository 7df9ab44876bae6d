#include "model/server/scan.h"

#include <algorithm>

namespace xenfs::server {

using cache::kNoSlot;
using cache::PageState;
using cache::Slot;

namespace {
constexpr std::uint32_t scan_notices = 8;  ///< in flight to one client
}  // namespace

/// One wake-up: what the scanner agrees to is collected.
class Scanner::Scanned final : public policies::ScannedCache {
  public:
    explicit Scanned(Scanner& scanner) : scanner_(scanner) {}

    std::uint32_t slots() const override { return scanner_.cache_.slots(); }

    bool scannable(std::uint32_t page) const override {
        const cache::PageCache& cache = scanner_.cache_;
        if (!cache.in_use(page) || cache.state(page) == PageState::loading) return false;
        if ((cache.flags(page) & (page_writing | page_flux)) != 0) return false;
        const pages::PoolFrame& frame = scanner_.pool_[cache.frame(page)];
        std::uint32_t group;
        return frame.users == 1 && frame.writers == 0 &&
               scanner_.trust_group_of(cache.key(page).file, group);
    }

    std::uint64_t read(std::uint32_t page) override {
        ++scanner_.stats_.scanned;
        std::uint32_t group = 0;
        scanner_.trust_group_of(scanner_.cache_.key(page).file, group);
        const host::Page bytes = scanner_.residency_.page_of(page);
        Fingerprint content = 0;
        scanner_.host_.memory().hash(std::span(&bytes, 1), std::span(&content, 1));
        return content_key(content, group);
    }

    bool share(std::uint32_t page, std::uint64_t content) override {
        const pages::FrameIndex known = scanner_.residency_.contents().find(content);
        if (known == pages::no_index) return false;
        if (known != scanner_.cache_.frame(page))
            wanted.push_back({scanner_.cache_.key(page), content});
        return true;
    }

    bool share_two(std::uint32_t first, std::uint32_t page, std::uint64_t content) override {
        if (!scannable(first) || read(first) != content) return false;
        // Rather the one that nobody has mapped moves.
        const auto grants = [&](std::uint32_t p) {
            return scanner_.pool_[scanner_.cache_.frame(p)].grants;
        };
        if (grants(first) == 0 && grants(page) != 0) std::swap(first, page);
        scanner_.residency_.index_content(scanner_.cache_.frame(first), content);
        wanted.push_back({scanner_.cache_.key(page), content});
        return true;
    }

    void passed() override { ++scanner_.stats_.scan_passes; }

    std::vector<Wanted> wanted;

  private:
    Scanner& scanner_;
};

void Scanner::run() {
    while (!stopping_) {
        Scanned seen(*this);
        policy_->wake(seen);
        share(seen.wanted);
        if (!stopping_) gate_->wait(config_.scan_sleep);
    }
}

/// Clients that have entries on the page's frame.
ClientSet Scanner::holders_of(Slot slot) const {
    std::vector<pages::AccountId> accounts;
    book_.for_each_of_frame(cache_.frame(slot), [&](const pages::GrantRecord& record) {
        if (!record.orphaned) accounts.push_back(record.account);
    });
    std::sort(accounts.begin(), accounts.end());
    ClientSet holders;
    clients_.for_each_alive([&](const Connection& c) {
        if (std::binary_search(accounts.begin(), accounts.end(), c.account)) {
            holders.insert(c.index);
        }
    });
    return holders;
}

void Scanner::ask_back(std::span<const Wanted> wanted, Acks& acks) {
    ClientSet busy;  // clients with as many notices as they can take
    for (const auto& [key, content] : wanted) {
        const Slot slot = cache_.find(key);
        if (slot == kNoSlot || pool_[cache_.frame(slot)].grants == 0) continue;
        const Inodes::Index owner = inodes_.owner_of(key.file);
        if (owner == Inodes::none) continue;
        const NodeId node = inodes_[owner].node;
        const ClientSet holders = holders_of(slot);
        for (const ConnectionIndex index : holders) {
            Connection* const c = busy.contains(index) ? nullptr : clients_.alive(index);
            if (c == nullptr) continue;
            if (notices_.in_flight(*c) >= scan_notices || c->urgent_waiting != 0 ||
                notices_.unresponsive(*c)) {
                busy.insert(index);
                continue;
            }
            ++stats_.scan_asked;
            notices_.post(acks, *c,
                          make_notice(protocol::NoticeKind::revoke_pages, node, key.page, 1));
        }
    }
}

/// Asks for the pages that are mapped, waits for the answers, and shares what has come back and is
/// as it was. A client that has not answered in time keeps its page.
void Scanner::share(std::span<const Wanted> wanted) {
    Acks acks{};
    ask_back(wanted, acks);
    notices_.await(acks);
    for (const auto& [key, content] : wanted) {
        const Slot slot = cache_.find(key);
        if (slot == kNoSlot || cache_.state(slot) == PageState::loading) continue;
        const pages::PoolFrame& frame = pool_[cache_.frame(slot)];
        if (frame.grants != 0 || frame.users != 1 || cache_.pins(slot) != 0 ||
            (cache_.flags(slot) & (page_writing | page_flux)) != 0) {
            continue;
        }
        // It may be another file's by now, of a client of another trust group.
        std::uint32_t group;
        if (!trust_group_of(key.file, group)) continue;
        const host::Page bytes = residency_.page_of(slot);
        Fingerprint now = 0;
        host_.memory().hash(std::span(&bytes, 1), std::span(&now, 1));
        if (content_key(now, group) == content) sharing_.join_content(slot, content);
    }
}

/// The trust group of those who see the file's pages under this number; false: there are several,
/// or nobody is left.
bool Scanner::trust_group_of(std::uint32_t file, std::uint32_t& group) const {
    const Inodes::Index owner = inodes_.owner_of(file);
    if (owner == Inodes::none) return false;
    const Inode& inode = inodes_[owner];
    bool found = false;
    for (const auto& c : clients_.places()) {
        if (c == nullptr || !c->alive()) continue;
        const ConnectionIndex i = c->index;
        if (!by_name_ && (i >= inode.files.size() || inode.files[i] != file)) continue;
        if (found && c->attachment.trust_group != group) return false;
        group = c->attachment.trust_group;
        found = true;
    }
    return found;
}

}  // namespace xenfs::server
