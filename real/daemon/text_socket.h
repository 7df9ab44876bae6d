#pragma once
// Small questions and answers over a unix socket: what xenfsctl and Prometheus ask.

#include <functional>
#include <string>
#include <thread>

#include "real/common/descriptor.h"

namespace xenfs::real::daemon {

/// Listens from the constructor on, answers from start() on, one caller at a time; a caller that
/// says nothing or does not listen is hung up on after a second. The socket's file is its own: a
/// dead predecessor's is replaced, a living one's is an error, and it goes with this.
class TextSocket {
  public:
    enum class Kind : std::uint8_t {
        line,  ///< the question is a line
        http   ///< a request for HTTP/1; the answer gets a header
    };
    /// The whole answer to a question.
    using Answer = std::function<std::string(const std::string& question)>;

    /// Throws DaemonError.
    TextSocket(const std::string& path, Kind kind);
    ~TextSocket();
    TextSocket(const TextSocket&) = delete;
    TextSocket& operator=(const TextSocket&) = delete;

    void start(Answer answer);
    void stop();

  private:
    void serve();
    void serve_one(int caller);

    std::string path_;
    Kind kind_;
    Descriptor listener_, stop_;
    std::uint64_t inode_ = 0;  ///< of the socket's file, so that only our own is removed
    Answer answer_;
    std::thread thread_;
};

}  // namespace xenfs::real::daemon
