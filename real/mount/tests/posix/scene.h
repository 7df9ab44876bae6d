#pragma once
// Where the table is played: a tmpfs of the test's own (or the directory XENFS_POSIX_TREE) with a
// local directory and an exported one beside each other, and two guests that mount the latter.

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "real/mount/tests/mount_rig.h"
#include "real/mount/tests/posix/look.h"
#include "real/mount/tests/posix/table.h"

namespace xenfs::real::mount::posix {

class Scene {
  public:
    explicit Scene(const std::string& mount_options)
        : looker_(std::make_unique<Looker>()),  // first, since it forks
          maps_(mount_options == "cache=all" || maps_what_is_read_directly()) {
        const char* const given = std::getenv("XENFS_POSIX_TREE");
        const std::filesystem::path parent = given != nullptr
                                                 ? std::filesystem::path(given)
                                                 : std::filesystem::temp_directory_path();
        std::string name = parent / "xenfs-posix-XXXXXX";
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name);
        place_ = name;
        own_ = given == nullptr;
        if (own_ && ::mount("posix", name.c_str(), "tmpfs", 0, "mode=0755") != 0) {
            throw std::runtime_error("no tmpfs at " + name);
        }
        std::filesystem::permissions(place_, std::filesystem::perms(0755));
        for (const char* each : {"tree", "local"}) {
            std::filesystem::create_directory(place_ / each);
        }
        RigOptions options;
        options.mount_options = mount_options;
        options.tree = place_ / "tree";
        rig_ = std::make_unique<MountRig>(options);
        // The umask is this thread's alone from now on, and no longer that of the server's threads.
        if (unshare(CLONE_FS) != 0) throw std::runtime_error("no umask of its own");
        umask(022);
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;
    ~Scene() {
        rig_.reset();
        if (own_) umount2(place_.c_str(), MNT_DETACH);
        std::error_code none;
        std::filesystem::remove_all(place_, none);
    }

    Places places(std::size_t guests) const {
        Places all{place_ / "local", {}};
        for (std::size_t i = 0; i < guests; ++i) all.mounts.push_back(rig_->at(i));
        return all;
    }
    Player player() const { return {*looker_, own_, {}}; }
    /// Whether files can be mapped MAP_SHARED here.
    bool maps() const { return maps_; }

  private:
    std::unique_ptr<Looker> looker_;
    bool maps_;
    std::filesystem::path place_;
    bool own_ = false;
    std::unique_ptr<MountRig> rig_;
};

}  // namespace xenfs::real::mount::posix
