// `xenfs-hostile` is a hostile client against a real server. It runs, instead of a mount, in a
// guest that xenfsd offers an export to. It prints what held, and exits with 0 where all did. Its
// argument is the quota in pages.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "model/conformance/hostile_client.h"
#include "real/xen/guest_host.h"

namespace xenfs::conformance {
namespace {

using namespace std::string_view_literals;
using real::xen::GuestHost;

int failures = 0;
void check(bool holds, const char* what) {
    std::printf("%s: hostile guest: %s\n", holds ? "ok" : "FAILED", what);
    if (!holds) ++failures;
}

/// Sends names that leave the tree, requests that are none, and numbers beyond all bounds.
void nonsense(HostileClient& evil) {
    const std::string long_name(256, 'x');
    bool names = true, codes = true, nodes = true;
    for (const std::string_view name :
         {"a/b"sv, "/"sv, ".."sv, "."sv, ""sv, "\0"sv, "a\0b"sv, std::string_view(long_name)}) {
        const int expected = name.size() > 255 ? ENAMETOOLONG : EINVAL;
        names = names && evil.ask(Opcode::lookup, root_node, name).error == expected;
        names = names && evil.ask(Opcode::unlink, root_node, name).error == expected;
        names = names &&
                evil.ask(Opcode::mkdir, root_node, protocol::MkdirIn{}, name).error == expected;
    }
    check(names, "names with '..', '/', NUL or 256 characters are refused");
    for (const std::uint32_t code : {0u, 7u, 63u, 8255u, ~0u}) {
        codes = codes && evil.ask(static_cast<Opcode>(code), root_node).error == ENOSYS;
    }
    check(codes, "unknown requests are refused");
    for (const NodeId node : {NodeId{0}, NodeId{77777}, ~NodeId{0}}) {
        nodes = nodes && evil.ask(Opcode::getattr, node, protocol::GetattrIn{}).error != 0;
    }
    check(nodes, "files that are none are refused");
}

std::uint32_t release(HostileClient& evil, const std::vector<std::uint32_t>& refs) {
    const auto count = static_cast<std::uint32_t>(refs.size());
    const auto reply = evil.ask(Opcode::pages_release, 0, protocol::PagesReleaseIn{count, 0}, refs);
    return reply.error == 0 ? reply.get<protocol::PagesReleaseOut>().released : ~0u;
}

/// Maps references that the pool gave to others.
void foreign_references(HostileClient& evil) {
    std::uint32_t released = 0;
    for (std::uint32_t first = 0; first < 4096; first += 512) {
        std::vector<std::uint32_t> guesses(512);
        for (std::uint32_t i = 0; i < 512; ++i) guesses[i] = first + i;
        released += release(evil, guesses);
    }
    check(released == 0, "references of others cannot be given back");
}

/// Asks for pages of one file of its own and gives none back.
void hoard(HostileClient& evil, GuestHost& host, std::uint64_t quota) {
    const protocol::CreateIn in{
        .flags = protocol::open_read_write, .mode = 0644, .umask = 0, .open_flags = 0};
    const auto made = evil.ask(Opcode::create, root_node, in, "hoard"sv);
    const NodeId node = made.get<protocol::EntryOut>().nodeid;
    const std::uint64_t fh = made.get<protocol::OpenOut>(sizeof(protocol::EntryOut)).fh;
    check(made.came && made.error == 0, "it may make a file, as anybody");
    std::uint64_t granted = 0;
    std::vector<GrantRef> refs;
    for (std::uint64_t first = 0; first < quota + 512; first += 64) {
        protocol::PagesGetIn get{};
        get.fh = fh;
        get.first_page = first;
        get.count = 64;
        get.mode = static_cast<std::uint16_t>(protocol::PageMode::copy_in);
        const auto reply = evil.ask(Opcode::pages_get, node, get);
        if (reply.error != 0) break;
        const std::uint32_t came = reply.get<protocol::PagesGetOut>().granted;
        for (std::uint32_t i = 0; i < came; ++i) {
            refs.push_back(
                reply.get<protocol::PageEntry>(sizeof(protocol::PagesGetOut) + 8 * i).gref);
        }
        granted += came;
        if (came == 0) break;
    }
    std::printf("it was granted %llu pages of a quota of %llu\n",
                static_cast<unsigned long long>(granted), static_cast<unsigned long long>(quota));
    check(granted > 0 && granted <= quota, "what it pins is bounded by its quota");
    // It maps them too, so that they cannot be taken back.
    std::vector<MapHandle> handles(refs.size());
    std::vector<GrantStatus> status(refs.size());
    const auto pool = protocol::read_backend_offer(host.store(), evil.device());
    if (pool) {
        host.grants().map(pool->pool_domain, refs, Access::read_write, handles, status);
    }
}

/// Sends slots that do not exist and wrong lengths: only its own connection ends.
void torn_ring(HostileClient& evil) {
    for (int i = 0; i < 20'000; ++i) evil.kick();
    check(evil.ask(Opcode::getattr, root_node, protocol::GetattrIn{}).error == 0,
          "20 000 events for nothing, and it is still served");
    protocol::InHeader header{};
    header.len = ~0u;
    header.opcode = static_cast<std::uint32_t>(Opcode::getattr);
    header.unique = 1;
    std::memcpy(evil.slot(0), &header, sizeof header);
    evil.submit_raw(0);
    for (const std::uint16_t slot : {std::uint16_t{9999}, std::uint16_t{0xffff}}) {
        evil.submit_raw(slot);
    }
    evil.control().request_producer = 0x7fffffff;
    evil.kick();
    bool ended = false;
    for (int i = 0; i < 3000 && !ended; ++i) {
        ended = evil.backend() != XenbusState::connected;
        evil.pause(10'000'000);
    }
    check(ended, "a torn ring ends its connection");
}

void attack(GuestHost& host, std::uint64_t quota) {
    HostileClient evil(host, 0, 500);
    check(evil.connect(), "it connects");
    if (failures != 0) return;
    nonsense(evil);
    foreign_references(evil);
    hoard(evil, host, quota);
    torn_ring(evil);
}

}  // namespace
}  // namespace xenfs::conformance

int main(int count, char** arguments) try {
    using namespace xenfs;
    const std::uint64_t quota = count == 2 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    if (quota == 0) {
        std::fprintf(stderr, "usage: xenfs-hostile QUOTA-IN-PAGES\n");
        return 2;
    }
    real::xen::GuestHost host(64, 0);
    host.tasks().spawn(
        "attack", [&] { conformance::attack(host, quota); }, false);
    host.wait_for_tasks();
    std::fflush(stdout);
    // It leaves as a crash does, with everything mapped.
    _exit(conformance::failures == 0 ? 0 : 1);
} catch (const std::exception& error) {
    std::fprintf(stderr, "xenfs-hostile: %s\n", error.what());
    return 2;
}
