#pragma once
// These are well-formed inputs for message_fuzz.cpp, from which mutations start.

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/protocol/message.h"

namespace xenfs::protocol {

using FuzzInput = std::vector<std::uint8_t>;

inline std::vector<FuzzInput> message_seeds() {
    std::vector<FuzzInput> seeds;
    const auto message = [&](Opcode opcode, auto&& body) {
        std::byte memory[max_message_bytes];
        Writer writer(memory);
        InHeader header{};
        header.opcode = static_cast<std::uint32_t>(opcode);
        header.nodeid = 1;
        writer.put(header);
        body(writer);
        const auto length = static_cast<std::uint32_t>(writer.size());
        std::memcpy(memory, &length, sizeof length);
        FuzzInput seed{0};
        for (std::size_t i = 0; i < length; ++i) {
            seed.push_back(static_cast<std::uint8_t>(memory[i]));
        }
        seeds.push_back(std::move(seed));
    };
    const auto words = [](Writer& w, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) w.put(100 + i);
    };
    message(Opcode::lookup, [](Writer& w) { w.put_name("name"); });
    message(Opcode::unlink, [](Writer& w) { w.put_name(".."); });
    message(Opcode::symlink, [](Writer& w) { w.put_name("link"), w.put_name("../target"); });
    message(Opcode::create, [](Writer& w) { w.put(CreateIn{}), w.put_name("file.o"); });
    message(Opcode::rename2, [](Writer& w) {
        w.put(Rename2In{1, 0, 0}), w.put_name("old"), w.put_name("new");
    });
    message(Opcode::setattr, [](Writer& w) { w.put(SetattrIn{}); });
    message(Opcode::setxattr, [](Writer& w) {
        w.put(SetxattrIn{5, 0, 0, 0}), w.put_name("user.a"), w.put_bytes("value");
    });
    message(Opcode::batch_forget, [](Writer& w) {
        w.put(BatchForgetIn{2, 0}), w.put(ForgetOne{1, 1}), w.put(ForgetOne{2, 1});
    });
    message(Opcode::pages_get, [&](Writer& w) {
        PagesGetIn in{};
        in.count = in.accept_count = 3;
        in.mode = 4;
        in.release_count = 7;
        w.put(in), words(w, 10);
    });
    message(Opcode::pages_commit, [&](Writer& w) {
        PagesCommitIn in{};
        in.length = 8192;
        in.ref_count = 2;
        w.put(in), words(w, 2);
    });
    message(Opcode::pages_release, [&](Writer& w) { w.put(PagesReleaseIn{9, 0}), words(w, 9); });

    // Requests in four slots are taken and answered, notices posted and counted; then again.
    FuzzInput ring{1};
    for (std::uint8_t i = 0; i < 40; ++i) {
        for (const int b : {2, i % 4, 48, 0, 3, 5, 6, 7, 0, 1, i + 1, 0, 0, 0, 7}) {
            ring.push_back(static_cast<std::uint8_t>(b));
        }
    }
    seeds.push_back(ring);
    const std::string_view store =
        "state=3\nversions=2,1\nslots=4\nmax-slots=8\npool-domid=2\nexport=/\nquota=100\n"
        "ring-ref-0=8\nring-ref-1=9\nring-ref-2=10\nring-ref-3=11\nring-ref-4=12\n"
        "event-channel=5\n";
    FuzzInput handshake{2};
    handshake.insert(handshake.end(), store.begin(), store.end());
    seeds.push_back(handshake);
    return seeds;
}

}  // namespace xenfs::protocol
