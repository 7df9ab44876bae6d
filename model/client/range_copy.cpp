// copy_file_range: the server copies whole pages of the destination; what is left before and behind
// passes through this guest.
#include <algorithm>
#include <array>

#include "model/client/call.h"
#include "model/client/convert.h"
#include "model/client/ranges.h"

namespace xenfs::client {

using protocol::Opcode;

Result<std::size_t> FileRanges::copy(Place from, Place to, std::size_t length) {
    clock_.charge(costs_.syscall);
    const OpenFile* const in = handles_.find(from.handle);
    const OpenFile* const out = handles_.find(to.handle);
    if (in == nullptr || out == nullptr || !in->read || !out->write || out->append) {
        return Errno{EBADF};
    }
    const bool sync = out->synchronous;
    const NodeUse source(*in->node), target(*out->node);
    if (const int error = attributes_.need_size(*source)) return Errno{error};
    const std::uint64_t size = source->state.size();
    length = from.offset >= size ? 0 : std::min<std::uint64_t>(length, size - from.offset);
    if (pages_of(to.offset + length) > protocol::max_file_pages) return Errno{EFBIG};
    const bool overlap = from.offset < to.offset + length && to.offset < from.offset + length;
    if (&*source == &*target && overlap && length != 0) return Errno{EINVAL};

    std::size_t done = 0;
    const auto part = [&](std::size_t bytes, bool pages) MAY_YIELD {
        if (bytes == 0) return 0;
        const Place at{from.handle, from.offset + done}, into{to.handle, to.offset + done};
        const auto copied = pages ? copy_pages(*source, at.offset, *target, into.offset, bytes)
                                  : copy_by_hand(at, into, bytes);
        if (!copied) return copied.error();
        done += *copied;
        return *copied < bytes ? EAGAIN : 0;  // the rest is for another call
    };
    const std::size_t head =
        std::min<std::size_t>(length, (page_size - to.offset % page_size) % page_size);
    const std::size_t whole =
        std::min<std::size_t>(length - head, protocol::max_copy_bytes) / page_size * page_size;
    const std::size_t rest = length - head - whole;
    const std::size_t tail = rest < page_size ? rest : 0;  // else for another call
    int error = part(head, false);
    if (error == 0) error = part(whole, true);
    if (error == 0) error = part(tail, false);
    if (done == 0) return error == 0 || error == EAGAIN ? Result<std::size_t>(done) : Errno{error};
    if (sync) {
        if (const int unsafe = flusher_.sync(*target, false)) return Errno{unsafe};
    }
    return done;
}

/// Less than a page.
Result<std::size_t> FileRanges::copy_by_hand(Place from, Place to, std::size_t length) {
    std::array<std::byte, page_size> bytes;
    std::array<Fingerprint, 2> pages{};
    const auto got = reader_.read(from.handle, from.offset, {bytes.data(), pages.data(), length});
    if (!got || *got == 0) return got;
    return writer_.write(to.handle, to.offset, {bytes.data(), pages.data(), *got});
}

Result<std::size_t> FileRanges::copy_pages(Node& from, std::uint64_t from_offset, Node& to,
                                           std::uint64_t to_offset, std::size_t length) {
    if (const int error = flusher_.flush(from)) return Errno{error};
    const PageExchange::Change alone(exchange_, to);
    if (const int error = flusher_.flush(to)) return Errno{error};
    const std::uint64_t first = to_offset >> page_shift;
    const std::uint64_t last = (to_offset + length - 1) >> page_shift;
    drop(to, first, last);
    std::size_t copied = 0;
    const int error = exchange_.with_open(from, [&](std::uint64_t in) MAY_YIELD {
        return exchange_.with_open(to, [&](std::uint64_t out) MAY_YIELD {
            Call call(connection_, Opcode::copy_file_range, from.id);
            call.concerns_any_node();  // the reply is about the other one
            call.put(protocol::CopyFileRangeIn{in, from_offset, to.id, out, to_offset, length, 0});
            if (const int failed = call.send()) return failed;
            const auto reply = call.get<protocol::CopyFileRangeOut>();
            if (!call.ok() || reply.out.attr.ino != to.id || reply.size > length) return EIO;
            copied = reply.size;
            learn(to, reply.out.attr, call.node_outdated());
            return 0;
        });
    });
    drop(to, first, last);
    if (error != 0) return Errno{error == ENOSYS ? EOPNOTSUPP : error};
    return copied;
}

}  // namespace xenfs::client
