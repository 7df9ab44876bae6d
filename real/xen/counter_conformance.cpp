// A program that has a file of the shared cache in its memory, as libxenfs gives it: `xenfs-counter
// NAME TIMES`, run in several guests at once, each with an export to itself, adds one to the word
// at the beginning of the file NAME so many times. The guests meet before the first and after the
// last.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "model/client/client.h"
#include "real/xen/guest_host.h"

namespace xenfs::real::xen {
namespace {

[[noreturn]] void fail(const char* what, int error) {
    std::fprintf(stderr, "xenfs-counter: %s: %s\n", what, std::strerror(error));
    std::_Exit(1);
}

/// The file's first page: counter, then how many programs came and how many have ended.
struct Words {
    std::uint64_t counter;
    std::uint32_t came, ended;
};

void meet(GuestHost& host, std::uint32_t& word) {
    std::atomic_ref<std::uint32_t>(word).fetch_add(1);
    while (std::atomic_ref<std::uint32_t>(word).load() < 2) host.clock().sleep(20'000'000);
}

void count(GuestHost& host, const char* name, std::uint64_t times) {
    client::ClientConfig config;
    config.transfer = "map";
    config.own_budget = 256;
    config.mapping_budget = 256;
    client::Client client(host, config);
    if (int error = client.mount()) fail("connecting", error);
    const auto node = client.lookup(root_node, client::Name(name));
    if (!node) fail(name, node.error());
    const auto handle = client.open(*node, {.read = true, .write = true});
    if (!handle) fail(name, handle.error());
    if (int error = client.map_pages(*handle, 0, 1, client::MapKind::shared, true, {})) {
        fail("mapping", error);
    }
    std::vector<host::Piece> pieces;
    const auto lent = client.borrow(*handle, 0, page_size, pieces, 1);
    if (!lent || pieces.size() != 1) fail("borrowing", lent.error());
    auto& words = *reinterpret_cast<Words*>(host.memory().bytes(pieces[0].page));
    meet(host, words.came);
    host.monitor().outside([&] {
        std::atomic_ref<std::uint64_t> counter(words.counter);
        for (std::uint64_t i = 0; i < times; ++i) counter.fetch_add(1);
    });
    meet(host, words.ended);
    std::printf("%llu\n", static_cast<unsigned long long>(
                              std::atomic_ref<std::uint64_t>(words.counter).load()));
    client.give_back(pieces);
    client.unmap_pages(*handle, 0, 1, client::MapKind::shared);
    client.close(*handle);
    if (int error = client.unmount()) fail("disconnecting", error);
}

}  // namespace
}  // namespace xenfs::real::xen

int main(int count, char** arguments) try {
    using namespace xenfs::real::xen;
    if (count != 3) {
        std::fprintf(stderr, "usage: xenfs-counter NAME TIMES\n");
        return 2;
    }
    GuestHost host(512, 0);
    host.tasks().spawn(
        "count",
        [&] {
            xenfs::real::xen::count(host, arguments[1], std::strtoull(arguments[2], nullptr, 10));
        },
        false);
    host.wait_for_tasks();
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "xenfs-counter: %s\n", error.what());
    return 2;
}
