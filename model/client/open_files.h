#pragma once
// This part opens, creates and closes files for programs.

#include "model/client/handles.h"
#include "model/client/locks.h"
#include "model/client/names.h"

namespace xenfs::client {

class OpenFiles final : public Reopener, Part {
  public:
    OpenFiles(const Shared& shared, Names& names, Attributes& attributes, ServerOpens& opens,
              Locks& locks)
        : Part(shared), names_(names), attributes_(attributes), opens_(opens), locks_(locks) {}

    Result<Opened> create(NodeId parent, const Name& name, std::uint32_t mode, Owner who,
                          OpenFlags flags) MAY_YIELD;
    /// Makes a file without a name in the directory and opens it (O_TMPFILE).
    Result<Opened> create_nameless(NodeId directory, std::uint32_t mode, Owner who,
                                   OpenFlags flags) MAY_YIELD;
    Result<Handle> open(NodeId node, OpenFlags flags) MAY_YIELD;
    int close(Handle handle) MAY_YIELD;

    bool reopen(Node& node, std::uint64_t fh) MAY_YIELD override;

  private:
    int open_at_server(Node& node, bool write) MAY_YIELD;
    int create_new(NodeId parent, const Name& name, std::uint32_t mode, Owner who, OpenFlags flags,
                   Opened& made) MAY_YIELD;
    Handle add(Node& node, OpenFlags flags);
    Names& names_;
    Attributes& attributes_;
    ServerOpens& opens_;
    Locks& locks_;
};

}  // namespace xenfs::client
