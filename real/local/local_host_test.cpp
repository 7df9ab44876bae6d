// The local host promises more than the suite asks: the kernel itself keeps read-only pages
// read-only, deaths are clean, broken packets harm their sender only, and memory adds up.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "model/conformance/seed.h"
#include "real/local/broker.h"
#include "real/local/local_host.h"

namespace xenfs::real::local {
namespace {

using host::Page;

/// A broker in a thread of its own, with 4096 pages.
class LocalHostTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = std::filesystem::temp_directory_path() / "xenfs-local-XXXXXX";
        directory_ = mkdtemp(name.data());
        socket_ = directory_ / "host.sock";
        BrokerConfig config;
        config.socket = socket_;
        config.memory_pages = 4096;
        config.poison = true;
        broker_ = std::make_unique<Broker>(config);
        thread_ = std::thread([this] { broker_->run(); });
    }
    void TearDown() override {
        broker_->stop();
        thread_.join();
        broker_.reset();
        EXPECT_FALSE(std::filesystem::exists(socket_)) << "nothing is left behind";
        std::filesystem::remove_all(directory_);
    }
    std::unique_ptr<LocalHost> server() {
        return LocalHost::join_server(socket_, {"pool", {.memory_pages = 512, .populated = 0}});
    }
    std::unique_ptr<LocalHost> guest(std::size_t pages = 256) {
        return LocalHost::join_guest(socket_, {"guest", {.memory_pages = pages}});
    }
    static GrantRef grant(LocalHost& from, DomainId to, Frame frame, Access access) {
        GrantRef reference = no_grant;
        EXPECT_EQ(from.grants().grant(to, {&frame, 1}, access, {&reference, 1}), 1u);
        return reference;
    }
    static MapHandle map(LocalHost& to, DomainId granter, GrantRef reference, Access access) {
        MapHandle handle = no_handle;
        GrantStatus status{};
        to.grants().map(granter, {&reference, 1}, access, {&handle, 1}, {&status, 1});
        EXPECT_EQ(status, GrantStatus::okay);
        return handle;
    }
    static GrantStatus revoke(LocalHost& from, GrantRef reference) {
        GrantStatus status{};
        from.grants().revoke({&reference, 1}, {&status, 1});
        return status;
    }
    static Frame frame(LocalHost& host) {
        Frame one = no_frame;
        EXPECT_EQ(host.frames().allocate({&one, 1}), 1u);
        return one;
    }
    /// Starts a process that joins, maps for writing what it finds granted, reports that, and waits
    /// to be killed. It has no LocalHost, since a sanitizer allows no threads after a fork from
    /// threads.
    pid_t mapping_process() {
        const pid_t child = fork();
        if (child != 0) return child;
        Link link(socket_);
        Writer hello(Call::hello);
        link.call(hello.put(Role::guest)
                      .put(any_domain)
                      .put(DomainShape{.memory_pages = 16})
                      .put_text("killed"));
        Monitor monitor;
        LocalStore store(monitor, link, Descriptor());
        (void)store.write("/local/domain/2/ready", "1");
        Result<std::string> text = Errno{ENOENT};
        while (!(text = store.read("/local/domain/0/for-2"))) usleep(1000);
        const Account none;
        LocalGrants grants(link, none);
        const auto reference = static_cast<GrantRef>(std::stoul(*text));
        MapHandle handle = no_handle;
        GrantStatus status{};
        grants.map(1, {&reference, 1}, Access::read_write, {&handle, 1}, {&status, 1});
        (void)store.write("/local/domain/2/mapped", status == GrantStatus::okay ? "yes" : "no");
        for (;;) pause();
    }

    std::filesystem::path directory_;
    std::string socket_;
    std::unique_ptr<Broker> broker_;
    std::thread thread_;
};

/// Returns whether a process that does this dies of SIGSEGV or SIGBUS.
bool faults(const std::function<void()>& access) {
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);  // so that no sanitizer reports it
        signal(SIGBUS, SIG_DFL);
        access();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

