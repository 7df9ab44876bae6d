#pragma once
// Names: found, made, taken away, moved. Each change is told to the other holders of the directory
// before it is answered.

#include "model/server/open_requests.h"

namespace xenfs::server {

/// Keeps no state: names are the storage's, and what clients know of them is Coherence's.
class Names : public Part {
  public:
    Names(const Shared& shared, OpenFiles& files, Changes& changes, Attributes& attributes,
          OpenRequests& opens)
        : Part(shared), files_(files), changes_(changes), attributes_(attributes), opens_(opens) {}

    int lookup(Request& q) MAY_YIELD;
    int mknod(Request& q) MAY_YIELD;
    int mkdir(Request& q) MAY_YIELD;
    int symlink(Request& q) MAY_YIELD;
    int link(Request& q) MAY_YIELD;
    int unlink(Request& q) MAY_YIELD;
    int rmdir(Request& q) MAY_YIELD;
    int rename(Request& q) MAY_YIELD;
    int rename2(Request& q) MAY_YIELD;
    int readlink(Request& q) MAY_YIELD;
    int readdir(Request& q) MAY_YIELD;
    int create(Request& q) MAY_YIELD;
    int tmpfile(Request& q) MAY_YIELD;

  private:
    int make_node(Request& q, host::FileType type, std::uint32_t mode, std::uint32_t umask,
                  std::uint32_t rdev, std::string_view name, std::string_view target) MAY_YIELD;
    int rename_to(Request& q, const protocol::Rename2In& in) MAY_YIELD;
    Result<host::Attr> attr_left(NodeId node) MAY_YIELD;
    void name_gone(Request& q, std::string_view name, const host::Attr& gone, bool pinned,
                   std::uint64_t linked) MAY_YIELD;
    bool lost_last_name(NodeId node) const;
    static void made_by(Inode& inode, const Connection& c);
    void reply_gone(Request& q, const Inode* gone);
    void lost_name(InodeUse& inode, std::uint32_t links, bool pinned,
                   std::uint64_t linked) MAY_YIELD;
    void reply_entry(Request& q, Inode& inode, const host::Attr& attr);
    void entry_changed(Acks& acks, Connection& by, NodeId parent, std::string_view name) MAY_YIELD;

    OpenFiles& files_;
    Changes& changes_;
    Attributes& attributes_;
    OpenRequests& opens_;
    std::uint64_t links_made_ = 0;
};

}  // namespace xenfs::server
