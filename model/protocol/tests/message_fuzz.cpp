// This is one entry point for libFuzzer (clang, -DXENFS_FUZZ=ON) and for message_fuzz_test: it
// gives what a peer can write to everything that reads it. The first byte of an input says what the
// rest is: a message, a history of a ring's pages, or the text of a handshake. A broken promise
// aborts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "model/protocol/handshake.h"
#include "model/protocol/message.h"
#include "model/protocol/ring.h"

namespace xenfs::protocol {
namespace {

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

/// Reads as a handler of `opcode` would. What comes out must lie within what went in.
void read_message(std::span<const std::byte> input) {
    alignas(8) std::byte memory[max_message_bytes];
    const std::size_t size = std::min(input.size(), sizeof memory);
    std::memcpy(memory, input.data(), size);
    Reader reader(memory, size);
    const auto inside = [&](const void* at, std::size_t length) {
        const auto* from = static_cast<const std::byte*>(at);
        require(length == 0 || (from >= memory && from + length <= memory + size), "out of bounds");
    };
    const auto name = [&] {
        const std::string_view text = reader.get_string();
        inside(text.data(), text.size());
        if (check_name(text) == 0) {
            require(reader.ok() && !text.empty() && text.size() <= max_name_bytes, "name's length");
            require(text.find('/') == text.npos && text.find('\0') == text.npos, "name's bytes");
            require(text != "." && text != "..", "name with a meaning");
        }
    };
    const auto words = [&](std::uint32_t count) {
        const auto refs = reader.get_array<std::uint32_t>(count);
        inside(refs.data(), refs.size_bytes());
        require(refs.size() == count || !reader.ok(), "a shorter array");
        std::uint32_t sum = 0;
        for (const std::uint32_t ref : refs) sum += ref;
        static_cast<void>(sum);
    };
    const auto header = reader.get<InHeader>();
    switch (static_cast<Opcode>(header.opcode)) {
        case Opcode::lookup:
        case Opcode::unlink:
            name();
            break;
        case Opcode::symlink:
            name();
            name();
            break;
        case Opcode::create:
            reader.get<CreateIn>();
            name();
            break;
        case Opcode::rename2:
            reader.get<Rename2In>();
            name();
            name();
            break;
        case Opcode::setxattr: {
            const auto in = reader.get<SetxattrIn>();
            name();
            const std::string_view value = reader.get_bytes(in.size);
            inside(value.data(), value.size());
            break;
        }
        case Opcode::batch_forget: {
            const auto in = reader.get<BatchForgetIn>();
            const auto nodes = reader.get_array<ForgetOne>(in.count);
            inside(nodes.data(), nodes.size_bytes());
            break;
        }
        case Opcode::pages_get: {
            const auto in = reader.get<PagesGetIn>();
            words(in.release_count);
            words(in.accept_count);
            break;
        }
        case Opcode::pages_commit:
            words(reader.get<PagesCommitIn>().ref_count);
            break;
        case Opcode::pages_release:
            words(reader.get<PagesReleaseIn>().count);
            break;
        default:
            reader.get<SetattrIn>();
            name();
            words(header.unique & 0xff);
    }
    require(!reader.finished() || reader.left() == 0, "finished with something left");
    if (!reader.ok()) {
        require(reader.left() == 0 && reader.get<std::uint64_t>() == 0, "reads on after its end");
        require(reader.get_string().empty() && reader.get_bytes(1).empty(), "reads on");
    }
}

/// Runs steps of a server's end over pages that the peer writes to in between.
void run_rings(std::span<const std::byte> input) {
    constexpr std::size_t page = 4096, count = 4;
    alignas(4096) static std::byte memory[(1 + count) * page];
    alignas(8) static std::byte copy[max_message_bytes];
    std::memset(memory, 0, sizeof memory);
    std::array<std::byte*, count> slots;
    for (std::size_t i = 0; i < count; ++i) slots[i] = memory + (1 + i) * page;
    RingBack back(memory, slots);
    std::vector<std::uint16_t> taken;
    std::uint64_t last = 0;
    Reader steps(input.data(), input.size());
    while (steps.left() != 0) {
        switch (steps.get<std::uint8_t>() % 8) {
            case 0:
            case 1: {  // the peer writes a word, mostly where it means something
                static constexpr std::size_t places[] = {0,   448, 512, 514, 516, 518,
                                                         256, 320, 384, 128, 64,  1024};
                const std::uint8_t where = steps.get<std::uint8_t>();
                const auto value = steps.get<std::uint32_t>();
                const std::size_t at = where < 128 ? places[where % std::size(places)]
                                                   : (where * 1021u * 4) % sizeof memory;
                std::memcpy(memory + at, &value, at == 514 || at == 518 ? 2 : 4);
                break;
            }
            case 2: {  // a request with a length, in a slot, as an honest peer makes it
                const std::uint8_t slot = steps.get<std::uint8_t>() % count;
                const auto length = steps.get<std::uint16_t>();
                std::uint32_t producer;
                std::memcpy(&producer, memory, sizeof producer);
                const std::uint32_t wide = length;
                std::memcpy(slots[slot], &wide, sizeof wide);
                const std::uint16_t number = slot;
                std::memcpy(memory + 512 + 2 * (producer % max_slots), &number, sizeof number);
                ++producer;
                std::memcpy(memory, &producer, sizeof producer);
                break;
            }
            case 3:
            case 4: {
                std::uint16_t slot = 0xffff;
                if (back.take_request(slot, copy) != RingBack::Take::request) break;
                InHeader header;
                std::memcpy(&header, copy, sizeof header);
                require(slot < count, "a slot out of range");
                require(header.len >= sizeof header && header.len <= max_message_bytes, "length");
                for (const std::uint16_t other : taken) require(other != slot, "a slot twice");
                taken.push_back(slot);
                break;
            }
            case 5:
                if (taken.empty()) break;
                back.reply(taken.back());
                taken.pop_back();
                break;
            case 6: {
                Notice notice{};
                if (back.post_notice(notice)) {
                    require(notice.sequence == last + 1, "a notice's sequence");
                    last = notice.sequence;
                }
                break;
            }
            default:
                back.pending();
                back.final_check_for_requests();
                require(!back.notice_done(last + 1), "done before it was posted");
                if (last != 0 && back.notice_done(last)) {
                    require(back.notice_room(), "no room where all is done");
                }
        }
        require(back.in_service() == taken.size(), "slots in service");
        require(back.last_notice() == last, "notices posted");
    }
}

/// A store that holds what the input says, in lines of node=value.
class TextStore final : public host::Store {
  public:
    explicit TextStore(std::string_view text) {
        while (!text.empty()) {
            const auto line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(text.size(), line.size() + 1));
            const auto equals = line.find('=');
            if (equals != line.npos) {
                nodes_[std::string(line.substr(0, equals))] = line.substr(equals + 1);
            }
        }
    }
    Result<std::string> read(std::string_view path) override {
        const auto found = nodes_.find(std::string(path.substr(path.rfind('/') + 1)));
        if (found == nodes_.end()) return Errno{ENOENT};
        return found->second;
    }
    int write(std::string_view, std::string_view) override { return EACCES; }
    int remove(std::string_view) override { return EACCES; }
    Result<std::vector<std::string>> list(std::string_view) override { return Errno{EACCES}; }
    int allow(std::string_view, DomainId) override { return EACCES; }
    std::uint64_t watch(std::string_view, std::function<void()>) override { return 0; }
    void unwatch(std::uint64_t) override {}

  private:
    std::map<std::string, std::string> nodes_;
};

void read_handshake(std::span<const std::byte> input) {
    TextStore store({reinterpret_cast<const char*>(input.data()), input.size()});
    const Device device{1, 0, 0};
    for (const std::uint32_t limit : {1u, 8u, 64u}) {
        const auto offer = read_frontend_offer(store, device, limit);
        if (!offer) continue;
        require(std::has_single_bit(offer->slots) && offer->slots <= limit, "slots");
        for (std::uint32_t i = 0; i <= offer->slots; ++i) {
            require(offer->ring_refs[i] != no_grant, "a reference");
        }
    }
    if (const auto offer = read_backend_offer(store, device)) {
        require(std::has_single_bit(offer->max_slots) && offer->max_slots <= max_slots, "offer");
    }
    const auto state = static_cast<int>(read_frontend_state(store, device));
    require(state >= 0 && state <= 6, "a state");
}

}  // namespace
}  // namespace xenfs::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace xenfs::protocol;
    if (size == 0) return 0;
    const std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
    switch (data[0] % 3) {
        case 0:
            read_message(rest);
            break;
        case 1:
            run_rings(rest);
            break;
        default:
            read_handshake(rest);
    }
    return 0;
}
