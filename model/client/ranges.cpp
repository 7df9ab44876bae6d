#include "model/client/ranges.h"

#include <algorithm>

#include "model/client/call.h"
#include "model/client/convert.h"

namespace xenfs::client {

using protocol::Opcode;

/// Lets go of pages that show something else at the server: before, so that our mappings do not
/// make its frames busy, and after, what other tasks have fetched meanwhile.
void FileRanges::drop(const Node& node, std::uint64_t first, std::uint64_t last) {
    pages_.drop_range(node.file(), first, last);
    pages_.drop_range(node.kernel_file(), first, last);
    pages_.settle();
    exchange_.page_changed();
}

int FileRanges::allocate(Handle handle, std::uint32_t mode, std::uint64_t offset,
                         std::uint64_t length) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr || !file->write) return EBADF;
    if (const int error = host::check_allocation(mode, offset, length)) return error;
    if (pages_of(offset + length) > protocol::max_file_pages) return EFBIG;
    const NodeUse use(*file->node);
    Node& node = *use;
    const PageExchange::Change alone(exchange_, node);
    const bool zeroes = host::allocation_zeroes(mode);
    const std::uint64_t first = offset >> page_shift, last = (offset + length - 1) >> page_shift;
    if (zeroes) {
        // What is dirty here was written before, and must not come after. The server may refuse, so
        // nothing is thrown away.
        if (const int error = flusher_.flush(node)) return error;
        drop(node, first, last);
    }
    // In one request, since where there is no room for all the storage takes none.
    const int error = send_allocate(node, {0, offset, length, mode, 0});
    if (zeroes) drop(node, first, last);
    return error == ENOSYS ? EOPNOTSUPP : error;
}

int FileRanges::send_allocate(Node& node, const protocol::FallocateIn& what) {
    return exchange_.with_open(node, [&](std::uint64_t fh) MAY_YIELD {
        Call call(connection_, Opcode::fallocate, node.id);
        protocol::FallocateIn in = what;
        in.fh = fh;
        call.put(in);
        if (const int error = call.send()) return error;
        const auto out = call.get<protocol::AttrOut>();
        if (!call.ok() || out.attr.ino != node.id) return EIO;
        learn(node, out.attr, call.node_outdated());
        return 0;
    });
}

/// The server has changed the file for us, and its time.
void FileRanges::learn(Node& node, const protocol::Attr& attr, bool outdated) {
    connection_.outdate_node(node.id);
    if (node.state.changed()) {  // what we say of the file's time with later commits
        node.state.set_mtime(protocol::time_from(attr.mtime, attr.mtimensec));
    }
    attributes_.learn(attr, outdated);
}

Result<std::uint64_t> FileRanges::seek(Handle handle, std::uint64_t offset, host::Seek what) {
    clock_.charge(costs_.syscall);
    const OpenFile* const file = handles_.find(handle);
    if (file == nullptr) return Errno{EBADF};
    const NodeUse use(*file->node);
    Node& node = *use;
    if (const int error = flusher_.flush(node)) return Errno{error};
    protocol::LseekOut out{};
    int error = exchange_.with_open(node, [&](std::uint64_t fh) MAY_YIELD {
        Call call(connection_, Opcode::lseek, node.id);
        call.put(protocol::LseekIn{
            fh, offset, what == host::Seek::data ? protocol::seek_data : protocol::seek_hole, 0});
        if (const int failed = call.send()) return failed;
        out = call.get<protocol::LseekOut>();
        return call.ok() ? 0 : EIO;
    });
    if (error == 0) return out.offset;
    if (error != ENOSYS) return Errno{error};
    // All is data then, which is right for any file.
    error = attributes_.need_size(node);
    if (error == 0 && offset >= node.state.size()) error = ENXIO;
    if (error != 0) return Errno{error};
    return what == host::Seek::data ? offset : node.state.size();
}

}  // namespace xenfs::client
