#pragma once
// A TextSocket answers short questions over a unix socket; xenfsctl and Prometheus ask them.

#include <functional>
#include <string>
#include <thread>

#include "real/common/descriptor.h"

namespace xenfs::real::daemon {

/// It listens from the constructor on and answers from start() on, one caller at a time. A caller
/// that sends nothing or reads nothing is disconnected after a second. The socket's file is owned:
/// that of a dead predecessor is replaced, that of a living one is an error, and the destructor
/// removes it.
class TextSocket {
  public:
    enum class Kind : std::uint8_t {
        line,  ///< the question is one line
        http   ///< the question is an HTTP/1 request, and the answer gets a header
    };
    /// Returns the whole answer to a question.
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
    std::uint64_t inode_ = 0;  ///< inode of the socket's file, so that only our own is removed
    Answer answer_;
    std::thread thread_;
};

}  // namespace xenfs::real::daemon
