#pragma once
// Several tasks of several guests walk one tree, one operation at a time.

#include "model/conformance/file_walk.h"
#include "sim/machine/host_view.h"
#include "sim/tests/core_world.h"

namespace xenfs::sim::tests {

using Ref = conformance::NaiveTree::Ref;
using host::FileType;

class Checker {
  public:
    /// `ranges`: see FileWalkOptions. Seeds that were kept were drawn without.
    Checker(World& world, std::uint64_t seed, int steps, bool ranges = false)
        : world_(world), seed_(seed), steps_(steps), ranges_(ranges) {}

    void start(std::size_t tasks_per_guest) {
        tasks_ = world_.guests.size() * tasks_per_guest;
        walk_ = std::make_unique<conformance::FileWalk>(
            seed_, tasks_,
            conformance::FileWalkOptions{.mix = [](auto... part) { return mix(part...); },
                                         .ranges = ranges_});
        for (std::size_t task = 0; task < tasks_; ++task) {
            const std::size_t guest = task % world_.guests.size();
            world_.program(guest,
                           [this, task, guest](Client& client) { act(task, guest, client); });
        }
    }

    bool done() const { return done_ >= steps_; }
    /// Compares the disk at the end.
    void compare_with(Volume& volume) { compare(volume, walk_->root(), root_node); }

  private:
    void act(std::size_t task, std::size_t guest, Client& client) {
        for (;;) {
            world_.wait_until(guest, [&] { return next_ == task || done_ >= steps_; });
            if (done_ >= steps_ || testing::Test::HasFailure()) break;
            walk_->step(task, client);
            if (testing::Test::HasFailure()) {
                std::printf("failed at step %d, task %zu, guest %zu: %s\n", done_, task, guest,
                            walk_->what().c_str());
                done_ = steps_;
                break;
            }
            if (verbose_) std::printf("%d guest %zu: %s\n", done_, guest, walk_->what().c_str());
            ++done_;
            next_ = walk_->below(tasks_);
        }
        walk_->close_all(task, client);
    }

    void compare(Volume& volume, const Ref& dir, NodeId node) {
        const auto entries = volume.readdir(node, 0, 1000);
        ASSERT_TRUE(entries);
        EXPECT_EQ(entries->size(), dir->entries.size());
        for (const auto& [name, child] : dir->entries) {
            const auto attr = volume.lookup(node, name);
            ASSERT_TRUE(attr) << name;
            EXPECT_EQ(attr->node, walk_->id(child)) << name;
            if (child->is_directory()) {
                compare(volume, child, attr->node);
                continue;
            }
            if (child->type != FileType::regular) continue;
            EXPECT_EQ(attr->size, child->size) << name;
            for (std::uint64_t page = 0; page * page_size < child->size; ++page) {
                Fingerprint stored = 0xdead;
                ASSERT_EQ(volume.read_content(attr->node, page, {&stored, 1}), 0);
                walk_->expect_page(child, page, stored);
            }
        }
    }

    World& world_;
    std::uint64_t seed_;
    int steps_;
    const bool ranges_;
    int done_ = 0;
    std::size_t next_ = 0, tasks_ = 0;
    std::unique_ptr<conformance::FileWalk> walk_;
    bool verbose_ = std::getenv("XENFS_VERBOSE") != nullptr;
};

}  // namespace xenfs::sim::tests
