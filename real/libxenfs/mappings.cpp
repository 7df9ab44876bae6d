#include "real/libxenfs/mappings.h"

#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "real/libxenfs/system.h"

namespace xenfs::lib {
namespace {

using channel::Kind;
using channel::page_size;

std::uintptr_t number(const void* at) {
    return reinterpret_cast<std::uintptr_t>(at);
}
char* place(std::uintptr_t at) {
    return reinterpret_cast<char*>(at);
}
std::size_t whole(std::size_t length) {
    return (length + page_size - 1) & ~(page_size - 1);
}

}  // namespace

Region::~Region() {
    if (session == nullptr || session->foreign()) return;
    const int error = errno;
    session->ask(Kind::close, number, 0, 0, 0);
    errno = error;
}

Windows::~Windows() {
    delete table_.load();
}

std::size_t Windows::read(void* into, std::size_t length, std::uint64_t offset) const {
    readers_.fetch_add(1);
    std::size_t done = 0;
    if (const Table* const table = table_.load()) {
        for (const Window& window : *table) {
            if (offset < window.begin || offset + length > window.end) continue;
            if (__atomic_load_n(window.state, __ATOMIC_ACQUIRE) != window.expected) continue;
            std::memcpy(into, window.address + (offset - window.begin), length);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (__atomic_load_n(window.state, __ATOMIC_RELAXED) == window.expected) done = length;
            break;
        }
    }
    readers_.fetch_sub(1, std::memory_order_release);
    return done;
}

void Windows::replace(std::unique_ptr<Table> table) {
    const std::unique_ptr<const Table> old(table_.exchange(table.release()));
    while (readers_.load() != 0) sched_yield();
}

void Windows::add(Window window) {
    auto table = std::make_unique<Table>();
    // the newest window comes first because reads use the first match
    table->push_back(std::move(window));
    if (const Table* const now = table_.load())
        table->insert(table->end(), now->begin(), now->end());
    replace(std::move(table));
}

void Windows::remove(std::uintptr_t from, std::uintptr_t to) {
    const Table* const now = table_.load();
    if (now == nullptr) return;
    auto table = std::make_unique<Table>();
    for (const Window& window : *now) {
        const std::uintptr_t at = number(window.address);
        if (at + (window.end - window.begin) <= from || at >= to) table->push_back(window);
    }
    if (table->size() != now->size()) replace(std::move(table));
}

Mappings& Mappings::instance() {
    // The registry is never destroyed, because programs unmap after main has returned.
    static Mappings* const one = new Mappings;
    return *one;
}

Mappings::Mappings() {
    pthread_atfork([] { instance().lock_.lock(); }, [] { instance().lock_.unlock(); },
                   [] {
                       instance().forked();
                       instance().lock_.unlock();
                   });
}

bool Mappings::touches(const void* at, std::size_t length) {
    if (count_.load(std::memory_order_acquire) == 0) return false;
    const Inside inside;
    const std::lock_guard hold(lock_);
    const auto next = pieces_.lower_bound(number(at));
    if (next != pieces_.end() && next->first < number(at) + length) return true;
    if (next == pieces_.begin()) return false;
    const auto before = std::prev(next);
    return before->first + before->second.length > number(at);
}

std::shared_ptr<Region> Mappings::region_of(int fd) {
    channel::Pass pass{};
    if (ioctl(fd, channel::get_pass, &pass) != 0) {
        const int error = errno;
        if (error == EACCES) {
            fail(EACCES, "the file is not open for reading");
        } else if (error == ENOTCONN || error == ECONNABORTED) {
            fail(ENOTCONN, "the xenfs-mount of this file is gone");
        } else {
            fail(ENOTTY, "the file lies on no xenfs mount");
        }
        return nullptr;
    }
    if (pass.version != channel::version) {
        fail(EPROTONOSUPPORT,
             "xenfs-mount is of another release than this libxenfs: install the "
             "same on both");
        return nullptr;
    }
    pass.address[sizeof pass.address - 1] = 0;
    auto region = std::make_shared<Region>();
    region->ticket = pass.ticket;
    region->may_write = pass.writable != 0;
    if (open(*region, pass.address, fd) != 0) return nullptr;
    return region;
}

int Mappings::open(Region& region, const char* address, int fd) {
    std::shared_ptr<Session> session;
    std::erase_if(sessions_, [](const auto& each) { return each.expired(); });
    for (const auto& each : sessions_) {
        const auto known = each.lock();
        if (known && !known->foreign() && known->address() == address) session = known;
    }
    if (session == nullptr) {
        session = Session::connect(address, fd);
        if (session == nullptr) return -1;
        sessions_.push_back(session);
    }
    std::uint64_t value = 0;
    if (session->ask(Kind::open, region.ticket, 0, 0, region.may_write ? channel::flag_write : 0,
                     &value) != 0) {
        return -1;
    }
    region.number = static_cast<std::uint32_t>(value % channel::most_regions);
    region.session = std::move(session);
    return 0;
}

/// Makes a region that was inherited through fork this process's own.
int Mappings::adopt(Region& region) {
    if (!region.session->foreign()) return 0;
    const auto before = region.session;
    if (open(region, before->address().c_str(), before->anchor()) != 0) return -1;
    for (const auto& [at, piece] : pieces_) {
        if (piece.region.get() == &region && fill(at, piece) != 0) return -1;
    }
    return 0;
}

/// Maps the piece's pages at the places where the file has them now.
int Mappings::fill(std::uintptr_t at, const Piece& piece) {
    const std::size_t pages = piece.length / page_size;
    for (std::size_t i = 0; i < pages;) {
        const auto count =
            static_cast<std::uint32_t>(std::min<std::size_t>(channel::most_pages, pages - i));
        Places places;
        if (piece.region->session->ask(
                Kind::take, piece.region->number, piece.offset / page_size + i, count,
                piece.write ? channel::flag_write : 0, nullptr, &places) != 0) {
            return -1;
        }
        if (places.at.size() != count) {
            return fail(EPROTO, "xenfs-mount's answer is malformed: install one release of both");
        }
        if (places.domain != channel::no_domain) piece.region->xen = true;
        if (place_pages(place(at) + i * page_size, places, piece.write) != 0) return -1;
        i += count;
    }
    return 0;
}

void* Mappings::map(int fd, void* hint, std::size_t length, int prot, bool fixed,
                    std::int64_t offset, Windows* windows) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    const auto refuse = [](int error, const char* sentence) {
        fail(error, "%s", sentence);
        return MAP_FAILED;
    };
    const auto region = region_of(fd);
    if (region == nullptr) return MAP_FAILED;
    const int persona = personality(0xffffffff);
    const bool executable =
        (prot & PROT_EXEC) != 0 || (persona > 0 && (persona & READ_IMPLIES_EXEC) != 0);
    if (executable) return refuse(EACCES, "shared pages are never executable: Xen grants them so");
    if ((prot & PROT_WRITE) != 0 && !region->may_write) {
        return refuse(EACCES, "the file is not open for reading and writing");
    }
    length = whole(length);
    if (length == 0 || offset < 0 || offset % static_cast<std::int64_t>(page_size) != 0) {
        return refuse(EINVAL,
                      "a length above 0 and an offset that is a multiple of 4096 are needed");
    }
    void* const at =
        sys_mmap(hint, length, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (fixed ? MAP_FIXED : 0), -1, 0);
    if (at == MAP_FAILED) return refuse(errno, "this process has no address space for it");
    if (fixed) forget(number(at), number(at) + length);
    const Piece piece{length, static_cast<std::uint64_t>(offset), (prot & PROT_WRITE) != 0, region};
    const std::uint32_t* const state = region->session->state(region->number);
    const std::uint32_t expected = __atomic_load_n(state, __ATOMIC_ACQUIRE);
    if (fill(number(at), piece) != 0 ||
        (prot == PROT_NONE && sys_mprotect(at, length, PROT_NONE) != 0)) {
        const int error = errno;
        sys_munmap(at, length);
        errno = error;
        return MAP_FAILED;
    }
    pieces_[number(at)] = piece;
    count_ = pieces_.size();
    struct stat stat;
    if (windows != nullptr && fstat(fd, &stat) == 0 && stat.st_size > offset) {
        const auto end = std::min<std::uint64_t>(piece.offset + length,
                                                 static_cast<std::uint64_t>(stat.st_size));
        windows->add({piece.offset, end, static_cast<char*>(at), state, expected, region->session});
    }
    return at;
}