TEST_F(LocalHostTest, ReadOnlyMappingsAreReadOnlyForTheKernel) {
    const auto dom0 = server();
    const auto domu = guest();
    const Frame one = frame(*dom0);
    const GrantRef reference = grant(*dom0, domu->self(), one, Access::read);
    const MapHandle handle = map(*domu, dom0->granter(), reference, Access::read);
    std::byte* const at = domu->memory().bytes(Page::of_mapping(handle));
    EXPECT_FALSE(faults([&] { (void)*const_cast<volatile std::byte*>(at); }));
    EXPECT_TRUE(faults([&] { *const_cast<volatile std::byte*>(at) = std::byte{1}; }));
    EXPECT_EQ(mprotect(at, page_size, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(errno, EACCES);
    domu->grants().unmap({&handle, 1});
    EXPECT_TRUE(faults([&] { (void)*const_cast<volatile std::byte*>(at); })) << "unmapped";
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::okay);
}

TEST_F(LocalHostTest, NeighboursOfAMappedPageAreOutOfReach) {
    const auto dom0 = server();
    const auto domu = guest();
    Frame frames[3];
    ASSERT_EQ(dom0->frames().allocate(frames), 3u);
    const GrantRef reference = grant(*dom0, domu->self(), frames[1], Access::read_write);
    const MapHandle handle = map(*domu, dom0->granter(), reference, Access::read_write);
    std::byte* const at = domu->memory().bytes(Page::of_mapping(handle));
    EXPECT_FALSE(faults([&] { *const_cast<volatile std::byte*>(at) = std::byte{1}; }));
    EXPECT_TRUE(faults([&] { (void)*const_cast<volatile std::byte*>(at - 1); }));
    EXPECT_TRUE(faults([&] { (void)*const_cast<volatile std::byte*>(at + page_size); }));
}

TEST_F(LocalHostTest, AKilledProcessLeavesNothingBehind) {
    const auto dom0 = server();
    const Frame one = frame(*dom0);
    dom0->memory().zero(Page::of_frame(one), 0, page_size);
    const pid_t child = mapping_process();
    const DomainId domu = 2;
    const std::string home = "/local/domain/2";
    while (!dom0->store().read(home + "/ready")) usleep(1000);
    const GrantRef reference = grant(*dom0, domu, one, Access::read_write);
    ASSERT_EQ(dom0->store().write("/local/domain/0/for-2", std::to_string(reference)), 0);
    ASSERT_EQ(dom0->store().allow("/local/domain/0/for-2", domu), 0);
    while (!dom0->store().read(home + "/mapped")) usleep(1000);
    EXPECT_EQ(*dom0->store().read(home + "/mapped"), "yes");
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::busy);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    GrantStatus status = GrantStatus::busy;
    for (int i = 0; i < 5000 && status == GrantStatus::busy; ++i, usleep(1000)) {
        status = revoke(*dom0, reference);
    }
    EXPECT_EQ(status, GrantStatus::okay);
    EXPECT_EQ(dom0->store().read(home).error(), ENOENT);
    dom0->frames().release({&one, 1});
}

TEST_F(LocalHostTest, ThePoolOutlivesItsServer) {
    auto dom0 = server();
    const auto domu = guest();
    const Frame one = frame(*dom0);
    std::byte* at = dom0->memory().bytes(Page::of_frame(one));
    at[7] = std::byte{42};
    const GrantRef reference = grant(*dom0, domu->self(), one, Access::read);
    const MapHandle handle = map(*domu, dom0->granter(), reference, Access::read);
    EXPECT_THROW(server(), LocalError) << "one at a time";
    dom0.reset();
    EXPECT_EQ(domu->memory().bytes(Page::of_mapping(handle))[7], std::byte{42});
    for (int i = 0; i < 5000 && dom0 == nullptr; ++i) {
        try {
            dom0 = server();
        } catch (const LocalError&) {
            usleep(1000);  // the broker has not seen the old one go
        }
    }
    ASSERT_NE(dom0, nullptr);
    EXPECT_EQ(dom0->frames().owned(), 1u);
    EXPECT_EQ(dom0->memory().bytes(Page::of_frame(one))[7], std::byte{42});
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::busy);
    domu->grants().unmap({&handle, 1});
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::okay);
    dom0->frames().release({&one, 1});
}

