// xenfs-probe tries what a Xen host offers to this project, instead of assuming it. In dom0 `serve`
// makes a pool domain, grants a few frames to guests and changes them; in a guest `use` maps and
// checks.

#include <charconv>
#include <cstdio>
#include <cstring>

#include "real/xen/events.h"
#include "real/xen/grant_maps.h"
#include "real/xen/pool.h"
#include "real/xen/store.h"

namespace {

using namespace xenfs;
using namespace xenfs::real::xen;

constexpr std::size_t pages = 64;

int check(bool held, const char* what) {
    std::printf("%s: %s\n", held ? "ok" : "FAILED", what);
    return held ? 0 : 1;
}

std::uint64_t& word(std::byte* page) {
    return *reinterpret_cast<std::uint64_t*>(page);
}

/// Waits until the node holds `wanted`. Returns false after ten seconds.
bool await(XenStore& store, const std::string& path, std::string_view wanted) {
    for (int tries = 0; tries < 1000; ++tries) {
        auto value = store.read(path);
        if (value && *value == wanted) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

std::string base_of(DomainId guest) {
    return "/local/domain/" + std::to_string(guest) + "/data/probe";
}

int serve(std::span<const DomainId> guests) {
    real::Monitor monitor;
    XenStore store(monitor);
    Pool pool("xenfs-probe-pool", {.pages = 2 * pages, .grant_frames = 0});
    std::vector<Frame> frames(pages);
    int failed = check(pool.frames().allocate(frames) == pages, "the pool domain takes frames");
    for (std::size_t i = 0; i < pages; ++i) word(pool.frames().bytes(frames[i])) = 1000 + i;
    std::vector<std::vector<GrantRef>> references;
    for (DomainId guest : guests) {
        auto& mine = references.emplace_back(pages);
        failed +=
            check(pool.grant(guest, frames, Access::read, mine) == pages, "frames are granted");
        std::string list = std::to_string(pool.domain());
        for (GrantRef reference : mine) list.append(" ").append(std::to_string(reference));
        store.write(base_of(guest) + "/refs", list);
        store.write(base_of(guest) + "/step", "map");
    }
    for (DomainId guest : guests)
        failed += check(await(store, base_of(guest) + "/seen", "mapped"),
                        "guest maps and reads right bytes");
    word(pool.frames().bytes(frames[0])) = 42;
    for (DomainId guest : guests) store.write(base_of(guest) + "/step", "reread");
    for (DomainId guest : guests)
        failed +=
            check(await(store, base_of(guest) + "/seen", "reread"), "guest sees a later write");
    for (auto& mine : references)
        failed += check(pool.revoke(mine[0]) == GrantStatus::busy, "revoke while mapped is busy");
    for (DomainId guest : guests) store.write(base_of(guest) + "/step", "unmap");
    for (DomainId guest : guests)
        failed += check(await(store, base_of(guest) + "/seen", "unmapped"),
                        "guest unmaps, half of a batch first");
    for (auto& mine : references) {
        bool all = true;
        for (GrantRef reference : mine) all = all && pool.revoke(reference) == GrantStatus::okay;
        failed += check(all, "after the unmap every entry can be revoked");
    }
    for (DomainId guest : guests) store.write(base_of(guest) + "/step", "remap");
    for (DomainId guest : guests)
        failed += check(await(store, base_of(guest) + "/seen", "refused"),
                        "a revoked entry cannot be mapped");
    failed += check(pool.granted() == 0, "no entry is left");
    pool.frames().release(frames);
    failed += check(pool.frames().owned() == 0, "the frames went back");
    return failed;
}

int use() {
    real::Monitor monitor;
    XenStore store(monitor);
    GrantMaps maps;
    const std::string base = "data/probe";
    int failed = check(await(store, base + "/step", "map"), "dom0 granted pages");
    const std::string list = *store.read(base + "/refs");
    std::vector<std::uint32_t> numbers;
    for (const char *at = list.data(), *end = at + list.size(); at < end; ++at) {
        auto [next, error] = std::from_chars(at, end, numbers.emplace_back());
        at = next;
    }
    const auto domain = static_cast<DomainId>(numbers.at(0));
    const std::span<const GrantRef> references(numbers.data() + 1, numbers.size() - 1);
    std::vector<MapHandle> handles(references.size());
    std::vector<GrantStatus> status(references.size());
    maps.map(domain, references, Access::read, handles, status);
    bool right = true;
    for (std::size_t i = 0; i < handles.size(); ++i) {
        right =
            right && status[i] == GrantStatus::okay && word(maps.address(handles[i])) == 1000 + i;
    }
    failed += check(right, "mapped all pages in one batch; the bytes are right");
    std::vector<MapHandle> writable(1);
    std::vector<GrantStatus> refused(1);
    maps.map(domain, references.first(1), Access::read_write, writable, refused);
    failed +=
        check(refused[0] != GrantStatus::okay, "a writable map of a read-only grant is refused");
    store.write(base + "/seen", failed == 0 ? "mapped" : "failed");
    failed += check(await(store, base + "/step", "reread"), "dom0 wrote again");
    failed +=
        check(word(maps.address(handles[0])) == 42, "the later write is there without a new map");
    store.write(base + "/seen", failed == 0 ? "reread" : "failed");
    failed += check(await(store, base + "/step", "unmap"), "dom0 asks for the pages");
    maps.unmap(std::span(handles).first(handles.size() / 2));
    failed += check(word(maps.address(handles.back())) == 1000 + handles.size() - 1,
                    "the rest of the batch stays mapped");
    maps.unmap(std::span(handles).last(handles.size() - handles.size() / 2));
    store.write(base + "/seen", failed == 0 ? "unmapped" : "failed");
    failed += check(await(store, base + "/step", "remap"), "dom0 revoked");
    maps.map(domain, references, Access::read, handles, status);
    bool none = true;
    for (GrantStatus each : status) none = none && each != GrantStatus::okay;
    failed += check(none, "every revoked entry is refused");
    store.write(base + "/seen", failed == 0 ? "refused" : "failed");
    return failed;
}

}  // namespace

int main(int count, char** arguments) try {
    const std::string command = count > 1 ? arguments[1] : "";
    std::vector<DomainId> guests;
    for (int i = 2; i < count; ++i)
        guests.push_back(static_cast<DomainId>(std::stoul(arguments[i])));
    if (command == "serve" && !guests.empty()) return serve(guests) == 0 ? 0 : 1;
    if (command == "use" && guests.empty()) return use() == 0 ? 0 : 1;
    std::fprintf(stderr,
                 "usage: xenfs-probe serve DOMID… (in dom0) | use (in each of those guests)\n");
    return 2;
} catch (const std::exception& error) {
    std::fprintf(stderr, "xenfs-probe: %s\n", error.what());
    return 2;
}
