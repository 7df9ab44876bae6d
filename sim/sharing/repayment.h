#pragma once
// What becomes of the memory that sharing saves, and of the host when the sharing ends.

#include <cstdint>
#include <string>
#include <vector>

namespace xenfs::sim {

enum class Surplus : std::uint8_t {
    keep,   ///< it stays free
    repay,  ///< guests that share get it, for pages that may be taken at once (Satori)
    spend   ///< it is given away for good, as where more guests are started in it
};

/// Satori's repayment FIFOs (USENIX ATC 2009), in pages. A guest that shares is entitled to what it
/// saves, in proportion. It may keep volatile pages there only (clean page cache), and lists each
/// of them; so its FIFO is as long as what it was given. When a write takes a shared page apart,
/// the machine page for it comes from a FIFO: that of the guest whose page it is, or, where that is
/// empty, the longest. So with `repay`, always and without waiting for any guest:
/// given <= saved, which is to say that machine pages in use never exceed what guests were
/// promised.
class Repayment {
  public:
    Repayment(Surplus surplus, std::size_t guests) : surplus_(surplus), fifo_(guests, 0) {}

    /// Gives out what is saved and not given. `sharing`: pages of each guest that are on shared
    /// machine pages.
    void give(std::size_t saved, const std::vector<std::size_t>& sharing);
    /// Only `saved` pages are saved now, since a page of `guest` was taken apart.
    void broken(std::size_t guest, std::size_t saved);

    std::size_t given() const { return given_; }
    std::size_t fifo(std::size_t guest) const { return fifo_[guest]; }
    std::uint64_t taken_back() const { return taken_back_; }
    std::uint64_t taken_from_others() const { return taken_from_others_; }
    /// Machine pages in use beyond those that there are.
    std::size_t overcommitted(std::size_t saved) const {
        return given_ > saved ? given_ - saved : 0;
    }
    std::size_t overcommitted_peak() const { return overcommitted_peak_; }

  private:
    Surplus surplus_;
    std::vector<std::size_t> fifo_;  ///< pages that the guest lists, oldest first: how many
    std::size_t given_ = 0;
    std::uint64_t taken_back_ = 0, taken_from_others_ = 0;
    std::size_t overcommitted_peak_ = 0;
};

}  // namespace xenfs::sim
