#include "real/xen/pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <unordered_map>

#include "model/protocol/handshake.h"

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

Pool::Pool(const std::string& name, const Limits& limits)
    : control_(opened<Control>(
          xc_interface_open(quiet_logger(), quiet_logger(), 0), "Xen's control interface",
          "this must run in dom0 as root, with the module xen-privcmd loaded")),
      foreign_(opened<ForeignMemory>(
          xenforeignmemory_open(quiet_logger(), 0), "/dev/xen/privcmd",
          "this must run in dom0 as root, with the module xen-privcmd loaded")),
      record_(limits.record) {
    bool found = find();
    if (found && !limits.take_over) {
        xc_domain_destroy(control_.get(), domain_);
        found = exists_ = false;
    }
    try {
        if (!found) create(name, limits);
        map_table();
        frames_.emplace(control_.get(), foreign_.get(), static_cast<DomainId>(domain_), record_);
        frames_->set_limit(limits.pages);
    } catch (...) {
        if (found) exists_ = false;  // its data is kept for another attempt
        destroy();
        throw;
    }
}

Pool::~Pool() {
    destroy();
}

/// Returns the predecessor's domain, if it is still the one that was recorded.
bool Pool::find() {
    const PoolRecord::Domain known = record_.domain();
    if (known.id == 0) return false;
    const auto info = domain_info(control_.get(), static_cast<std::uint32_t>(known.id));
    if (!info || (info->flags & XEN_DOMINF_dying) != 0 ||
        std::memcmp(info->handle, known.handle, sizeof known.handle) != 0) {
        return false;
    }
    domain_ = static_cast<std::uint32_t>(known.id);
    grant_frames_ = static_cast<std::uint32_t>(known.grant_frames);
    exists_ = true;
    return true;
}

bool Pool::try_create(std::uint32_t grant_frames) {
    xen_domctl_createdomain config{};
    config.max_vcpus = 1;
    config.max_evtchn_port = 1;
    config.max_grant_frames = static_cast<std::int32_t>(grant_frames);
    config.max_maptrack_frames = 0;
    config.grant_opts = XEN_DOMCTL_GRANT_version(1);
    config.arch.emulation_flags = 0;
    std::random_device random;
    for (auto& byte : config.handle) byte = static_cast<std::uint8_t>(random());
    if (xc_domain_create(control_.get(), &domain_, &config) != 0) return false;
    exists_ = true;
    grant_frames_ = grant_frames;
    PoolRecord::Domain made{domain_, grant_frames, {}};
    std::memcpy(made.handle, config.handle, sizeof made.handle);
    record_.begin(made);
    return true;
}

void Pool::create(const std::string& name, const Limits& limits) {
    std::uint32_t frames = limits.grant_frames;
    if (frames == 0) {
        const std::size_t needed = limits.pages * 4 / entries_per_frame + 1;
        frames = std::max(static_cast<std::uint32_t>(needed), default_grant_frames);
    }
    while (!try_create(frames)) {
        const int error = errno;
        if (error == EINVAL && frames > default_grant_frames && limits.grant_frames == 0) {
            frames = std::max(frames / 2, default_grant_frames);
        } else if (error == EINVAL && frames > default_grant_frames) {
            throw XenError("Xen refuses a grant table of " + std::to_string(frames) +
                           " frames: put gnttab_max_frames=" + std::to_string(frames) +
                           " on Xen's command line");
        } else {
            throw XenError(std::string("cannot create the pool domain: ") + std::strerror(error));
        }
    }
    StoreHandle store(xs_open(0));
    if (store == nullptr) return;
    const std::string mark = protocol::pool_mark_path(static_cast<DomainId>(domain_));
    xs_write(store.get(), XBT_NULL, mark.c_str(), "", 0);
    const std::string base = "/local/domain/" + std::to_string(domain_);
    xs_write(store.get(), XBT_NULL, (base + "/name").c_str(), name.data(),
             static_cast<unsigned>(name.size()));
}

void Pool::map_table() {
    void* table = nullptr;
    table_resource_ = xenforeignmemory_map_resource(
        foreign_.get(), static_cast<domid_t>(domain_), XENMEM_resource_grant_table,
        XENMEM_resource_grant_table_id_shared, 0, grant_frames_, &table, PROT_READ | PROT_WRITE, 0);
    if (table_resource_ == nullptr) {
        throw XenError(std::string("cannot map the pool domain's grant table: ") +
                       std::strerror(errno));
    }
    table_ = static_cast<grant_entry_v1_t*>(table);
    entries_ = grant_frames_ * entries_per_frame;
    used_entries_.resize(entries_);
    for (std::size_t i = GNTTAB_NR_RESERVED_ENTRIES; i < entries_; ++i) {
        const auto reference = static_cast<GrantRef>(i);
        if (table_[i].flags != 0) {  // the predecessor wrote it
            used_entries_[reference] = true;
            ++granted_;
            // An entry for dom0 lent a frame for a copy, which the predecessor's death has ended.
            if (table_[i].domid == 0) (void)revoke(reference);
        } else {
            free_entries_.push_back(reference);
        }
    }
}

void Pool::destroy() {
    frames_.reset();
    if (table_resource_ != nullptr)
        xenforeignmemory_unmap_resource(foreign_.get(), table_resource_);
    table_resource_ = nullptr;
    if (exists_) {
        StoreHandle store(xs_open(0));
        if (store != nullptr) {
            xs_rm(store.get(), XBT_NULL, ("/local/domain/" + std::to_string(domain_)).c_str());
        }
        xc_domain_destroy(control_.get(), domain_);
        record_.end();
    }
    exists_ = false;
}

std::vector<host::FoundEntry> Pool::all_entries() const {
    std::unordered_map<std::uint64_t, Frame> by_machine_frame;
    for (const host::OwnedFrame& each : frames_->all()) {
        by_machine_frame[frames_->machine_frame(each.frame)] = each.frame;
    }
    std::vector<host::FoundEntry> found;
    for (std::size_t i = 0; i < entries_; ++i) {
        if (!used_entries_[i]) continue;
        const grant_entry_v1_t& entry = table_[i];
        const auto frame = by_machine_frame.find(entry.frame);
        found.push_back(
            {.reference = static_cast<GrantRef>(i),
             .domain = entry.domid,
             .frame = frame != by_machine_frame.end() ? frame->second : no_frame,
             .access = (entry.flags & GTF_readonly) != 0 ? Access::read : Access::read_write,
             .accepts = false,
             .revoked = (entry.flags & GTF_type_mask) == 0});
    }
    return found;
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
        entry.frame = static_cast<std::uint32_t>(frames_->machine_frame(frames[done]));
        // The peer and Xen may look as soon as the type is there, so it is written last.
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
    // A writable entry that was revoked softly reads 0 after the last unmap, and it ends here as
    // well.
    for (;;) {
        if ((seen & in_use) == 0) {
            if (flags.compare_exchange_weak(seen, 0)) break;
        } else {
            // A soft revoke clears the type bits, so that later maps are refused; the in-use bits
            // stay with Xen, which clears them at the last unmap and must never find 0 in their
            // place.
            const auto soft = static_cast<std::uint16_t>(seen & ~GTF_type_mask);
            if (soft == seen || flags.compare_exchange_weak(seen, soft)) return GrantStatus::busy;
        }
    }
    used_entries_[reference] = false;
    free_entries_.push_back(reference);  // the reference that rested longest is used next
    --granted_;
    return GrantStatus::okay;
}

}  // namespace xenfs::real::xen
