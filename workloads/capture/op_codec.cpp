#include "workloads/capture/op_codec.h"

#include <array>
#include <unordered_map>

namespace xenfs::workloads {

namespace {

// An operation without what depends on where its process stands: offsets count from the position
// that the process's last read or write left, versions from the file's first, children from the
// process's last child.
struct Symbol {
    std::int64_t offset;
    std::uint32_t length, file, target;
    std::uint16_t error;
    std::uint8_t code, flags;
    bool operator==(const Symbol&) const = default;
};
struct SymbolHash {
    std::size_t operator()(const Symbol& s) const {
        std::uint64_t h = static_cast<std::uint64_t>(s.offset) * 0x9e3779b97f4a7c15u;
        for (std::uint64_t v :
             {std::uint64_t{s.length}, std::uint64_t{s.file}, std::uint64_t{s.target},
              std::uint64_t{s.error} << 16 | std::uint64_t{s.code} << 8 | s.flags})
            h = (h ^ (h >> 29) ^ v) * 0xbf58476d1ce4e5b9u;
        return h ^ (h >> 32);
    }
};

// Stands for the length of a read or write that goes on to the end of its file's version.
constexpr std::uint32_t kToTheEnd = kNone - 1;

// Turns operations of one process into symbols and back.
class Normaliser {
  public:
    Normaliser(const Capture& capture, ProcessId process)
        : capture_(capture), last_child_(process) {}

    Symbol to_symbol(const Op& op) {
        Symbol s{static_cast<std::int64_t>(op.offset), op.length, op.file, op.target, op.error,
                 static_cast<std::uint8_t>(op.code),   op.flags};
        s.offset -= base(op.code, op.file, op.target);
        if (has_version(op)) s.target -= capture_.files[op.file].first_version;
        if (op.length == rest(op)) s.length = kToTheEnd;
        follow(op);
        return s;
    }
    Op to_op(const Symbol& s) {
        Op op{0, s.length, s.file, s.target, static_cast<OpCode>(s.code), s.flags, s.error};
        if (op.file != kNone && op.file >= capture_.files.size())
            throw std::out_of_range("names a file that does not exist");
        if (has_version(op)) op.target += capture_.files[op.file].first_version;
        op.offset = static_cast<std::uint64_t>(s.offset + base(op.code, op.file, op.target));
        if (op.length == kToTheEnd) op.length = static_cast<std::uint32_t>(rest(op));
        follow(op);
        return op;
    }

    // The file of the last operation that had one.
    [[nodiscard]] FileId last_file() const { return last_file_; }

  private:
    // Bytes from the operation's offset to the end of its version; what no length is if that does
    // not apply.
    [[nodiscard]] std::uint64_t rest(const Op& op) const {
        constexpr std::uint64_t kNever = ~std::uint64_t{0};
        if ((op.code != OpCode::kRead && op.code != OpCode::kWrite) || !has_version(op) ||
            op.error != 0 || op.target >= capture_.versions.size())
            return kNever;
        const std::uint64_t size = capture_.versions[op.target].size_bytes;
        return op.offset <= size && size - op.offset < kToTheEnd ? size - op.offset : kNever;
    }
    static bool has_version(const Op& op) {
        return op.file != kNone && !op.by_name() && op.target != kNone && op.code < OpCode::kFork;
    }
    std::int64_t base(OpCode code, FileId file, std::uint32_t target) const {
        switch (code) {
            case OpCode::kRead:
            case OpCode::kWrite: {
                const auto it = position_.find(file);
                return it == position_.end() ? 0 : static_cast<std::int64_t>(it->second);
            }
            case OpCode::kRename:
            case OpCode::kLink:
                return target;
            case OpCode::kFork:
            case OpCode::kWait:
                return last_child_;
            default:
                return 0;
        }
    }
    void follow(const Op& op) {
        if (op.file != kNone) last_file_ = op.file;
        if (op.code == OpCode::kRead || op.code == OpCode::kWrite)
            position_[op.file] = op.offset + op.length;
        else if (op.code == OpCode::kOpen && op.file != kNone)
            position_[op.file] = 0;
        else if (op.code == OpCode::kFork)
            last_child_ = op.child();
    }

    const Capture& capture_;
    std::unordered_map<FileId, std::uint64_t> position_;
    ProcessId last_child_;
    FileId last_file_ = 0;
};

// Guesses the next symbol: first what followed the last five and the last two symbols the last
// time, then all that ever followed the last one, the latest first. Beyond that it looks along the
// chain of what followed what: a compiler that has read a header already skips it where another one
// opened it. Both sides make the same guesses.
class Predictor {
  public:
    static constexpr std::size_t kFollowers = 30;
    static constexpr std::size_t kGuesses = 2 + kFollowers;
    static constexpr std::size_t kMaxSkip = 200;
    Predictor() {
        for (auto& t : tables_) t.assign(std::size_t{1} << kTableBits, {kNone, 0});
    }
    void begin_process() { history_.fill(kNone); }

