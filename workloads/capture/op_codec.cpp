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
        follow(op);
        return s;
    }
    Op to_op(const Symbol& s) {
        Op op{0, s.length, s.file, s.target, static_cast<OpCode>(s.code), s.flags, s.error};
        if (op.file != kNone && op.file >= capture_.files.size())
            throw std::out_of_range("names a file that does not exist");
        if (has_version(op)) op.target += capture_.files[op.file].first_version;
        op.offset = static_cast<std::uint64_t>(s.offset + base(op.code, op.file, op.target));
        follow(op);
        return op;
    }

  private:
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
};

// Guesses the next symbol from the last one, two, three and six: in each table the symbol that
// followed last time. Tables are not checked for collisions: a wrong guess costs a byte, and both
// sides make the same one.
class Predictor {
  public:
    static constexpr std::size_t kContexts = 4;
    Predictor() {
        for (auto& t : tables_) t.assign(std::size_t{1} << kTableBits, kNone);
    }
    void begin_process() { history_.fill(kNone); }
    [[nodiscard]] std::uint32_t guess(std::size_t context) const {
        return tables_[context][slot(context)];
    }
    void learn(std::uint32_t symbol) {
        for (std::size_t c = 0; c < kContexts; ++c) tables_[c][slot(c)] = symbol;
        for (std::size_t i = history_.size() - 1; i > 0; --i) history_[i] = history_[i - 1];
        history_[0] = symbol;
    }

  private:
    static constexpr int kTableBits = 20;
    static constexpr std::array<std::size_t, kContexts> kOrder = {6, 3, 2, 1};
    [[nodiscard]] std::size_t slot(std::size_t context) const {
        std::uint64_t h = 0;
        for (std::size_t i = 0; i < kOrder[context]; ++i)
            h = (h + history_[i] + 1) * 0x9e3779b97f4a7c15u;
        return h >> (64 - kTableBits);
    }
    std::array<std::uint32_t, 6> history_{};
    std::array<std::vector<std::uint32_t>, kContexts> tables_;
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

constexpr std::size_t kKnown = Predictor::kContexts, kNew = kKnown + 1;

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

    ByteWriter runs, misses, known, code, flags, error, length, file, target, offset;
    std::unordered_map<Symbol, std::uint32_t, SymbolHash> ids;
    Predictor predictor;
    std::uint64_t run = 0;
    std::uint32_t last_file = 0, last_target = 0;
    for (ProcessId p = 0; p < by_process.size(); ++p) {
        Normaliser normaliser(c, p);
        predictor.begin_process();
        for (std::uint32_t index : by_process[p]) {
            const Symbol s = normaliser.to_symbol(c.ops[index]);
            const auto [it, is_new] = ids.try_emplace(s, static_cast<std::uint32_t>(ids.size()));
            std::size_t how = 0;
            while (how < Predictor::kContexts && predictor.guess(how) != it->second) ++how;
            if (how == Predictor::kContexts && is_new) how = kNew;
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
            length.varint(s.length);
            file.zigzag(static_cast<std::int32_t>(s.file - last_file));
            target.zigzag(static_cast<std::int32_t>(s.target - last_target));
            offset.zigzag(s.offset);
            if (s.file != kNone) last_file = s.file;
            if (s.target != kNone) last_target = s.target;
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
    out.add("op.target", target);
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
               length = in.get("op.length"), file = in.get("op.file"), target = in.get("op.target"),
               offset = in.get("op.offset");
    std::vector<Symbol> symbols;
    Predictor predictor;
    std::uint64_t run = runs.varint();
    std::uint32_t last_file = 0, last_target = 0;
    for (ProcessId p = 0; p < c.processes.size(); ++p) {
        Normaliser normaliser(c, p);
        predictor.begin_process();
        for (std::uint32_t i = 0; i < c.processes[p].op_count; ++i) {
            std::uint32_t id = kNone;
            if (run > 0) {
                --run;
                id = predictor.guess(0);
            } else {
                const std::size_t how = misses.u8();
                run = runs.varint();
                if (how < Predictor::kContexts) {
                    id = predictor.guess(how);
                } else if (how == kKnown) {
                    id = known.varint32();
                } else {
                    Symbol s{};
                    s.code = code.u8();
                    s.flags = flags.u8();
                    s.error = static_cast<std::uint16_t>(error.varint());
                    s.length = length.varint32();
                    s.file = last_file + static_cast<std::uint32_t>(file.zigzag());
                    s.target = last_target + static_cast<std::uint32_t>(target.zigzag());
                    s.offset = offset.zigzag();
                    if (s.file != kNone) last_file = s.file;
                    if (s.target != kNone) last_target = s.target;
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