TEST_F(LocalHostTest, HostMemoryIsBoundedAndAddsUp) {
    const auto dom0 = server();
    auto first = guest(2000);
    EXPECT_THROW(guest(3000), LocalError);
    dom0->frames().set_limit(4096);
    std::vector<Frame> frames(4096);
    EXPECT_EQ(dom0->frames().allocate(frames), 4096u - 2000);
    EXPECT_EQ(first->frames().donate(100), 100u);
    EXPECT_EQ(dom0->frames().donated_by(first->self()), 100u);
    std::vector<Frame> more(200);
    EXPECT_EQ(dom0->frames().allocate(more), 100u) << "what was donated";
    EXPECT_EQ(first->frames().reclaim(100), 0u) << "the pool has it";
    dom0->frames().release({more.data(), 60});
    EXPECT_EQ(first->frames().reclaim(100), 60u);
    first->frames().set_limit(3000);
    EXPECT_EQ(first->frames().limit(), 2000u) << "a guest does not raise its own maxmem";
    // It dies with one page mapped by dom0: only that page is not free.
    const auto ring = first->memory().allocate_shared();
    const GrantRef reference = grant(*first, 0, *ring, Access::read_write);
    const MapHandle handle = map(*dom0, first->self(), reference, Access::read_write);
    dom0->memory().bytes(Page::of_mapping(handle))[5] = std::byte{9};
    EXPECT_EQ(dom0->destroy(first->self()), 0);
    EXPECT_EQ(dom0->memory().bytes(Page::of_mapping(handle))[5], std::byte{9});
    std::vector<Frame> rest(4096);
    const std::size_t freed = dom0->frames().allocate(rest);
    EXPECT_EQ(freed, 2000u - 40 - 1) << "all but what the pool keeps, and the mapped page";
    dom0->grants().unmap({&handle, 1});
    EXPECT_EQ(dom0->frames().allocate(rest), 1u);
}

TEST_F(LocalHostTest, FreshFramesHoldWhatNobodyShouldRelyOn) {
    const auto dom0 = server();
    const Frame one = frame(*dom0);
    EXPECT_EQ(dom0->memory().bytes(Page::of_frame(one))[0], std::byte{0xdb});
    const auto shared = dom0->memory().allocate_shared();
    ASSERT_TRUE(shared);
    EXPECT_EQ(dom0->memory().bytes(Page::of_frame(*shared))[0], std::byte{0});
}

TEST_F(LocalHostTest, GuestsAreNotServersAndServersAreFew) {
    const auto dom0 = server();
    const auto one = guest();
    const auto two = guest();
    EXPECT_EQ(one->destroy(two->self()), EPERM);
    EXPECT_EQ(dom0->destroy(0), ESRCH);
    EXPECT_EQ(dom0->destroy(999), ESRCH);
    EXPECT_TRUE(one->store().write("/local/domain/" + std::to_string(two->self()) + "/x", "1"));
}

/// Whatever a domain sends, the broker answers it or hangs up, and serves the others.
TEST_F(LocalHostTest, BrokenPacketsHarmTheirSenderOnly) {
    const auto dom0 = server();
    const auto witness = guest();
    const std::uint64_t seed = test_seed();
    std::mt19937_64 random(seed);
    std::unique_ptr<Link> hostile;
    for (int i = 0; i < 3000; ++i) {
        if (hostile == nullptr) {
            hostile = std::make_unique<Link>(socket_);
            DomainShape shape;
            shape.memory_pages = 16;
            shape.grant_frames = 1;
            Writer hello(Call::hello);
            hello.put(Role::guest).put(any_domain).put(shape).put_text("hostile");
            ASSERT_EQ(hostile->call(hello).error, 0);
        }
        const auto call = static_cast<Call>(random() % (static_cast<unsigned>(Call::destroy) + 2));
        Writer request(call);
        for (std::size_t words = random() % 12; words > 0; --words) {
            const std::uint32_t few = static_cast<std::uint32_t>(random() % 8);
            const std::uint32_t wild = static_cast<std::uint32_t>(random());
            request.put(random() % 4 != 0 ? few : wild);
        }
        if (random() % 3 == 0) request.put(static_cast<std::uint8_t>(random()));
        if (hostile->call(request).error == ESRCH && random() % 2 == 0) hostile.reset();
    }
    hostile.reset();
    const Frame one = frame(*dom0);
    const GrantRef reference = grant(*dom0, witness->self(), one, Access::read);
    const MapHandle handle = map(*witness, dom0->granter(), reference, Access::read);
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::busy);
    witness->grants().unmap({&handle, 1});
    EXPECT_EQ(revoke(*dom0, reference), GrantStatus::okay);
}

TEST_F(LocalHostTest, ErrorsSayWhatToDo) {
    try {
        LocalHost::join_guest(directory_ / "nobody.sock", {"guest", {.memory_pages = 1}});
        FAIL();
    } catch (const LocalError& error) {
        EXPECT_NE(std::string(error.what()).find("start it with"), std::string::npos);
    }
    BrokerConfig second;
    second.socket = socket_;
    EXPECT_THROW(Broker{second}, LocalError) << "the socket is in use";
    EXPECT_NO_THROW(guest()) << "and stays with the first";
}

}  // namespace
}  // namespace xenfs::real::local
