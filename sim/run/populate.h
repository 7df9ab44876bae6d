// The tree that a capture's command found, put on simulated volumes for one or many guests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/storage/volume.h"
#include "workloads/capture/capture.h"
#include "workloads/process/path.h"

namespace xenfs::sim {

/// The topmost directories in which the command makes, changes or removes anything: what each guest
/// needs for itself where all share one volume. Sorted.
[[nodiscard]] std::vector<std::string> written_directories(const workloads::Capture& capture);

/// Where guest g (from 1) finds its own: PREFIX becomes /guests/g/PREFIX.
[[nodiscard]] workloads::PrefixMap prefix_map(const std::vector<std::string>& private_prefixes,
                                              std::size_t guest);

/// One volume that holds the tree as it was, for a guest with a disk of its own.
[[nodiscard]] std::shared_ptr<const Volume> private_image(const workloads::Capture& capture);

/// One volume for all guests. What lies outside the private prefixes is there once. Each guest has
/// private directories of its own, as by `cp -al`: a file that no capture changes is one file with
/// a name in each guest's tree (where captures agree on its content), the others are copies.
/// `captures[g]`: of guest g + 1. Throws InputError where two captures disagree on a shared file.
[[nodiscard]] Volume shared_volume(const std::vector<const workloads::Capture*>& captures,
                                   const std::vector<std::string>& private_prefixes);

/// 4 KiB blocks that suffice for `guests` runs of the capture, with room to spare.
[[nodiscard]] std::uint64_t blocks_for(const workloads::Capture& capture, std::size_t guests);

}  // namespace xenfs::sim
