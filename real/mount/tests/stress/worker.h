#pragma once
// One process of the stress.

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace xenfs::real::mount::stress {

/// What a process tells while it works, in memory that it shares with its parent.
struct Told {
    std::uint64_t operations = 0, stale = 0, longer_than_1s = 0, longer_than_100ms = 0;
    double slowest_s = 0;
    std::array<char, 64> slowest{};
    std::uint32_t faults = 0;  ///< the first few in words
    std::array<std::array<char, 256>, 4> fault{};
};

class Worker {
  public:
    /// `here` is the guest's mount, `elsewhere` the other's; `number` tells the processes apart.
    Worker(std::filesystem::path here, std::filesystem::path elsewhere, int number,
           std::uint64_t seed, Told& told);
    /// Works until `stop`, then compares its own directory in the other guest with what it knows.
    void run(const std::atomic<bool>& stop);

  private:
    /// In the shared directory others change the same names, and cause errors.
    enum class Where { own, shared };

    template <class Act>
    long timed(const char* name, Act act);
    void fault(const std::string& what);
    void failed(const std::string& name, Where where);
    std::uint64_t draw(std::uint64_t below) { return random_() % below; }
    std::string own_name();
    std::string shared_name();
    std::string own(const std::string& name) const { return here_ / directory_ / name; }
    std::string shared(const std::string& name) const { return here_ / "shared" / name; }

    void work_alone();
    void write_own(const std::string& name);
    void truncate_own(const std::string& name);
    void read_own(const std::string& name, const std::filesystem::path& mount);
    void rename_own(const std::string& from, const std::string& to);
    void link_own(const std::string& from, const std::string& to);
    void unlink_own(const std::string& name);
    void directories_own();
    void work_together();
    void write_shared(const std::string& name);
    void list_shared();
    void compare_all();

    std::filesystem::path here_, elsewhere_;
    std::string directory_;
    std::mt19937_64 random_;
    Told& told_;
    std::map<std::string, std::shared_ptr<std::string>> files_;  ///< links share their content
    bool has_directory_ = false;
};

}  // namespace xenfs::real::mount::stress
