// The suite over real Xen. The same program runs in dom0 (`xenfs-conformance server GUEST…`) and in
// each of those guests (`xenfs-conformance guest INDEX`), with the same --gtest_filter. The server
// calls each case in the guests' xenstore nodes and waits until they have done it. A case that
// destroys a guest runs in an invocation of its own, since that guest must be booted again.
#include <cstdio>
#include <set>
#include <sstream>

#include "model/conformance/suite.h"
#include "real/xen/guest_host.h"
#include "real/xen/server_host.h"

namespace xenfs::conformance {
namespace {

using real::Monitor;
using real::ThreadTasks;
using namespace real::xen;

std::vector<DomainId> guests;  // the server has them from its arguments
int guest_index = -1;          // a guest has it from its arguments

std::string home(DomainId domain) {
    return "/local/domain/" + std::to_string(domain);
}

/// Waits, two minutes at most, for a text that begins with the case's name. Returns what follows.
std::string await(host::Store& store, const std::string& path, const std::string& name) {
    for (int tries = 0; tries < 6000; ++tries) {
        const auto text = store.read(path);
        if (text && text->starts_with(name + " ")) return text->substr(name.size() + 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "nobody wrote " << path;
    return "";
}

void run_body(ThreadTasks& tasks, const std::function<void()>& body) {
    tasks.spawn(
        "body",
        [&] {
            try {
                body();
            } catch (const std::exception& error) {
                ADD_FAILURE() << error.what();
            }
        },
        false);
    tasks.join();
}

class ServerFixture final : public HostFixture {
  public:
    void run(const Case& which) override {
        ServerHost host("xenfs-conformance", {.pages = 512, .grant_frames = 0});
        StoreHandle raw(xs_open(0));
        std::string call = std::string(which.name) + " " + std::to_string(host.self()) + " " +
                           std::to_string(host.granter());
        for (const DomainId guest : guests) {
            call.append(" ").append(std::to_string(guest));
            // A guest writes below nodes that the toolstack gave it, not anywhere in its home.
            for (const char* name : {"/conformance", "/conformance-store", "/data/case-done"}) {
                const std::string path = home(guest) + name;
                xs_permissions owner{guest, XS_PERM_NONE};
                xs_write(raw.get(), XBT_NULL, path.c_str(), "", 0);
                xs_set_permissions(raw.get(), XBT_NULL, path.c_str(), &owner, 1);
            }
        }
        for (const DomainId guest : guests)
            (void)host.store().write(home(guest) + "/data/case", call);
        std::vector<DomainId> taking(guests.begin(),
                                     guests.begin() + static_cast<long>(which.guests));
        Side side(host, {host.self(), host.granter(), taking}, which.name);
        std::set<DomainId> destroyed;
        side.destroy_guest = [&](std::size_t index) {
            destroyed.insert(taking.at(index));
            std::string command = "xl destroy ";
            command += std::to_string(taking.at(index));
            EXPECT_EQ(host.monitor().outside([&] { return std::system(command.c_str()); }), 0);
        };
        run_body(host.tasks(), [&] { which.server(side); });
        for (const DomainId guest : guests) {
            if (destroyed.contains(guest)) continue;
            EXPECT_EQ(await(host.store(), home(guest) + "/data/case-done", which.name), "0")
                << "guest " << guest << ": see its console";
        }
    }
};

class GuestFixture final : public HostFixture {
  public:
    void run(const Case& which) override {
        std::istringstream call;
        {
            Monitor monitor;
            XenStore store(monitor);
            call.str(await(store, "data/case", which.name));  // in this domain's home
        }
        Side::Others others;
        call >> others.server >> others.pool;
        for (DomainId guest = 0; call >> guest;) others.guests.push_back(guest);
        others.guests.resize(which.guests);
        GuestHost host(256, others.server);
        if (static_cast<std::size_t>(guest_index) < which.guests) {
            Side side(host, others, which.name);
            run_body(host.tasks(),
                     [&] { which.guest(side, static_cast<std::size_t>(guest_index)); });
        }
        (void)host.store().write(
            home(host.self()) + "/data/case-done",
            std::string(which.name) + " " + (testing::Test::HasFailure() ? "1" : "0"));
    }
};

std::unique_ptr<HostFixture> make() {
    if (guest_index >= 0) return std::make_unique<GuestFixture>();
    return std::make_unique<ServerFixture>();
}

INSTANTIATE_TEST_SUITE_P(Xen, HostConformance, all_cases({"xen", make}), case_name);

}  // namespace
}  // namespace xenfs::conformance

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    const std::string role = count > 1 ? arguments[1] : "";
    if (role == "guest" && count == 3) {
        xenfs::conformance::guest_index = std::atoi(arguments[2]);
    } else if (role == "server" && count > 2) {
        for (int i = 2; i < count; ++i) {
            xenfs::conformance::guests.push_back(
                static_cast<xenfs::DomainId>(std::atoi(arguments[i])));
        }
    } else {
        std::fprintf(stderr,
                     "usage: xenfs-conformance server DOMID DOMID (in dom0) | guest INDEX (in each "
                     "of those guests)\n");
        return 2;
    }
    return RUN_ALL_TESTS();
}
