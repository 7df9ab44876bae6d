#include "sim/arms/virtiofs_dax.h"

#include <algorithm>
#include <cassert>
#include <stdexcept>

namespace xenfs::sim {

DaxFs::DaxFs(Machine& machine, Domain& guest, RemoteServer& server, const RemoteProtocol& protocol,
             const RemoteOptions& options, std::uint64_t window_bytes)
    : RemoteFs(machine, guest, server, protocol, options),
      dom0_(server.shared().dom0),
      host_pages_(server.vfs().pages()),
      ranges_(window_bytes / (range_pages * page_size)),
      setup_ns_(machine.costs().time("dax.setup")),
      remove_ns_(machine.costs().time("dax.remove")),
      table_fault_ns_(machine.costs().time("dax.table_fault")),
      shootdown_ns_(machine.costs().time("xen.tlb_shootdown") +
                    machine.costs().time("xen.tlb_shootdown_per_vcpu") *
                        static_cast<Nanoseconds>(guest.config().vcpus)),
      freed_(guest.host().tasks().make_gate()),
      unlocked_(guest.host().tasks().make_gate()),
      worker_(guest.host().tasks().make_gate()) {
    if (ranges_.empty()) throw std::invalid_argument("a DAX window has at least 2 MiB");
    for (std::size_t i = ranges_.size(); i > 0; --i) free_.push_back(i - 1);
    threshold_ = std::max<std::size_t>(
        static_cast<std::size_t>(machine.costs().value("dax.reclaim_threshold") *
                                 static_cast<double>(ranges_.size())),
        1);
    guest.spawn(
        "dax-reclaim", [this] { keep_reclaiming(); }, true);
}

/// The frame in which dom0 has the page, reachable by the guest. The caller does not yield before
/// it has used it. May block; 0 or errno.
int DaxFs::reach(NodeId node, std::uint64_t page, bool write, Frame& frame) {
    const std::uint64_t index = page / range_pages;
    for (;;) {
        File& file = files_[node];
        if (file.reclaiming) {
            unlocked_->wait();
            continue;
        }
        const auto found = file.ranges.find(index);
        if (found == file.ranges.end() || (write && !ranges_[found->second].writable)) {
            if (const int error = map_in(node, index, write)) return error;
            continue;
        }
        Range& range = ranges_[found->second];
        if (host_pages_.present(node, page)) {
            if (!range.touched[page % range_pages]) {
                range.touched.set(page % range_pages);
                ++dax_.table_faults;
                clock_.charge(table_fault_ns_);
            }
            frame = host_pages_.mapped_frame(node, page, write);
            return 0;
        }
        range.touched.reset(page %
                            range_pages);  // dom0 gave the page up, and the table entry with it
        if (const int error = fault_in(node, page)) return error;
    }
}

/// Maps a range, or makes it writable; waits where none is free.
int DaxFs::map_in(NodeId node, std::uint64_t index, bool write) {
    if (!files_[node].ranges.contains(index) && free_.empty()) {
        ++dax_.waits;
        worker_->wake_one();
        freed_->wait();
        return 0;  // look again
    }
    File& file = files_[node];
    const auto known = file.ranges.find(index);
    const bool fresh = known == file.ranges.end();
    std::size_t id = 0;
    if (fresh) {
        id = free_.back();
        free_.pop_back();
        if (low()) worker_->wake_one();
    } else {
        id = known->second;
    }
    ++file.users;
    const int error = set_up(node, write);
    File& after = files_[node];
    if (--after.users == 0) unlocked_->wake_all();
    if (!fresh) {
        if (error == 0) ranges_[id].writable = true;
        return error;
    }
    if (error != 0 || after.ranges.contains(index)) {  // or another task was faster
        free_.push_back(id);
        freed_->wake_all();
        return error;
    }
    ranges_[id] = Range{node, index, write, {}};
    after.ranges[index] = id;
    busy_.push_back(id);
    dax_.mapped_peak = std::max<std::uint64_t>(dax_.mapped_peak, busy_.size());
    return 0;
}

int DaxFs::set_up(NodeId node, bool) {
    ++dax_.set_up;
    return call(RemoteOp::setup_mapping, 64,
                [node, cost = setup_ns_](RemoteServer& server, RemoteReply& reply) {
                    server.charge(cost);
                    if (server.shared().mount.volume().find(node) == nullptr) reply.error = ESTALE;
                })
        ->reply.error;
}

/// The vCPU's fault ends in dom0's kernel, which reads the page; no daemon takes part.
int DaxFs::fault_in(NodeId node, std::uint64_t page) {
    struct Fault {
        int error = 0;
        bool done = false;
        std::unique_ptr<host::Gate> gate;
    };
    ++dax_.host_faults;
    const auto fault = std::make_shared<Fault>();
    fault->gate = guest_.host().tasks().make_gate();
    clock_.charge(table_fault_ns_);
    clock_.flush();
    ++files_[node].users;
    dom0_.spawn("fault", [fault, node, page, &server = server_] {
        RemoteReply reply;
        server.bring_in(node, page, reply);
        fault->error = reply.error;
        fault->done = true;
        fault->gate->wake_one();
    });
    while (!fault->done) fault->gate->wait();
    if (--files_[node].users == 0) unlocked_->wake_all();
    return fault->error;
}

/// False: not now. Yields.
bool DaxFs::take_away(std::size_t id, bool reclaim) {
    const NodeId node = ranges_[id].node;
    const std::uint64_t index = ranges_[id].index;
    if (reclaim) {
        if (files_[node].reclaiming) return false;
        files_[node].reclaiming = true;
        while (files_[node].users > 0) unlocked_->wait();
    }
    files_[node].ranges.erase(index);
    std::erase(busy_, id);
    ++dax_.removed;
    clock_.charge(shootdown_ns_);
    call(RemoteOp::remove_mapping, 32,
         [cost = remove_ns_](RemoteServer& server, RemoteReply&) { server.charge(cost); });
    ranges_[id] = Range{};
    free_.push_back(id);
    if (reclaim) {
        files_[node].reclaiming = false;
        unlocked_->wake_all();
    }
    freed_->wake_all();
    return true;
}

void DaxFs::keep_reclaiming() {
    for (;;) {
        while (!low() || busy_.empty()) worker_->wait();
        for (std::size_t i = 0; i < reclaim_chunk && low() && !busy_.empty(); ++i) {
            if (take_away(busy_.front(), true)) {
                ++dax_.reclaimed;
            } else {
                unlocked_->wait();  // another empties the file
            }
        }
    }
}

void DaxFs::lost(NodeId node) {
    RemoteFs::lost(node);
    for (;;) {
        const auto file = files_.find(node);
        if (file == files_.end()) return;
        if (file->second.reclaiming || file->second.users > 0) {
            unlocked_->wait();
            continue;
        }
        if (file->second.ranges.empty()) {
            files_.erase(file);
            return;
        }
        take_away(file->second.ranges.begin()->second, false);
    }
}

void DaxFs::drop_caches() {
    RemoteFs::drop_caches();
    while (!busy_.empty()) {
        if (!take_away(busy_.front(), true)) unlocked_->wait();
    }
}

Result<std::size_t> DaxFs::read_range(NodeId node, std::uint64_t offset, host::Buffer into) {
    for (std::size_t done = 0; done < into.length;) {
        const std::uint64_t at = offset + done;
        const auto head = static_cast<std::uint16_t>(at & (page_size - 1));
        const auto length =
            static_cast<std::uint16_t>(std::min<std::size_t>(page_size - head, into.length - done));
        Frame frame = no_frame;
        if (const int error = reach(node, at >> page_shift, false, frame)) {
            if (error == EFAULT) return done;  // cut short meanwhile
            return Errno{error};
        }
        clock_.charge(guest_.host().core_costs().page_hit);
        const host::Piece piece{host::Page::of_frame(frame), head, length, done};
        dom0_.host().memory().load({&piece, 1}, into);  // charged to the guest's task, which runs
        done += length;
    }
    return into.length;
}

int DaxFs::write_range(NodeId node, std::uint64_t offset, host::Buffer from) {
    if (offset + from.length > size_of(node)) return RemoteFs::write_range(node, offset, from);
    for (std::size_t done = 0; done < from.length;) {
        const std::uint64_t at = offset + done;
        const auto head = static_cast<std::uint16_t>(at & (page_size - 1));
        const auto length =
            static_cast<std::uint16_t>(std::min<std::size_t>(page_size - head, from.length - done));
        Frame frame = no_frame;
        if (const int error = reach(node, at >> page_shift, true, frame)) return error;
        clock_.charge(guest_.host().core_costs().page_hit);
        const host::Piece piece{host::Page::of_frame(frame), head, length, done};
        dom0_.host().memory().store({&piece, 1}, from);
        done += length;
    }
    info(node).expired = true;  // its times have changed
    return 0;
}

int DaxFs::map_range(NodeId node, std::uint64_t first, std::size_t count, bool write,
                     std::span<Fingerprint> contents) {
    if (first + count > (size_of(node) + page_size - 1) >> page_shift) return EFAULT;  // SIGBUS
    const host::CoreCosts& costs = guest_.host().core_costs();
    for (std::size_t i = 0; i < count; ++i) {
        Frame frame = no_frame;
        if (const int error = reach(node, first + i, write, frame)) return error;
        if (!contents.empty()) contents[i] = dom0_.content(host::Page::of_frame(frame));
        clock_.charge(costs.page_fault + costs.page_hit);  // page by page: no fault-around with DAX
    }
    return 0;
}

Counters DaxFs::counters() const {
    Counters counters = RemoteFs::counters();
    const Counters mine = {{"dax_ranges", ranges_.size()},
                           {"dax_ranges_set_up", dax_.set_up},
                           {"dax_ranges_removed", dax_.removed},
                           {"dax_ranges_reclaimed", dax_.reclaimed},
                           {"dax_ranges_mapped_peak", dax_.mapped_peak},
                           {"dax_window_waits", dax_.waits},
                           {"dax_table_faults", dax_.table_faults},
                           {"dax_host_faults", dax_.host_faults}};
    counters.insert(counters.end(), mine.begin(), mine.end());
    return counters;
}

}  // namespace xenfs::sim