/// Makes a piece begin at `at` if a piece covers that address. Returns the first piece that begins
/// at `at` or behind it.
Mappings::Pieces::iterator Mappings::cut(std::uintptr_t at) {
    const auto next = pieces_.lower_bound(at);
    if (next == pieces_.begin()) return next;
    const auto before = std::prev(next);
    const std::size_t head = at - before->first;
    if (before->second.length <= head) return next;
    Piece tail = before->second;
    tail.length -= head;
    tail.offset += head;
    before->second.length = head;
    return pieces_.emplace_hint(next, at, std::move(tail));
}

/// The pages are unmapped before they are returned, so that this process cannot reach what the
/// mount gives back.
void Mappings::forget(std::uintptr_t from, std::uintptr_t to) {
    const auto first = cut(from), last = cut(to);
    std::vector<std::shared_ptr<Region>> regions;  // these regions end once the lock is released
    for (auto at = first; at != last; ++at) {
        const Piece& piece = at->second;
        regions.push_back(piece.region);
        if (piece.region->session->foreign()) continue;
        // no other piece uses this region, so it is closed as a whole
        if (piece.region.use_count() == 2) continue;
        for (std::uint64_t done = 0; done < piece.length;) {
            const std::uint64_t pages =
                std::min<std::uint64_t>((piece.length - done) / page_size, UINT32_MAX);
            piece.region->session->ask(Kind::give, piece.region->number,
                                       (piece.offset + done) / page_size,
                                       static_cast<std::uint32_t>(pages), 0);
            done += pages * page_size;
        }
    }
    pieces_.erase(first, last);
    count_ = pieces_.size();
}

