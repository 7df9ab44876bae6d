#pragma once
// For tests: a local host, the daemon over a tree of its own, and guests of this process.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "model/client/client.h"
#include "real/local/broker.h"
#include "real/local/local_host.h"

namespace xenfs::real::daemon {

/// A program that runs until it is told to end. What it writes goes to a file.
class Program {
  public:
    Program(const std::vector<std::string>& words, std::filesystem::path output)
        : output_(std::move(output)) {
        std::vector<char*> arguments;
        arguments.reserve(words.size() + 1);
        for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
        arguments.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            const int to = open(output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            dup2(to, 1);
            dup2(to, 2);
            execv(arguments[0], arguments.data());
            _exit(127);
        }
    }
    ~Program() {
        if (pid_ > 0) finish(SIGKILL);
    }
    /// Returns the exit code, or -signal.
    int finish(int signal = 0) {
        if (signal != 0) kill(pid_, signal);
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    void signal(int number) const { kill(pid_, number); }
    bool running() const { return pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0; }
    std::string said() const {
        std::ifstream in(output_);
        std::stringstream text;
        text << in.rdbuf();
        return text.str();
    }

  private:
    std::filesystem::path output_;
    pid_t pid_ = -1;
};

/// A guest with a client, in this process.
class Guest {
  public:
    Guest(const std::string& socket, const std::string& name, client::ClientConfig config = {},
          DomainId id = local::any_domain, std::uint64_t memory_pages = 16384)
        : host(join(socket, {.name = name, .shape = {.memory_pages = memory_pages}, .id = id})) {
        config.server = 0;
        client = std::make_unique<client::Client>(*host, config);
    }
    ~Guest() {
        if (mounted_) run([this] { EXPECT_EQ(client->unmount(), 0); });
    }
    int mount() {
        int error = 0;
        run([&] { error = client->mount(); });
        mounted_ = error == 0;
        return error;
    }
    /// Ends like a guest that is destroyed.
    void die() {
        mounted_ = false;
        host->monitor().end();
        host->wait_for_tasks();
    }
    /// Runs a program of the guest to its end.
    void run(const std::function<void()>& program) {
        std::atomic<bool> done{false};
        {
            Monitor::Entry entry(host->monitor());
            host->tasks().spawn(
                "program",
                [&] {
                    program();
                    done = true;
                    done.notify_all();
                },
                false);
        }
        done.wait(false);
    }
    Result<NodeId> find(std::string_view name) { return client->lookup(root_node, name); }
    std::string read(std::string_view name, std::size_t most = 1 << 20) {
        std::string text(most, '\0');
        run([&] {
            const auto node = find(name);
            ASSERT_EQ(node.error(), 0) << name;
            const auto handle = client->open(*node, {});
            ASSERT_EQ(handle.error(), 0);
            const auto got = client->read(
                *handle, 0, {reinterpret_cast<std::byte*>(text.data()), nullptr, text.size()});
            ASSERT_EQ(got.error(), 0);
            text.resize(*got);
            client->close(*handle);
        });
        return text;
    }
    /// Returns 0 or an errno.
    int write(std::string_view name, std::string text, bool sync = false, files::Owner who = {}) {
        int error = 0;
        run([&] {
            const auto file = client->create(root_node, name, 0644, who,
                                             {.read = true, .write = true, .truncate = true});
            error = file.error();
            if (error != 0) return;
            const auto done = client->write(
                file->handle, 0, {reinterpret_cast<std::byte*>(text.data()), nullptr, text.size()});
            error = done.error();
            if (sync && error == 0) error = client->fsync(file->handle, false);
            client->close(file->handle);
        });
        return error;
    }

    std::unique_ptr<local::LocalHost> host;
    std::unique_ptr<client::Client> client;

  private:
    /// The broker hears of the earlier guest's end with this one's beginning, or later.
    static std::unique_ptr<local::LocalHost> join(const std::string& socket,
                                                  const local::GuestConfig& config) {
        for (int i = 0;; ++i) {
            try {
                return local::LocalHost::join_guest(socket, config);
            } catch (const local::DomainNumberTaken&) {
                if (i == 5000) throw;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    }

    bool mounted_ = false;
};

/// DIR has a tree, a configuration and sockets; the broker is a thread.
class DaemonRig : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "xenfsd-XXXXXX";
        top = mkdtemp(name.data());
        std::filesystem::create_directory(top / "tree");
        local::BrokerConfig config;
        config.socket = top / "host.sock";
        config.memory_pages = 65536;
        broker_ = std::make_unique<local::Broker>(config);
        thread_ = std::thread([this] { broker_->run(); });
    }
    void TearDown() override {
        daemon.reset();
        end_broker();
        std::filesystem::remove_all(top);
    }
    void end_broker() {
        if (!broker_) return;
        broker_->stop();
        thread_.join();
        broker_.reset();
    }
    std::string socket() const { return top / "host.sock"; }
    std::string configuration(const std::string& more = "") const {
        return "host = \"local\"\n[local]\nsocket = \"host.sock\"\n"
               "[cache]\nsize = \"64 MiB\"\n"
               "[server]\ncontrol = \"control.sock\"\nmetrics = \"metrics.sock\"\n" +
               more;
    }
    static std::string one_export(const std::string& guests) {
        return "[[export]]\nname = \"root\"\npath = \"tree\"\n" + guests;
    }
    static std::string guest(const std::string& name, const std::string& more = "") {
        return "[[export.guest]]\nname = \"" + name + "\"\n" + more;
    }
    void configure(const std::string& text) const { std::ofstream(top / "xenfsd.toml") << text; }
    /// Starts the daemon and waits until it serves.
    void start() {
        daemon = std::make_unique<Program>(command(), top / "log");
        for (int i = 0; i < 500 && daemon->said().find("msg=serving") == std::string::npos; ++i) {
            ASSERT_TRUE(daemon->running()) << daemon->said();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    std::vector<std::string> command() const {
        std::vector<std::string> words = starter;
        words.insert(words.end(), {XENFSD, "--config", top / "xenfsd.toml"});
        return words;
    }
    /// Returns what a daemon prints that refuses to begin.
    std::pair<int, std::string> refusal() const {
        std::filesystem::remove(top / "log");
        Program program(command(), top / "log");
        const int code = program.finish();
        return {code, program.said()};
    }
    std::string ask(const std::string& file, const std::string& question) const {
        const Descriptor to(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = top / file;
        path.copy(address.sun_path, path.size());
        EXPECT_EQ(connect(to.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        // The daemon hangs up on what is no question, maybe before all of it is sent; what it says
        // to the rest is in the answer.
        EXPECT_GT(send(to.get(), question.data(), question.size(), MSG_NOSIGNAL), 0);
        std::string answer;
        char part[4096];
        for (ssize_t got; (got = recv(to.get(), part, sizeof part, 0)) > 0;) {
            answer.append(part, static_cast<std::size_t>(got));
        }
        return answer;
    }
    nlohmann::json status() const { return nlohmann::json::parse(ask("control.sock", "status\n")); }
    std::string in_tree(const std::string& name) const {
        std::ifstream in(top / "tree" / name);
        std::stringstream text;
        text << in.rdbuf();
        return text.str();
    }
    std::vector<std::string> left_behind() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(top)) {
            names.push_back(entry.path().filename());
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    std::filesystem::path top;
    std::unique_ptr<Program> daemon;
    std::vector<std::string> starter;  ///< path and words of a program that starts the daemon

  private:
    std::unique_ptr<local::Broker> broker_;
    std::thread thread_;
};

}  // namespace xenfs::real::daemon
