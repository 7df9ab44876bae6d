// A hostile client acts at random beside honest ones: it does everything that the directed tests
// do, in any order, with torn messages, recycled slots, storms of events, and deaths in the middle.
#include "model/conformance/seed.h"
#include "model/server/server_state.h"
#include "sim/machine/child.h"
#include "sim/tests/core_hostile_siege.h"

namespace xenfs::sim::tests {
namespace {

using namespace std::string_view_literals;
using protocol::PageMode;

/// One connection's life of mischief. It changes names and data of its own files only: the server
/// checks no permissions, so what it may do to others' files is no finding.
class Mischief {
  public:
    Mischief(Siege& siege, std::mt19937_64& random)
        : siege_(siege), evil_(siege.client), random_(random) {}

    void live(int steps) {
        if (!evil_.connect(std::uint32_t{1} << random_() % 5)) return;
        for (int i = 0; i < steps && evil_.backend() == XenbusState::connected; ++i) {
            evil_.flags = random_() % 4 == 0 ? protocol::request_urgent : 0;
            step();
            siege_.audit();
        }
    }

  private:
    std::uint64_t pick(std::uint64_t below) { return random_() % below; }
    std::uint32_t wild() {
        const std::uint32_t edges[] = {0, 1, 39, 40, 255, 256, 257, 512, 513, 4096, 4097, ~0u};
        return pick(2) == 0 ? edges[pick(std::size(edges))] : static_cast<std::uint32_t>(random_());
    }
    NodeId any_node() {
        if (pick(8) == 0) return random_();
        if (pick(3) != 0 && !files_.empty()) return files_[pick(files_.size())].node;
        return 1 + pick(40);
    }
    std::vector<std::uint32_t> some_refs(std::size_t count) {
        std::vector<std::uint32_t> refs(count);
        for (auto& ref : refs) {
            ref = pick(3) != 0 && !refs_.empty() ? refs_[pick(refs_.size())]
                                                 : static_cast<std::uint32_t>(pick(2000));
        }
        return refs;
    }

    void step() {
        switch (pick(15)) {
            case 0:
                files_.push_back(own_file_of("evil" + std::to_string(pick(8))));
                break;
            case 1:
                look_around();
                break;
            case 2:
            case 3:
                ask_for_pages();
                break;
            case 4:
                commit();
                break;
            case 5: {
                const auto refs = some_refs(pick(64));
                evil_.ask(Opcode::pages_release, 0,
                          protocol::PagesReleaseIn{
                              pick(8) == 0 ? wild() : static_cast<std::uint32_t>(refs.size()), 0},
                          refs);
                break;
            }
            case 6:
                map_some();
                break;
            case 7:
                garbage();
                break;
            case 8:
                torn();
                break;
            case 9:
                for (int i = 0; i < 60; ++i) evil_.kick();
                break;
            case 10:  // notices, counted at random or as they come
                evil_.control().notice_done =
                    pick(2) == 0 ? wild() : evil_.control().notice_producer;
                evil_.kick();
                break;
            case 11:
                locks();
                break;
            case 12:
                balloon();
                break;
            case 13:
                allocate();
                seek();
                copy();
                break;
            default:
                if (pick(6) == 0) violate();
        }
    }