int Mappings::unmap(void* at, std::size_t length) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    length = whole(length);
    for (Windows* const each : windows_) each->remove(number(at), number(at) + length);
    if (sys_munmap(at, length) != 0) return fail(errno, "unmapping: %s", strerror(errno));
    forget(number(at), number(at) + length);
    return 0;
}

void Mappings::replaced(void* at, std::size_t length) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    for (Windows* const each : windows_) each->remove(number(at), number(at) + whole(length));
    forget(number(at), number(at) + whole(length));
}

int Mappings::protect(void* at, std::size_t length, int prot) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    if ((prot & PROT_EXEC) != 0) {
        return fail(EACCES, "shared pages are never executable: Xen grants them so");
    }
    const std::uintptr_t from = number(at), to = from + whole(length);
    if (from % page_size != 0) return fail(EINVAL, "the address is not a multiple of 4096");
    const auto last = cut(to);
    if ((prot & PROT_WRITE) != 0) {
        for (auto piece = cut(from); piece != last; ++piece) {
            if (!piece->second.region->may_write) {
                return fail(EACCES, "the file was not open for reading and writing");
            }
        }
        for (auto piece = cut(from); piece != last; ++piece) {
            if (piece->second.write) continue;
            Piece writable = piece->second;
            writable.write = true;
            if (adopt(*writable.region) != 0 || fill(piece->first, writable) != 0) return -1;
            piece->second.write = true;
        }
    }
    return sys_mprotect(at, length, prot) == 0 ? 0 : fail(errno, "mprotect: %s", strerror(errno));
}

