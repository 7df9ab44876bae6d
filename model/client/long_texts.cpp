#include "model/client/long_texts.h"

#include <algorithm>

namespace xenfs::client {

using protocol::Opcode;

namespace {

constexpr std::size_t part_bytes =
    protocol::max_message_bytes - sizeof(protocol::InHeader) - sizeof(protocol::TextIn);

}  // namespace

LongTexts::Turn::Turn(LongTexts& of) : of_(of) {
    while (of_.taken_) of_.turn_gate_->wait();
    of_.taken_ = true;
}

LongTexts::Turn::~Turn() {
    of_.taken_ = false;
    of_.turn_gate_->wake_one();
}

LongTexts::LongTexts(const Shared& shared) : Part(shared), turn_gate_(host_.tasks().make_gate()) {}

int LongTexts::put_parts(std::string_view text) {
    if (text.size() > protocol::max_text_bytes) return E2BIG;
    for (std::size_t at = 0; at < text.size(); at += part_bytes) {
        const std::string_view part = text.substr(at, part_bytes);
        Call call(connection_, Opcode::text_put, 0);
        call.put(protocol::TextIn{static_cast<std::uint32_t>(at),
                                  static_cast<std::uint32_t>(part.size())});
        call.put_bytes(part);
        if (int error = call.send()) return error == ENOSYS ? E2BIG : error;
    }
    return 0;
}

int LongTexts::get_parts(Opcode opcode, NodeId node, const std::function<void(Call&)>& arguments,
                         std::string& text) {
    std::size_t size = 0;
    {
        Call call(connection_, opcode, node);
        arguments(call);
        if (int error = call.send()) return error;
        size = call.get<protocol::TextOut>().size;
        text = call.reader().get_bytes(call.reader().left());
        if (!call.ok() || size > protocol::max_text_bytes) return EIO;
    }
    while (text.size() < size) {
        Call call(connection_, Opcode::text_get, 0);
        call.put(protocol::TextIn{static_cast<std::uint32_t>(text.size()),
                                  static_cast<std::uint32_t>(size - text.size())});
        if (int error = call.send()) return error;
        const auto part = call.reader().get_bytes(call.reader().left());
        if (part.empty()) return EIO;
        text += part;
    }
    return text.size() == size ? 0 : EIO;
}

Result<std::string> LongTexts::get(Opcode opcode, NodeId node,
                                   const std::function<void(Call&)>& arguments) {
    const Turn turn(*this);
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        std::string text;
        const int error = get_parts(opcode, node, arguments, text);
        if (error == 0) return text;
        if (error != EAGAIN) return Errno{error};
    }
    return Errno{EIO};
}

}  // namespace xenfs::client
