// The suite runs over the local host: domains are threads of one process, or processes of their
// own.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "model/conformance/suite.h"
#include "real/local/broker.h"
#include "real/local/local_host.h"

namespace xenfs::conformance {
namespace {

using real::local::Broker;
using real::local::BrokerConfig;
using real::local::LocalHost;

/// The sizes are those of the simulated fixture.
BrokerConfig small(const std::filesystem::path& directory) {
    BrokerConfig config;
    config.socket = directory / "host.sock";
    config.memory_pages = 4096;
    config.poison = true;
    config.guests_may_raise_limits = true;
    return config;
}

std::unique_ptr<LocalHost> join_server(const std::string& socket) {
    return LocalHost::join_server(
        socket, {"pool", {.memory_pages = 512, .grant_frames = 8, .populated = 0}});
}

std::unique_ptr<LocalHost> join_guest(const std::string& socket, std::size_t index) {
    return LocalHost::join_guest(
        socket,
        {"guest", {.memory_pages = 256, .maptrack_frames = 4}, static_cast<DomainId>(2 + index)});
}

Side::Others others_of(const Case& which) {
    Side::Others others{0, 1, {}};
    for (std::size_t i = 0; i < which.guests; ++i) {
        others.guests.push_back(static_cast<DomainId>(2 + i));
    }
    return others;
}

/// A body that is destroyed in the middle of a call sees that call fail, which is no failure of the
/// case: `destroyed` tells which one it is.
void run_body(LocalHost& host, std::function<void()> body, const std::atomic<bool>& destroyed) {
    host.tasks().spawn(
        "body",
        [body = std::move(body), &destroyed] {
            try {
                body();
            } catch (const std::exception& error) {
                if (!destroyed) ADD_FAILURE() << error.what();
            }
        },
        false);
}
const std::atomic<bool> never{false};

struct Directory {
    Directory() {
        std::string name = std::filesystem::temp_directory_path() / "xenfs-local-XXXXXX";
        path = mkdtemp(name.data());
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

class Threads final : public HostFixture {
  public:
    void run(const Case& which) override {
        Directory directory;
        const BrokerConfig config = small(directory.path);
        Broker broker(config);
        std::thread hypervisor([&] { broker.run(); });
        {
            const auto server = join_server(config.socket);
            std::vector<std::unique_ptr<LocalHost>> guests;
            std::vector<std::unique_ptr<Side>> sides;
            for (std::size_t i = 0; i < which.guests; ++i) {
                guests.push_back(join_guest(config.socket, i));
                sides.push_back(std::make_unique<Side>(*guests[i], others_of(which), which.name));
            }
            Side side(*server, others_of(which), which.name);
            std::vector<std::atomic<bool>> destroyed(which.guests);
            side.destroy_guest = [&](std::size_t i) {
                destroyed[i] = true;
                EXPECT_EQ(server->destroy(side.guest(i)), 0);
            };
            run_body(
                *server, [&] { which.server(side); }, never);
            for (std::size_t i = 0; i < which.guests; ++i) {
                run_body(
                    *guests[i], [&, i] { which.guest(*sides[i], i); }, destroyed[i]);
            }
            server->wait_for_tasks();
            for (const auto& guest : guests) guest->wait_for_tasks();
        }
        broker.stop();
        hypervisor.join();
    }
};

/// Broker and guests are forked before this process has threads; a destroyed guest is killed. Like
/// a virtual machine, a guest stays after its body has ended, until the server's body has ended
/// too.
class Processes final : public HostFixture {
  public:
    void run(const Case& which) override {
        Directory directory;
        const BrokerConfig config = small(directory.path);
        int server_ended[2];  // a pipe whose other end closes
        ASSERT_EQ(pipe(server_ended), 0);
        const pid_t hypervisor = child([&] {
            ::close(server_ended[1]);
            Broker(config).run();
        });
        std::vector<pid_t> guests;
        for (std::size_t i = 0; i < which.guests; ++i) {
            guests.push_back(child([&] {
                ::close(server_ended[1]);
                const auto guest = joined([&] { return join_guest(config.socket, i); });
                Side side(*guest, others_of(which), which.name);
                run_body(
                    *guest, [&] { which.guest(side, i); }, never);
                guest->wait_for_tasks();
                char none = 0;
                EXPECT_EQ(read(server_ended[0], &none, 1), 0);
            }));
        }
        std::vector<bool> destroyed(which.guests);
        {
            const auto server = joined([&] { return join_server(config.socket); });
            Side side(*server, others_of(which), which.name);
            side.destroy_guest = [&](std::size_t i) {
                destroyed[i] = true;
                EXPECT_EQ(server->destroy(side.guest(i)), 0);
            };
            wait_for_domains(*server, which.guests);
            run_body(
                *server, [&] { which.server(side); }, never);
            server->wait_for_tasks();
            ::close(server_ended[1]);
            ::close(server_ended[0]);
            for (std::size_t i = 0; i < which.guests; ++i) {
                int status = 0;
                waitpid(guests[i], &status, 0);
                if (destroyed[i]) {
                    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
                } else {
                    EXPECT_EQ(status, 0) << "guest " << i << " failed, see above";
                }
            }
        }
        kill(hypervisor, SIGKILL);
        waitpid(hypervisor, nullptr, 0);
    }

  private:
    static pid_t child(const std::function<void()>& body) {
        std::fflush(nullptr);
        const pid_t process = fork();
        if (process != 0) return process;
        try {
            body();
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
        std::fflush(nullptr);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    /// The broker may not listen yet.
    template <class Join>
    static std::unique_ptr<LocalHost> joined(Join join) {
        for (int attempt = 0;; ++attempt) {
            try {
                return join();
            } catch (const real::local::LocalError&) {
                if (attempt == 2000) throw;
                usleep(10'000);
            }
        }
    }
    /// Waits for the guests, since a case may use them at once, as where a toolstack has made them.
    static void wait_for_domains(LocalHost& server, std::size_t guests) {
        for (std::size_t i = 0; i < guests; ++i) {
            const std::string home = "/local/domain/" + std::to_string(2 + i);
            for (int attempt = 0; !server.store().read(home) && attempt < 2000; ++attempt) {
                usleep(10'000);
            }
        }
    }
};

std::unique_ptr<HostFixture> threads() {
    return std::make_unique<Threads>();
}
std::unique_ptr<HostFixture> processes() {
    return std::make_unique<Processes>();
}

INSTANTIATE_TEST_SUITE_P(Threads, HostConformance, all_cases({"threads", threads}), case_name);
INSTANTIATE_TEST_SUITE_P(Processes, HostConformance, all_cases({"processes", processes}),
                         case_name);

}  // namespace
}  // namespace xenfs::conformance
