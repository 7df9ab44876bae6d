#include "model/server/texts.h"

#include <algorithm>

#include "model/server/clients.h"

namespace xenfs::server {

int Texts::put(Request& q) {
    const auto in = q.args.get<protocol::TextIn>();
    const auto bytes = q.args.get_bytes(in.length);
    if (!q.args.finished()) return EINVAL;
    std::string& text = q.client.text;
    if (in.offset == 0) text.clear();
    if (in.offset != text.size()) return EAGAIN;
    if (bytes.size() > protocol::max_text_bytes - text.size()) return E2BIG;
    text.append(bytes);
    return 0;
}

int Texts::get(Request& q) {
    const auto in = q.args.get<protocol::TextIn>();
    if (!q.args.finished()) return EINVAL;
    const std::string& text = q.client.text;
    if (in.offset >= text.size()) return EAGAIN;
    const std::size_t most = std::min<std::size_t>(in.length, q.reply.room());
    q.reply.put_bytes(std::string_view(text).substr(in.offset, most));
    return 0;
}

std::optional<std::string> Texts::take(Request& q, std::uint32_t size) {
    std::string text;
    text.swap(q.client.text);
    if (size == 0 || text.size() != size) return {};
    return text;
}

int Texts::answer(Request& q, std::string text) {
    if (text.size() > protocol::max_text_bytes) return E2BIG;
    q.reply.put(protocol::TextOut{static_cast<std::uint32_t>(text.size()), 0});
    q.reply.put_bytes(std::string_view(text).substr(0, q.reply.room()));
    q.client.text = std::move(text);
    return 0;
}

}  // namespace xenfs::server