    // The first guess, which is nearly always right; kNone if there is no ground for any.
    [[nodiscard]] std::uint32_t first_guess() {
        for (std::size_t c = 0; c < 2; ++c) hash_[c] = hash(c);
        for (std::size_t c = 0; c < 2; ++c)
            if (const std::uint32_t s = look(c); s != kNone) return s;
        const Followers* f = followers();
        return f && f->count > 0 ? f->symbol[0] : kNone;
    }
    // All guesses, best first, each once. After first_guess(), which is the first of them.
    struct Guesses {
        std::array<std::uint32_t, kGuesses> symbol;
        std::size_t count = 0;
        void add(std::uint32_t s) {
            for (std::size_t i = 0; i < count; ++i)
                if (symbol[i] == s) return;
            symbol[count++] = s;
        }
    };
    [[nodiscard]] Guesses guesses() const {
        Guesses g;
        for (std::size_t c = 0; c < 2; ++c)
            if (const std::uint32_t s = look(c); s != kNone) g.add(s);
        if (const Followers* f = followers())
            for (std::size_t i = 0; i < f->count; ++i) g.add(f->symbol[i]);
        return g;
    }
    // What lies one step further along the chain; kNone at its end.
    [[nodiscard]] std::uint32_t after(std::uint32_t symbol) const {
        return symbol < followers_.size() && followers_[symbol].count > 0
                   ? followers_[symbol].symbol[0]
                   : kNone;
    }
    [[nodiscard]] std::uint32_t last() const { return history_[0]; }
    // To be called after first_guess().
    void learn(std::uint32_t symbol) {
        for (std::size_t c = 0; c < 2; ++c)
            tables_[c][hash_[c] >> (64 - kTableBits)] = {symbol,
                                                         static_cast<std::uint32_t>(hash_[c])};
        if (history_[0] != kNone) {
            if (history_[0] >= followers_.size()) followers_.resize(history_[0] + 1);
            followers_[history_[0]].to_front(symbol);
        }
        for (std::size_t i = history_.size() - 1; i > 0; --i) history_[i] = history_[i - 1];
        history_[0] = symbol;
    }

  private:
    static constexpr int kTableBits = 20;
    static constexpr std::array<std::size_t, 2> kOrder = {5, 2};
    struct Entry {
        std::uint32_t symbol, tag;
    };
    struct Followers {
        std::array<std::uint32_t, kFollowers> symbol;
        std::uint32_t count = 0;
        void to_front(std::uint32_t s) {
            std::size_t i = 0;
            while (i < count && symbol[i] != s) ++i;
            if (i == count) {
                if (count < kFollowers)
                    ++count;
                else
                    --i;
            }
            for (; i > 0; --i) symbol[i] = symbol[i - 1];
            symbol[0] = s;
        }
    };
    [[nodiscard]] std::uint32_t look(std::size_t context) const {
        const Entry& e = tables_[context][hash_[context] >> (64 - kTableBits)];
        return e.tag == static_cast<std::uint32_t>(hash_[context]) ? e.symbol : kNone;
    }
    [[nodiscard]] const Followers* followers() const {
        return history_[0] < followers_.size() ? &followers_[history_[0]] : nullptr;
    }
    [[nodiscard]] std::uint64_t hash(std::size_t context) const {
        std::uint64_t h = 0;
        for (std::size_t i = 0; i < kOrder[context]; ++i)
            h = (h + history_[i] + 1) * 0x9e3779b97f4a7c15u;
        return h ^ (h >> 32);
    }
    std::array<std::uint32_t, 5> history_{};
    std::array<std::uint64_t, 2> hash_{};
    std::array<std::vector<Entry>, 2> tables_;
    std::vector<Followers> followers_;  // by symbol
};

// Files by the name they were first known by: an operation by name mostly means one of them.
class FilesByName {
  public:
    explicit FilesByName(const Capture& capture) : files_(capture.paths.size()) {
        for (FileId f = 0; f < capture.files.size(); ++f)
            if (capture.files[f].path < files_.size()) files_[capture.files[f].path].push_back(f);
    }
    // Which of the path's files it is; kNone if none.
    [[nodiscard]] std::uint32_t place(PathId path, FileId file) const {
        const auto& list = files_[path];
        for (std::uint32_t i = 0; i < list.size(); ++i)
            if (list[i] == file) return i;
        return kNone;
    }
    [[nodiscard]] FileId file(PathId path, std::uint64_t place) const {
        if (path >= files_.size() || place >= files_[path].size())
            throw std::out_of_range("names a file that does not exist");
        return files_[path][place];
    }

