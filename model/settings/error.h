// What went wrong with what the user gave, as one sentence that says where. Programs print what()
// and exit with code 2.
#pragma once

#include <stdexcept>

namespace xenfs::settings {

class InputError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace xenfs::settings
