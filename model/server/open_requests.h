#pragma once
// Requests about open files, and what each request for a file's pages asks first.

#include "model/server/attributes.h"
#include "model/server/lock_requests.h"

namespace xenfs::server {

/// Keeps no state of its own: what is open stands in OpenFiles.
class OpenRequests : public Part {
  public:
    OpenRequests(const Shared& shared, WriteBack& write_back, OpenFiles& files, LockRequests& locks,
                 Attributes& attributes)
        : Part(shared),
          write_back_(write_back),
          files_(files),
          locks_(locks),
          attributes_(attributes) {}

    int open(Request& q) MAY_YIELD;
    int opendir(Request& q) MAY_YIELD;
    int release(Request& q) MAY_YIELD;
    int flush(Request& q) MAY_YIELD;
    int fsync(Request& q) MAY_YIELD;
    int syncfs(Request& q) MAY_YIELD;
    int init(Request& q);
    int destroy(Request& q);
    int lease_return(Request& q);

    /// All that opening takes but the number, which the caller gives. The opener is counted before
    /// anything yields, so that nobody gets a lease or closes the storage's file meanwhile.
    int open_inode(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                   protocol::OpenOut& out) MAY_YIELD;
    /// The regular file of a page request: by fh, or by node for the lease's holder. None: EBADF.
    Inodes::Index file_for_pages(Request& q, std::uint64_t fh, bool write) {
        return file_for_pages(q, q.header.nodeid, fh, write);
    }
    Inodes::Index file_for_pages(Request& q, NodeId node, std::uint64_t fh, bool write);

  private:
    int open_existing(Request& q, InodeUse& inode, std::uint32_t flags) MAY_YIELD;
    int prepare_open(Request& q, InodeUse& inode, std::uint32_t flags, bool created,
                     protocol::OpenOut& out) MAY_YIELD;

    WriteBack& write_back_;
    OpenFiles& files_;
    LockRequests& locks_;
    Attributes& attributes_;
};

}  // namespace xenfs::server
