#include "model/protocol/message.h"

#include <cerrno>

namespace xenfs::protocol {

int check_name(std::string_view name) {
    if (name.empty() || name == "." || name == "..") return EINVAL;
    if (name.size() > max_name_bytes) return ENAMETOOLONG;
    if (name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos) {
        return EINVAL;
    }
    return 0;
}

}  // namespace xenfs::protocol
