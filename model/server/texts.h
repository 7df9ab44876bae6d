#pragma once
// Texts that are longer than a message: values of extended attributes, lists of their names,
// targets of symbolic links. They go in parts, before the request that uses them or after the one
// that asked for them.

#include <optional>
#include <string>

#include "model/server/request.h"

namespace xenfs::server {

/// Keeps no state: a connection has one text at a time (Connection::text), which bounds what a
/// client can have the server keep. A client that loses it, to another of its own requests or with
/// a server that dies, is told so by EAGAIN and begins anew.
class Texts {
  public:
    int put(Request& q);
    int get(Request& q);

    /// Takes the text that the client has put out of the connection, since a client may put another
    /// while this one is used. Nothing: it is not there, or not of that size.
    static std::optional<std::string> take(Request& q, std::uint32_t size);
    /// Answers with the text as far as there is room for it, and keeps it for get().
    static int answer(Request& q, std::string text);
};

}  // namespace xenfs::server
