#pragma once
// What the running kernel can do where it does not say so itself.

namespace xenfs::real {

/// Returns whether this kernel's release is that one or a later one; false where it cannot be told.
bool kernel_is_at_least(int major, int minor);

}  // namespace xenfs::real
