// A file that is made without a name (O_TMPFILE) is to the server one that has lost its last name
// and is open: it ends with its last open, unless it is linked before.
#include "model/server/convert.h"
#include "model/server/names.h"

namespace xenfs::server {

/// Nothing is recorded for a successor: to it a file that nobody has opened again is nobody's.
int Names::tmpfile(Request& q) {
    const auto in = q.args.get<protocol::CreateIn>();
    if (!q.args.finished()) return EINVAL;
    const bool parked_before = q.made != 0;
    const std::uint64_t asked = attributes_.moment();
    const auto make = [&]() MAY_YIELD {
        return storage_.create_nameless(q.header.nodeid, in.mode & 07777,
                                        {q.header.uid, q.header.gid, in.umask});
    };
    auto made = parked_before ? storage_.getattr(q.made) : make();
    if (!made && made.error() == ENFILE && !parked_before) {
        files_.let_all_go();
        made = make();
    }
    // While it waited for room among the open files, its time without an open may have ended.
    if (!made) return parked_before ? ENFILE : made.error();
    InodeUse inode(inodes_, made->node);
    if (!parked_before) {
        q.made = made->node;
        attributes_.learn(*inode, *made, asked);
        files_.keep_nameless(*inode, inode.index());
    }
    protocol::OpenOut opened{};
    const std::uint32_t flags = in.flags & ~protocol::open_truncate;
    if (int e = opens_.open_inode(q, inode, flags, true, opened)) return e;
    const auto attr = attributes_.attributes(*inode);
    if (!attr) {
        files_.remove_opener(*inode, q.client);
        return attr.error();
    }
    reply_entry(q, *inode, *attr);
    opened.fh = files_.publish(q.client, inode.index(), flags);
    q.reply.put(opened);
    return 0;
}

}  // namespace xenfs::server
