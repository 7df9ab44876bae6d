#include "sim/machine/fiber.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace xenfs::sim {
namespace {

constexpr std::size_t stack_bytes = 128 * 1024;

TEST(Fiber, RunsWhenSwitchedToAndResumesWhereItLeft) {
    Fiber main;
    std::string log;
    Fiber* self = nullptr;
    Fiber fiber(
        stack_bytes,
        [&] {
            log += "a";
            Fiber::switch_to(*self, main);
            log += "b";
        },
        main);
    self = &fiber;
    EXPECT_EQ(log, "");
    Fiber::switch_to(main, fiber);
    log += "-";
    Fiber::switch_to(main, fiber);
    EXPECT_EQ(log, "a-b");
}

TEST(Fiber, PassesControlInARingAndEndsIntoTheOneNamed) {
    Fiber main;
    std::vector<std::unique_ptr<Fiber>> ring;
    std::string log;
    constexpr std::size_t count = 5;
    for (std::size_t i = 0; i < count; ++i) {
        ring.push_back(std::make_unique<Fiber>(
            stack_bytes,
            [&, i] {
                log += std::to_string(i);
                Fiber::switch_to(*ring[i], i + 1 < count ? *ring[i + 1] : main);
                log += "e" + std::to_string(i);
            },
            main));
    }
    Fiber::switch_to(main, *ring[0]);
    EXPECT_EQ(log, "01234");
    for (const auto& one : ring) Fiber::switch_to(main, *one);
    EXPECT_EQ(log, "01234e0e1e2e3e4");
}

TEST(Fiber, KeepsTheExceptionsThatItHandles) {
    Fiber main;
    std::vector<std::unique_ptr<Fiber>> both;
    std::vector<std::string> told;
    for (const char* name : {"p", "q"}) {
        const std::size_t own = both.size();
        both.push_back(std::make_unique<Fiber>(
            stack_bytes,
            [&, name, own] {
                try {
                    throw std::runtime_error(name);
                } catch (const std::runtime_error&) {
                    EXPECT_EQ(std::uncaught_exceptions(), 0);
                    Fiber::switch_to(*both[own], main);  // switches inside the catch block
                    try {
                        throw;
                    } catch (const std::runtime_error& error) {
                        told.emplace_back(error.what());
                    }
                }
                EXPECT_EQ(std::current_exception(), nullptr);
            },
            main));
    }
    try {
        throw std::runtime_error("main");
    } catch (const std::runtime_error&) {
        Fiber::switch_to(main, *both[0]);
        Fiber::switch_to(main, *both[1]);
        Fiber::switch_to(main, *both[0]);
        Fiber::switch_to(main, *both[1]);
        try {
            throw;
        } catch (const std::runtime_error& error) {
            told.emplace_back(error.what());
        }
    }
    EXPECT_EQ(told, (std::vector<std::string>{"p", "q", "main"}));
}

TEST(Fiber, MaySwitchWhileAnExceptionUnwindsItsStack) {
    Fiber main;
    Fiber* self = nullptr;
    int seen = -1;
    struct Leaves {
        Fiber **from, *to;
        int* seen;
        ~Leaves() {
            *seen = std::uncaught_exceptions();
            Fiber::switch_to(**from, *to);
        }
    };
    bool caught = false;
    Fiber fiber(
        stack_bytes,
        [&] {
            try {
                const Leaves leaves{&self, &main, &seen};
                throw 7;
            } catch (int number) {
                caught = number == 7;
            }
        },
        main);
    self = &fiber;
    Fiber::switch_to(main, fiber);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(std::uncaught_exceptions(), 0) << "those of the other fiber";
    EXPECT_FALSE(caught);
    Fiber::switch_to(main, fiber);
    EXPECT_TRUE(caught);
}

}  // namespace
}  // namespace xenfs::sim