    OwnFile own_file_of(const std::string& name) {
        const protocol::CreateIn in{protocol::open_read_write, 0644, 0, 0};
        const auto made = evil_.ask(Opcode::create, root_node, in, name);
        return {made.get<protocol::EntryOut>().nodeid,
                made.get<protocol::OpenOut>(sizeof(protocol::EntryOut)).fh};
    }
    /// Looks up, opens and stats the honest client's files, so that the server has it as a holder.
    void look_around() {
        const auto& work = *siege_.work[pick(siege_.work.size())];
        evil_.ask(Opcode::lookup, root_node, std::string_view(work.directory()));
        const auto found =
            evil_.ask(Opcode::lookup, work.home(), std::string_view(HonestWork::name_of(pick(6))));
        const NodeId node = found.get<protocol::EntryOut>().nodeid;
        if (node == 0) return;
        const std::uint32_t access = pick(4) == 0 ? 2 : 0;
        const auto opened = evil_.ask(Opcode::open, node, protocol::OpenIn{access, 0});
        theirs_.push_back({node, opened.get<protocol::OpenOut>().fh});
        evil_.ask(Opcode::getattr, node, protocol::GetattrIn{});
        evil_.ask(Opcode::readdir, work.home(), protocol::ReadIn{0, random_(), wild(), 0, 0, 0, 0});
    }
    void ask_for_pages() {
        const auto& from = pick(2) == 0 ? files_ : theirs_;
        if (from.empty()) return;
        const OwnFile file = from[pick(from.size())];
        // Takes entries for writing on others' files, too, and never commits: the content must
        // survive that.
        const auto mode = static_cast<PageMode>(pick(6));
        if (mode != PageMode::flip_out) {
            get_pages(evil_, file, mode, pick(8) == 0 ? random_() : pick(50),
                      pick(8) == 0 ? wild() : 1 + static_cast<std::uint32_t>(pick(20)), refs_);
            return;
        }
        protocol::PagesGetIn in{};
        in.fh = file.fh;
        in.first_page = pick(20);
        in.mode = static_cast<std::uint16_t>(mode);
        std::vector<std::uint32_t> accept(1 + pick(6));
        in.count = in.accept_count = static_cast<std::uint32_t>(accept.size());
        if (pick(2) == 0) {
            evil_.host().grants().accept_transfer(siege_.world.pool.id(), accept);
        } else {
            accept = some_refs(accept.size());
        }
        evil_.ask(Opcode::pages_get, file.node, in, accept);
    }
    void commit() {
        if (files_.empty()) return;
        const OwnFile file = files_[pick(files_.size())];
        const auto refs = some_refs(pick(6));
        protocol::PagesCommitIn in{};
        in.fh = pick(8) == 0 ? random_() : file.fh;
        in.offset = pick(8) == 0 ? random_() : pick(50) * page_size;
        in.length = pick(8) == 0 ? random_() : refs.size() * page_size;
        in.mode = static_cast<std::uint16_t>(pick(7));
        in.flags = static_cast<std::uint16_t>(pick(8));
        in.ref_count = pick(8) == 0 ? wild() : static_cast<std::uint32_t>(refs.size());
        evil_.ask(Opcode::pages_commit, file.node, in, refs);
    }
    void allocate() {
        if (files_.empty()) return;
        const OwnFile file = files_[pick(files_.size())];
        const std::uint32_t modes[] = {0, 1, 3, 16, 17, wild()};
        evil_.ask(Opcode::fallocate, file.node,
                  protocol::FallocateIn{
                      pick(8) == 0 ? random_() : file.fh, pick(8) == 0 ? random_() : pick(200'000),
                      pick(8) == 0 ? random_() : pick(100'000), modes[pick(std::size(modes))], 0});
    }
    void seek() {
        const auto& from = pick(2) == 0 ? files_ : theirs_;
        if (from.empty()) return;
        const OwnFile file = from[pick(from.size())];
        const auto whence = pick(8) == 0 ? wild() : 3 + static_cast<std::uint32_t>(pick(2));
        evil_.ask(Opcode::lseek, file.node,
                  protocol::LseekIn{pick(8) == 0 ? random_() : file.fh,
                                    pick(8) == 0 ? random_() : pick(200'000), whence, 0});
    }
    void copy() {  // to files of its own
        if (files_.empty()) return;
        const auto& from = pick(2) == 0 || theirs_.empty() ? files_ : theirs_;
        const OwnFile source = from[pick(from.size())], target = files_[pick(files_.size())];
        protocol::CopyFileRangeIn in{};
        in.fh_in = pick(8) == 0 ? random_() : source.fh;
        in.off_in = pick(8) == 0 ? random_() : pick(200'000);
        in.nodeid_out = target.node;
        in.fh_out = pick(8) == 0 ? random_() : target.fh;
        in.off_out = pick(8) == 0 ? random_() : pick(50) * page_size;
        in.len = pick(8) == 0 ? random_() : pick(20) * page_size;
        evil_.ask(Opcode::copy_file_range, source.node, in);
    }
    void map_some() {  // and never unmaps
        const auto refs = some_refs(1 + pick(8));
        std::vector<MapHandle> handles(refs.size());
        std::vector<GrantStatus> status(refs.size());
        evil_.host().grants().map(siege_.world.pool.id(), refs, Access::read, handles, status);
    }
    void garbage() {
        const Opcode codes[] = {
            Opcode::getattr,   Opcode::lookup,       Opcode::readlink,      Opcode::opendir,
            Opcode::release,   Opcode::flush,        Opcode::statfs,        Opcode::getxattr,
            Opcode::listxattr, Opcode::readdir,      Opcode::batch_forget,  Opcode::init,
            Opcode::pages_get, Opcode::pages_commit, Opcode::pages_release, Opcode::donate,
            Opcode::reclaim,   Opcode::lease_return, Opcode::interrupt,     Opcode::forget,
            Opcode::syncfs,    Opcode::text_put,     Opcode::text_get,      Opcode::tmpfile};
        std::vector<std::uint32_t> words(pick(60));
        for (auto& word : words) word = wild();
        const auto code =
            pick(6) == 0 ? static_cast<Opcode>(wild()) : codes[pick(std::size(codes))];
        if (may_harm(code)) return;
        evil_.ask(code, any_node(), words);
    }
    static bool may_harm(Opcode code) {
        switch (code) {
            case Opcode::setattr:
            case Opcode::unlink:
            case Opcode::rmdir:
            case Opcode::rename:
            case Opcode::rename2:
            case Opcode::setlk:
            case Opcode::setlkw:
            case Opcode::setxattr:
            case Opcode::removexattr:
                return true;
            default:
                return false;
        }
    }
    /// Sends several requests at once, whose bytes change while the server reads them.
    void torn() {
        for (std::uint64_t i = pick(8); i > 0; --i) {
            const std::uint32_t slot = evil_.send(Opcode::lookup, any_node(), "a name"sv);
            if (slot == evil_.slots()) return;
            if (pick(2) == 0) evil_.pause(static_cast<Nanoseconds>(pick(3000)));
            for (std::uint64_t k = pick(20); k > 0; --k) {
                const std::uint32_t length = wild();
                std::memcpy(evil_.slot(slot) + (pick(2) == 0 ? 0 : 44), &length, 4);
            }
        }
    }
    void locks() {
        if (files_.empty()) return;
        const OwnFile file = files_[pick(files_.size())];
        const std::uint64_t start = pick(100);
        const protocol::LkIn lock{
            file.fh,
            pick(3),
            {start, start + pick(100), static_cast<std::uint32_t>(pick(4)), 1},
            static_cast<std::uint32_t>(pick(2) | pick(2) << 30),
            static_cast<std::uint32_t>(pick(100))};
        if (pick(3) == 0) {
            evil_.send(Opcode::setlkw, file.node, lock);
        } else {
            evil_.ask(Opcode::setlk, file.node, lock);
        }
        evil_.ask(Opcode::interrupt, 0,
                  protocol::InterruptIn{pick(4) == 0 ? random_() : pick(100)});
    }
    void balloon() {
        if (pick(2) == 0) evil_.host().frames().donate(pick(40));
        evil_.ask(pick(2) == 0 ? Opcode::donate : Opcode::reclaim, 0,
                  protocol::BalloonIn{pick(2) == 0 ? pick(60) : random_()});
        if (pick(2) == 0) evil_.host().frames().reclaim(pick(60));
    }
    void violate() {
        switch (pick(4)) {
            case 0:
                evil_.control().request_producer = wild();
                break;
            case 1:
                evil_.submit_raw(static_cast<std::uint16_t>(wild()));
                break;
            case 2:
                for (int i = 0; i < 3; ++i) evil_.submit_raw(0);  // one slot three times
                break;
            default:
                evil_.host().store().write(evil_.front("state"), std::to_string(pick(9)));
        }
        evil_.kick();
        evil_.pause(1 * ms);
    }

    Siege& siege_;
    HostileClient& evil_;
    std::mt19937_64& random_;
    std::vector<OwnFile> files_, theirs_;
    std::vector<std::uint32_t> refs_;
};

class CoreStorm : public testing::TestWithParam<const char*> {};

TEST_P(CoreStorm, TheServerStaysUpAndTheHonestAreRight) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 6; ++round) {
        const std::string outcome = run_in_child([&] {
            std::mt19937_64 random(seed + round);
            WorldOptions options = Siege::prepared();
            options.guests = 2;
            options.seed = seed + round;
            options.server.dedup = GetParam();
            options.server.cache_pages = random() % 2 == 0 ? 400 : 4096;
            options.server.ack_timeout = 2 * ms;
            options.quota = 256;
            Siege siege(options, 80);
            siege.run([&] {
                for (int life = 0; life < 6; ++life) {
                    Mischief(siege, random).live(60);
                    siege.client.leave();
                }
                Mischief(siege, random).live(40);  // and dies with it
            });
            return std::string(testing::Test::HasFailure() ? "failed" : "well");
        });
        ASSERT_EQ(outcome, "well") << "round " << round << " of seed " << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Dedup, CoreStorm, testing::Values("name", "content", "none", "scan"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace xenfs::sim::tests