int Mappings::msync(void* at, std::size_t length, int flags) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    if (number(at) % page_size != 0 || (flags & ~(MS_SYNC | MS_ASYNC | MS_INVALIDATE)) != 0 ||
        (flags & (MS_SYNC | MS_ASYNC)) == (MS_SYNC | MS_ASYNC)) {
        return fail(EINVAL, "msync: the address or the flags make no sense");
    }
    const std::uintptr_t from = number(at), to = from + whole(length);
    std::uintptr_t covered = from;
    const Region* told = nullptr;
    const auto last = cut(to);
    for (auto piece = cut(from); piece != last; ++piece) {
        if (piece->first != covered) break;
        covered += piece->second.length;
        Region& region = *piece->second.region;
        if (adopt(region) != 0) return -1;
        if ((flags & MS_INVALIDATE) != 0 && fill(piece->first, piece->second) != 0) return -1;
        if (&region == told) continue;
        told = &region;
        const std::uint32_t sync = (flags & MS_SYNC) != 0 ? channel::flag_sync : 0;
        if (region.session->ask(Kind::publish, region.number, 0, 0, sync) != 0) return -1;
    }
    return covered >= to ? 0 : fail(ENOMEM, "msync: a part of the range is not mapped by libxenfs");
}

void* Mappings::remap(void* at, std::size_t length, std::size_t wanted, int flags, void* target) {
    length = whole(length);
    wanted = whole(wanted);
    const bool fixed = (flags & MREMAP_FIXED) != 0;
    const auto refuse = [](int error, const char* sentence) {
        fail(error, "mremap: %s", sentence);
        return MAP_FAILED;
    };
    if (length == 0 || wanted == 0 || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0) {
        return refuse(EINVAL, "not for pages of a xenfs mount");
    }
    if (!fixed && wanted <= length) {
        if (wanted < length && unmap(static_cast<char*>(at) + wanted, length - wanted) != 0) {
            return MAP_FAILED;
        }
        return at;
    }
    if ((flags & MREMAP_MAYMOVE) == 0) return refuse(ENOMEM, "it may not move");
    const Inside inside;
    const std::lock_guard hold(lock_);
    const std::uintptr_t from = number(at);
    const auto found = cut(from);
    if (found == pieces_.end() || found->first != from || found->second.length < length) {
        return refuse(EFAULT, "the range is no one mapping");
    }
    cut(from + length);
    if (adopt(*found->second.region) != 0) return MAP_FAILED;
    Piece piece = found->second;
    piece.length = wanted;
    void* const there =
        sys_mmap(target, wanted, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (fixed ? MAP_FIXED : 0), -1, 0);
    if (there == MAP_FAILED) return refuse(errno, "no address space for it");
    if (fixed) forget(number(there), number(there) + wanted);
    if (fill(number(there), piece) != 0) {
        const int error = errno;
        sys_munmap(there, wanted);
        errno = error;
        return MAP_FAILED;
    }
    for (Windows* const each : windows_) each->remove(from, from + length);
    sys_munmap(at, length);
    pieces_.erase(from);  // the new piece has its pages now
    pieces_[number(there)] = piece;
    count_ = pieces_.size();
    return there;
}

void Mappings::add(Windows* windows) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    windows_.push_back(windows);
}

void Mappings::remove(Windows* windows) {
    const Inside inside;
    const std::lock_guard hold(lock_);
    std::erase(windows_, windows);
}

/// Runs in the child of a fork, with the lock held. In a PV guest the child has lost the mappings
/// that Xen made for its parent.
void Mappings::forked() {
    const Inside inside;
    for (const auto& [at, piece] : pieces_) {
        if (piece.region->xen) (void)adopt(*piece.region);
    }
}

}  // namespace xenfs::lib
