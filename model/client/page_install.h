#pragma once
// A PageInstaller brings granted pages into the store: mapped, or copied or flipped into frames of
// ours.

#include <array>
#include <vector>

#include "model/client/page_exchange.h"

namespace xenfs::client {

/// It serves one get() and owns the loading slots that it reserved until they have become pages.
class PageInstaller final : public PageReceiver, Part {
  public:
    /// `once` says that what comes goes after one use. `outdated` gets the pages that a notice
    /// overtook.
    PageInstaller(const Shared& shared, bool once, std::vector<PageKey>& outdated)
        : Part(shared), once_(once), outdated_(outdated) {}

    /// Marks [first, first + count) of the file as loading. Returns how many there was room for.
    std::uint32_t reserve(std::uint32_t file, std::uint64_t first, std::uint32_t count);
    /// Ends the loading of what did not come.
    void drop_behind(std::uint32_t granted);

    bool prepare(PageRequest& request, std::uint32_t& count) override;
    void receive(PageRequest& request) override;

  private:
    void map(PageRequest& request);
    void copy(PageRequest& request);
    void flip(PageRequest& request);
    void installed(const PageRequest& request, std::uint32_t i, bool own);

    static constexpr std::size_t most = PageRequest::most;
    const bool once_;
    std::vector<PageKey>& outdated_;
    std::uint32_t reserved_ = 0;
    std::uint32_t frame_count_ = 0;  ///< how many frames this attempt may fill or pay with
    int attempts_ = 0;
    std::array<Slot, most> slots_;
    std::array<Frame, most> frames_;
    std::array<GrantRef, most> accept_;
};

}  // namespace xenfs::client
