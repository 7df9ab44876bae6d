#include "model/server/returns.h"

namespace xenfs::server {

int Returns::come_back(Request& q) {
    const auto in = q.args.get<protocol::ResumeIn>();
    if (in.count > protocol::max_resume_per_request) return EINVAL;
    const auto items = q.args.get_array<protocol::ResumeItem>(in.count);
    if (!q.args.finished()) return EINVAL;
    if (!q.client.resuming) return ESTALE;
    q.reply.put(protocol::ResumeOut{in.count, 0});
    for (const protocol::ResumeItem& item : items) {
        std::uint32_t stands = 0;
        if (!resume_item(q, item, stands)) return EINVAL;
        q.reply.put(stands);
    }
    if ((in.flags & protocol::resume_last) != 0) {
        q.client.resuming = false;
        ++stats_.resumed;
        back_();
    }
    return 0;
}

/// False: it cannot have been so.
bool Returns::resume_item(Request& q, const protocol::ResumeItem& item, std::uint32_t& stands) {
    Connection& c = q.client;  // survives yields: serve() uses the client
    InodeUse inode(inodes_, item.node);
    const auto attr = attributes_.attributes(*inode);
    if (!attr) return true;
    const bool write = (item.flags & protocol::resume_write) != 0 && !c.attachment.read_only;
    if ((item.flags & protocol::resume_open) != 0) {
        const auto place = static_cast<std::uint32_t>(item.fh) - 1;
        if (place >= config_.max_open_files) return false;
        files_.add_opener(*inode, c);
        if (files_.pin_storage(q, *inode) != 0) {
            files_.remove_opener(*inode, c);
            return true;
        }
        // The place is looked up after the yield, in which another request of the client may have
        // taken it, or moved the table.
        if (!files_.restore(c, inode.index(), item.fh, write)) {
            files_.remove_opener(*inode, c);
            return false;
        }
        stands |= protocol::resume_open | (write ? protocol::resume_write : 0u);
    }
    if ((item.flags & protocol::resume_lease) != 0 && coherence_.restore_lease(*inode, c)) {
        stands |= protocol::resume_lease;
    }
    return true;
}

}  // namespace xenfs::server
