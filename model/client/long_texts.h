#pragma once
// Texts that are longer than a message go in parts: before the request that uses one, or after the
// request that asked for one.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/client/call.h"
#include "model/client/part.h"

namespace xenfs::client {

/// The server keeps one text for each client, so one task at a time has a turn with it. A text is
/// lost with a server that dies; then all begins anew.
class LongTexts : Part {
  public:
    explicit LongTexts(const Shared& shared);

    /// Puts a text, then calls `use`, which sends the request that uses it and returns its errno.
    /// Returns that; E2BIG where the server takes no texts, or none so long.
    template <class Use>
    int put(std::string_view text, Use&& use) MAY_YIELD {
        const Turn turn(*this);
        for (int attempt = 0; attempt < most_attempts; ++attempt) {
            int error = put_parts(text);
            if (error == 0) error = use();
            if (error != EAGAIN) return error;
        }
        return EIO;
    }
    /// Asks for a text by a request about `node`; `arguments` adds what says which, and that it
    /// shall come as one.
    Result<std::string> get(protocol::Opcode opcode, NodeId node,
                            const std::function<void(Call&)>& arguments) MAY_YIELD;

  private:
    static constexpr int most_attempts = 16;  ///< each but the first follows a server that died
    class Turn {
      public:
        explicit Turn(LongTexts& of) MAY_YIELD;
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

      private:
        LongTexts& of_;
    };
    int put_parts(std::string_view text) MAY_YIELD;
    int get_parts(protocol::Opcode opcode, NodeId node, const std::function<void(Call&)>& arguments,
                  std::string& text) MAY_YIELD;

    std::unique_ptr<host::Gate> turn_gate_;
    bool taken_ = false;
};

}  // namespace xenfs::client