  private:
    std::vector<std::vector<FileId>> files_;
};

// Live processes, the latest first: which one goes on is mostly one of the first two.
class Recent {
  public:
    // The position of `process`, or the size if it is new; then moves it to the front.
    std::size_t take(ProcessId process) {
        std::size_t i = 0;
        while (i < list_.size() && list_[i] != process) ++i;
        if (i == list_.size()) list_.push_back(process);
        to_front(i);
        return i;
    }
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    ProcessId take_at(std::size_t i) {
        const ProcessId process = list_[i];
        to_front(i);
        return process;
    }
    void drop_front() { list_.erase(list_.begin()); }

  private:
    void to_front(std::size_t i) {
        const ProcessId process = list_[i];
        for (; i > 0; --i) list_[i] = list_[i - 1];
        list_[0] = process;
    }
    std::vector<ProcessId> list_;
};

// How an operation is told: by a guess (0 …), as a known symbol by its number, as a new one, or,
// from kSkip on, by how far along the chain it lies.
constexpr std::size_t kKnown = Predictor::kGuesses, kNew = kKnown + 1, kSkip = kNew + 1;

void encode_order(const Capture& c, SectionWriter& out) {
    ByteWriter who, counts;
    Recent recent;
    for (std::size_t i = 0; i < c.ops.size();) {
        const ProcessId process = c.op_process[i];
        std::size_t n = 1;
        while (i + n < c.ops.size() && c.op_process[i + n] == process) ++n;
        const std::size_t size = recent.size(), at = recent.take(process);
        who.varint(at);
        if (at == size) who.varint(process);
        counts.varint(n);
        i += n;
        if (c.ops[i - 1].code == OpCode::kExit) recent.drop_front();
    }
    out.add("order.who", who);
    out.add("order.count", counts);
}

}  // namespace

void encode_ops(const Capture& c, SectionWriter& out) {
    std::vector<std::vector<std::uint32_t>> by_process(c.processes.size());
    for (std::size_t i = 0; i < c.ops.size(); ++i)
        by_process[c.op_process[i]].push_back(static_cast<std::uint32_t>(i));

    ByteWriter runs, misses, known, code, flags, error, length, file, other_file, target, version,
        offset;
    const FilesByName names(c);
    std::unordered_map<Symbol, std::uint32_t, SymbolHash> ids;
    Predictor predictor;
    std::uint64_t run = 0;
    PathId last_target = 0;
    for (ProcessId p = 0; p < by_process.size(); ++p) {
        Normaliser normaliser(c, p);
        predictor.begin_process();
        for (std::uint32_t index : by_process[p]) {
            const FileId before = normaliser.last_file();
            const Symbol s = normaliser.to_symbol(c.ops[index]);
            const auto [it, is_new] = ids.try_emplace(s, static_cast<std::uint32_t>(ids.size()));
            const bool first = predictor.first_guess() == it->second;
            std::size_t how = 0;
            if (!first) {
                const auto guesses = predictor.guesses();
                while (how < guesses.count && guesses.symbol[how] != it->second) ++how;
                if (how == guesses.count) how = is_new ? kNew : kKnown;
            }
            if (how == kKnown) {
                std::uint32_t along = predictor.after(predictor.last());
                for (std::size_t steps = 0; steps < Predictor::kMaxSkip && along != kNone;
                     ++steps) {
                    if (along == it->second) {
                        how = kSkip + steps;
                        break;
                    }
                    along = predictor.after(along);
                }
            }
            predictor.learn(it->second);
            if (how == 0) {
                ++run;
                continue;
            }
            runs.varint(run);
            run = 0;
            misses.u8(static_cast<std::uint8_t>(how));
            if (how == kKnown) known.varint(it->second);
            if (how != kNew) continue;
            code.u8(s.code);
            flags.u8(s.flags);
            error.varint(s.error);
            length.varint(s.length == kToTheEnd ? 0 : std::uint64_t{s.length} + 1);
            offset.zigzag(s.offset);
            const bool by_name = c.ops[index].by_name();
            (by_name ? target : version)
                .zigzag(static_cast<std::int32_t>(s.target - (by_name ? last_target : 0)));
            if (by_name && s.target != kNone) last_target = s.target;
            const auto place = by_name && s.file != kNone ? names.place(s.target, s.file) : kNone;
            file.varint(s.file == kNone ? 0 : place != kNone ? std::uint64_t{place} + 2 : 1);
            if (s.file != kNone && place == kNone)
                other_file.zigzag(static_cast<std::int32_t>(s.file - before));
        }
    }
    runs.varint(run);
    out.add("op.run", runs);
    out.add("op.miss", misses);
    out.add("op.known", known);
    out.add("op.code", code);
    out.add("op.flags", flags);
    out.add("op.error", error);
    out.add("op.length", length);
    out.add("op.file", file);
    out.add("op.other", other_file);
    out.add("op.target", target);
    out.add("op.version", version);
    out.add("op.offset", offset);
    encode_order(c, out);
}

namespace {

void decode_order(Capture& c, const SectionReader& in) {
    ByteReader who = in.get("order.who"), counts = in.get("order.count");
    // Where each process's operations begin in the by-process order, and how many are used.
    std::vector<std::size_t> next(c.processes.size());
    std::size_t total = 0;
    for (std::size_t p = 0; p < next.size(); ++p) {
        next[p] = total;
        total += c.processes[p].op_count;
    }
    std::vector<Op> by_process(std::move(c.ops));
    c.ops.clear();
    c.ops.reserve(total);
    c.op_process.clear();
    c.op_process.reserve(total);
    std::vector<std::uint32_t> used(c.processes.size());
    Recent recent;
    while (c.ops.size() < total) {
        const std::size_t at = who.varint();
        if (at > recent.size()) throw std::out_of_range("names a process that never ran");
        const ProcessId p = at < recent.size() ? recent.take_at(at) : who.varint32();
        if (p >= c.processes.size()) throw std::out_of_range("names a process that never ran");
        if (at == recent.size()) recent.take(p);
        const std::uint64_t n = counts.varint();
        Process& process = c.processes[p];
        if (n == 0 || n > process.op_count - used[p])
            throw std::out_of_range("has a run that is too long");
        if (used[p] == 0) process.first_op = static_cast<std::uint32_t>(c.ops.size());
        used[p] += static_cast<std::uint32_t>(n);
        for (std::uint64_t i = 0; i < n; ++i) {
            c.ops.push_back(by_process[next[p]++]);
            c.op_process.push_back(p);
        }
        process.last_op = static_cast<std::uint32_t>(c.ops.size() - 1);
        if (c.ops.back().code == OpCode::kExit) recent.drop_front();
    }
}

}  // namespace

void decode_ops(Capture& c, const SectionReader& in) {
    ByteReader runs = in.get("op.run"), misses = in.get("op.miss"), known = in.get("op.known"),
               code = in.get("op.code"), flags = in.get("op.flags"), error = in.get("op.error"),
               length = in.get("op.length"), file = in.get("op.file"),
               other_file = in.get("op.other"), target = in.get("op.target"),
               version = in.get("op.version"), offset = in.get("op.offset");
    const FilesByName names(c);
    std::vector<Symbol> symbols;
    Predictor predictor;
    std::uint64_t run = runs.varint();
    PathId last_target = 0;
    for (ProcessId p = 0; p < c.processes.size(); ++p) {
        Normaliser normaliser(c, p);
        predictor.begin_process();
        for (std::uint32_t i = 0; i < c.processes[p].op_count; ++i) {
            const std::uint32_t first = predictor.first_guess();
            std::uint32_t id = kNone;
            if (run > 0) {
                --run;
                id = first;
            } else {
                const std::size_t how = misses.u8();
                run = runs.varint();
                if (how < kKnown) {
                    const auto guesses = predictor.guesses();
                    if (how < guesses.count) id = guesses.symbol[how];
                } else if (how == kKnown) {
                    id = known.varint32();
                } else if (how >= kSkip) {
                    id = predictor.after(predictor.last());
                    for (std::size_t steps = kSkip; steps < how; ++steps) id = predictor.after(id);
                } else if (how == kNew) {
                    Symbol s{};
                    s.code = code.u8();
                    s.flags = flags.u8();
                    s.error = static_cast<std::uint16_t>(error.varint());
                    const std::uint64_t bytes = length.varint();
                    s.length = bytes == 0 ? kToTheEnd : static_cast<std::uint32_t>(bytes - 1);
                    s.offset = offset.zigzag();
                    const std::uint64_t place = file.varint();
                    if (place == 0) s.file = kNone;
                    if (place == 1)
                        s.file = normaliser.last_file() +
                                 static_cast<std::uint32_t>(other_file.zigzag());
                    const OpCode kind = static_cast<OpCode>(s.code);
                    const bool by_name = Op{.file = place == 0 ? kNone : 0, .code = kind}.by_name();
                    s.target = static_cast<std::uint32_t>((by_name ? target : version).zigzag()) +
                               (by_name ? last_target : 0);
                    if (by_name && s.target != kNone) last_target = s.target;
                    if (place >= 2) s.file = names.file(s.target, place - 2);
                    id = static_cast<std::uint32_t>(symbols.size());
                    symbols.push_back(s);
                }
            }
            if (id >= symbols.size())
                throw std::out_of_range("repeats an operation that never was");
            predictor.learn(id);
            c.ops.push_back(normaliser.to_op(symbols[id]));
        }
    }
    decode_order(c, in);
}

}  // namespace xenfs::workloads
