#include "real/xen/pool.h"

#include <sys/mman.h>

#include <atomic>
#include <cassert>
#include <cstring>

namespace xenfs::real::xen {
namespace {

constexpr std::size_t entries_per_frame = page_size / sizeof(grant_entry_v1_t);
constexpr std::uint32_t default_grant_frames = 64;  // Xen's own gnttab_max_frames
constexpr std::uint16_t in_use = GTF_reading | GTF_writing;

std::uint16_t idle_flags(Access access) {
    return static_cast<std::uint16_t>(GTF_permit_access |
                                      (access == Access::read ? GTF_readonly : 0));
}

}  // namespace

Pool::Pool(const std::string& name, Limits limits)
    : control_(opened<Control>(
          xc_interface_open(quiet_logger(), quiet_logger(), 0), "Xen's control interface",
          "this must run in dom0 as root, with the module xen-privcmd loaded")),
      foreign_(opened<ForeignMemory>(
          xenforeignmemory_open(quiet_logger(), 0), "/dev/xen/privcmd",
          "this must run in dom0 as root, with the module xen-privcmd loaded")) {
    try {
        create(name, limits);
    } catch (...) {
        destroy();
        throw;
    }
}

Pool::~Pool() {
    destroy();
}

void Pool::create(const std::string& name, Limits limits) {
    const std::uint32_t grant_frames =
        limits.grant_frames != 0 ? limits.grant_frames : default_grant_frames;
    xen_domctl_createdomain config{};
    config.max_vcpus = 1;
    config.max_evtchn_port = 1;
    config.max_grant_frames = static_cast<std::int32_t>(grant_frames);
    config.max_maptrack_frames = 0;
    config.grant_opts = XEN_DOMCTL_GRANT_version(1);
    config.arch.emulation_flags = 0;
    if (xc_domain_create(control_.get(), &domain_, &config) != 0) {
        if (errno == EINVAL && grant_frames > default_grant_frames) {
            throw XenError("Xen refuses a grant table of " + std::to_string(grant_frames) +
                           " frames: put gnttab_max_frames=" + std::to_string(grant_frames) +
                           " on Xen's command line");
        }
        throw XenError(std::string("cannot create the pool domain: ") + std::strerror(errno));
    }
    created_ = true;
    set_limit(limits.pages);
    StoreHandle store(xs_open(0));
    if (store != nullptr) {
        const std::string base = "/local/domain/" + std::to_string(domain_);
        xs_write(store.get(), XBT_NULL, (base + "/name").c_str(), name.data(),
                 static_cast<unsigned>(name.size()));
    }
    void* table = nullptr;
    table_resource_ = xenforeignmemory_map_resource(
        foreign_.get(), static_cast<domid_t>(domain_), XENMEM_resource_grant_table,
        XENMEM_resource_grant_table_id_shared, 0, grant_frames, &table, PROT_READ | PROT_WRITE, 0);
    if (table_resource_ == nullptr) {
        throw XenError(std::string("cannot map the pool domain's grant table: ") +
                       std::strerror(errno));
    }
    table_ = static_cast<grant_entry_v1_t*>(table);
    entries_ = grant_frames * entries_per_frame;
    used_entries_.resize(entries_);
    for (std::size_t i = GNTTAB_NR_RESERVED_ENTRIES; i < entries_; ++i) {
        free_entries_.push_back(static_cast<GrantRef>(i));
    }
}

void Pool::destroy() {
    for (Slot& slot : frames_) {
        if (slot.address != nullptr) xenforeignmemory_unmap(foreign_.get(), slot.address, 1);
    }
    frames_.clear();
    if (table_resource_ != nullptr)
        xenforeignmemory_unmap_resource(foreign_.get(), table_resource_);
    table_resource_ = nullptr;
    if (created_) {
        StoreHandle store(xs_open(0));
        if (store != nullptr) {
            xs_rm(store.get(), XBT_NULL, ("/local/domain/" + std::to_string(domain_)).c_str());
        }
        xc_domain_destroy(control_.get(), domain_);
    }
    created_ = false;
}

void Pool::set_limit(std::size_t frames) {
    if (xc_domain_setmaxmem(control_.get(), domain_, frames * (page_size / 1024)) != 0) {
        throw XenError(std::string("cannot set the pool domain's memory limit: ") +
                       std::strerror(errno));
    }
    limit_ = frames;
}

std::size_t Pool::allocate(std::span<Frame> out) {
    const std::size_t wanted = std::min(out.size(), limit_ - std::min(limit_, owned_));
    if (wanted == 0) return 0;
    // A PV domain's frame numbers in and machine frame numbers out share one array.
    std::vector<xen_pfn_t> pages(wanted);
    for (std::size_t i = 0; i < wanted; ++i) pages[i] = frames_.size() + i;
    if (xc_domain_populate_physmap_exact(control_.get(), domain_, wanted, 0, 0, pages.data()) != 0)
        return 0;
    std::vector<int> errors(wanted);
    void* region = xenforeignmemory_map(foreign_.get(), domain_, PROT_READ | PROT_WRITE, wanted,
                                        pages.data(), errors.data());
    if (region == nullptr) {
        xc_domain_decrease_reservation_exact(control_.get(), domain_, wanted, 0, pages.data());
        return 0;
    }
    for (std::size_t i = 0; i < wanted; ++i) {
        if (free_.empty()) {
            out[i] = static_cast<Frame>(frames_.size());
            frames_.emplace_back();
        } else {
            out[i] = free_.back();
            free_.pop_back();
        }
        frames_[out[i]] = {pages[i], static_cast<std::byte*>(region) + i * page_size};
    }
    owned_ += wanted;
    return wanted;
}

void Pool::release(std::span<const Frame> frames) {
    std::vector<xen_pfn_t> pages;
    for (Frame frame : frames) {
        Slot& slot = frames_.at(frame);
        assert(slot.address != nullptr);
        // Xen does not scrub what a live domain gives back: the next owner would read it.
        std::memset(slot.address, 0, page_size);
        xenforeignmemory_unmap(foreign_.get(), slot.address, 1);
        pages.push_back(slot.machine_frame);
        slot = {};
        free_.push_back(frame);
    }
    if (!pages.empty()) {
        xc_domain_decrease_reservation_exact(control_.get(), domain_, pages.size(), 0,
                                             pages.data());
    }
    owned_ -= frames.size();
}

std::byte* Pool::bytes(Frame frame) const {
    return frame < frames_.size() ? frames_[frame].address : nullptr;
}

std::size_t Pool::grant_capacity() const {
    return entries_ - GNTTAB_NR_RESERVED_ENTRIES;
}

std::size_t Pool::grant(DomainId to, std::span<const Frame> frames, Access access,
                        std::span<GrantRef> out) {
    std::size_t done = 0;
    while (done < frames.size() && !free_entries_.empty()) {
        const GrantRef reference = free_entries_.front();
        free_entries_.pop_front();
        used_entries_[reference] = true;
        grant_entry_v1_t& entry = table_[reference];
        entry.domid = to;
        entry.frame = static_cast<std::uint32_t>(frames_.at(frames[done]).machine_frame);
        // The peer and Xen may look as soon as the type is there: all else comes before it.
        std::atomic_ref<std::uint16_t>(entry.flags)
            .store(idle_flags(access), std::memory_order_release);
        out[done++] = reference;
    }
    granted_ += done;
    return done;
}

GrantStatus Pool::revoke(GrantRef reference) {
    if (reference >= entries_ || !used_entries_[reference]) return GrantStatus::bad_gntref;
    std::atomic_ref<std::uint16_t> flags(table_[reference].flags);
    std::uint16_t seen = flags.load(std::memory_order_acquire);
    // A writable entry that was revoked softly reads 0 after the last unmap: it still ends here.
    for (;;) {
        if ((seen & in_use) == 0) {
            if (flags.compare_exchange_weak(seen, 0)) break;
        } else {
            // Soft revoke: the type bits go, so that later maps are refused; the in-use bits stay
            // with Xen, which clears them at the last unmap. Never write 0 over them.
            const auto soft = static_cast<std::uint16_t>(seen & ~GTF_type_mask);
            if (soft == seen || flags.compare_exchange_weak(seen, soft)) return GrantStatus::busy;
        }
    }
    used_entries_[reference] = false;
    free_entries_.push_back(reference);  // the one that rested longest is used next
    --granted_;
    return GrantStatus::okay;
}

}  // namespace xenfs::real::xen
