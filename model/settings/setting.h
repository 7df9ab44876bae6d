// The vocabulary in which settings are declared: once, in a table beside the struct that they fill.
//
//     const settings::Table<HostSpec>& host_settings() {
//         using namespace settings;
//         static const Table<HostSpec> table = {
//             count("cores", &HostSpec::cores, {1, 256}, "Physical cores."),
//             pages("memory", &HostSpec::memory_pages, {mib, tib}, "Machine memory."),
//             choice("cpu", &HostSpec::cpu, {"pinned", "contended"}, "How vCPUs get cores."),
//         };
//         return table;
//     }
//
// A default is the member's initializer. Whoever reads a file, a command line or prints a manual
// picks rows from such tables: `part` moves the rows of a member's struct into the outer struct,
// `as` gives a row the key that the file uses for it.
#pragma once

#include <algorithm>
#include <cassert>
#include <concepts>
#include <initializer_list>
#include <limits>
#include <utility>

#include "model/host/types.h"
#include "model/settings/declaration.h"

namespace xenfs::settings {

inline constexpr double kib = 1024, mib = 1024 * kib, gib = 1024 * mib, tib = 1024 * gib;
inline constexpr double us = 1e3, ms = 1e6, seconds = 1e9, hours = 3600e9;

/// A declaration and where in an S its value is kept.
template <class S>
struct Setting : Declaration {
    std::function<Value(const S&)> get;
    std::function<void(S&, const Value&)> set;

    Setting() = default;
    /// A row of a base class is one of the derived class.
    template <class Base>
    requires(std::derived_from<S, Base> && !std::same_as<S, Base>) Setting(const Setting<Base>& row)
        : Declaration(row), get(row.get), set(row.set) {}

    /// This setting under the key that some file or command line uses for it.
    [[nodiscard]] Setting as(const std::string& other_key) const {
        Setting row = *this;
        row.key = other_key;
        return row;
    }
    [[nodiscard]] Setting required() && {
        is_required = true;
        return std::move(*this);
    }
    [[nodiscard]] Setting power_of_two() && {
        is_power_of_two = true;
        return std::move(*this);
    }
    [[nodiscard]] Setting or_none() && {
        may_be_empty = true;
        return std::move(*this);
    }
    /// This choice without one of its names.
    [[nodiscard]] Setting without(std::string name) && {
        names = [all = std::move(names), name = std::move(name)] {
            std::vector<std::string> rest = all();
            std::erase(rest, name);
            return rest;
        };
        return std::move(*this);
    }
    [[nodiscard]] Setting only(const std::vector<std::string>& users) && {
        only_for = users;
        return std::move(*this);
    }
};

/// Rows in the order in which they are printed. A key may stand in several rows where the rows are
/// for different users (`only_for`).
template <class S>
class Table {
  public:
    Table() = default;
    Table(std::initializer_list<Setting<S>> rows) : rows_(rows) {}

    [[nodiscard]] auto begin() const { return rows_.begin(); }
    [[nodiscard]] auto end() const { return rows_.end(); }

    [[nodiscard]] const Setting<S>* find(std::string_view key) const {
        const auto row = std::find_if(begin(), end(), [&](const auto& r) { return r.key == key; });
        return row == end() ? nullptr : &*row;
    }
    /// The row of a key that is there.
    [[nodiscard]] const Setting<S>& operator[](std::string_view key) const {
        const Setting<S>* row = find(key);
        assert(row != nullptr && "no such setting is declared");
        return *row;
    }
    Table& add(Setting<S> row) {
        rows_.push_back(std::move(row));
        return *this;
    }
    Table& add(const Table& more) {
        rows_.insert(rows_.end(), more.begin(), more.end());
        return *this;
    }

  private:
    std::vector<Setting<S>> rows_;
};

/// A row of the struct that a member of S is, as a row of S.
template <class S, class Part>
[[nodiscard]] Setting<S> part(Part S::*member, const Setting<Part>& row) {
    Setting<S> out;
    static_cast<Declaration&>(out) = static_cast<const Declaration&>(row);
    out.get = [member, get = row.get](const S& of) { return get(of.*member); };
    out.set = [member, set = row.set](S& of, const Value& value) { set(of.*member, value); };
    return out;
}

/// All of its rows, with `prefix` before their keys.
template <class S, class Part>
[[nodiscard]] Table<S> part(Part S::*member, const Table<Part>& rows,
                            std::string_view prefix = {}) {
    Table<S> out;
    for (const Setting<Part>& row : rows) {
        out.add(part(member, row).as(std::string(prefix) + row.key));
    }
    return out;
}

/// What the functions below have in common: a row whose member is read and written by `get`, `set`.
template <class S, class Get, class Set>
[[nodiscard]] Setting<S> row(Kind kind, std::string_view key, std::string_view sentence, Get get,
                             Set set) {
    Setting<S> out;
    out.kind = kind;
    out.key = key;
    out.sentence = sentence;
    out.get = std::move(get);
    out.set = std::move(set);
    return out;
}

/// A row of a member that keeps the value as it is.
template <class S, class T>
[[nodiscard]] Setting<S> plain(Kind kind, std::string_view key, T S::*member,
                               std::string_view sentence) {
    return row<S>(
        kind, key, sentence, [member](const S& of) { return Value(of.*member); },
        [member](S& of, const Value& value) { of.*member = std::get<T>(value); });
}

/// A row of an integer that keeps the value divided by `grain`.
template <class S, std::integral T>
[[nodiscard]] Setting<S> whole(Kind kind, std::string_view key, T S::*member, Range range,
                               std::string_view sentence, std::int64_t grain = 1) {
    assert(range.most / static_cast<double>(grain) <=
           static_cast<double>(std::numeric_limits<T>::max()));
    Setting<S> out = row<S>(
        kind, key, sentence,
        [=](const S& of) { return Value(static_cast<std::int64_t>(of.*member) * grain); },
        [=](S& of, const Value& value) {
            of.*member = static_cast<T>(std::get<std::int64_t>(value) / grain);
        });
    out.range = range;
    out.grain = grain;
    return out;
}

template <class S>
[[nodiscard]] Setting<S> text(std::string_view key, std::string S::*member,
                              std::string_view sentence) {
    return plain(Kind::text, key, member, sentence);
}
template <class S>
[[nodiscard]] Setting<S> path(std::string_view key, std::string S::*member,
                              std::string_view sentence) {
    return plain(Kind::path, key, member, sentence);
}
template <class S>
[[nodiscard]] Setting<S> flag(std::string_view key, bool S::*member, std::string_view sentence) {
    return plain(Kind::flag, key, member, sentence);
}
template <class S, std::integral T>
[[nodiscard]] Setting<S> count(std::string_view key, T S::*member, Range range,
                               std::string_view sentence) {
    return whole(Kind::count, key, member, range, sentence);
}
template <class S, std::integral T>
[[nodiscard]] Setting<S> duration(std::string_view key, T S::*member, Range range,
                                  std::string_view sentence) {
    return whole(Kind::time, key, member, range, sentence);
}
/// A size that is kept in bytes.
template <class S, std::integral T>
[[nodiscard]] Setting<S> size(std::string_view key, T S::*member, Range range,
                              std::string_view sentence) {
    return whole(Kind::size, key, member, range, sentence);
}
/// A size that is kept in pages of 4 KiB.
template <class S, std::integral T>
[[nodiscard]] Setting<S> pages(std::string_view key, T S::*member, Range range,
                               std::string_view sentence) {
    return whole(Kind::size, key, member, range, sentence, page_size);
}
template <class S>
[[nodiscard]] Setting<S> fraction(std::string_view key, double S::*member, Range range,
                                  std::string_view sentence) {
    Setting<S> out = plain(Kind::fraction, key, member, sentence);
    out.range = range;
    return out;
}
/// A fraction that is kept in percent.
template <class S, std::integral T>
[[nodiscard]] Setting<S> percent(std::string_view key, T S::*member, Range range,
                                 std::string_view sentence) {
    Setting<S> out = row<S>(
        Kind::fraction, key, sentence,
        [member](const S& of) { return Value(static_cast<double>(of.*member) / 100); },
        [member](S& of, const Value& value) {
            of.*member = static_cast<T>(std::get<double>(value) * 100 + 0.5);
        });
    out.range = range;
    return out;
}
/// A list of whole numbers, texts or paths.
template <class S, class T>
[[nodiscard]] Setting<S> list(Kind kind, std::string_view key, std::vector<T> S::*member,
                              Range range, std::string_view sentence) {
    Setting<S> out = plain(kind, key, member, sentence);
    out.range = range;
    out.is_list = true;
    return out;
}
/// One of some names. An enumeration's are in its enumerators' order, which begins with 0.
template <class S, class T>
[[nodiscard]] Setting<S> choice(std::string_view key, T S::*member, std::vector<std::string> names,
                                std::string_view sentence) {
    Setting<S> out;
    if constexpr (std::is_enum_v<T>) {
        out = row<S>(
            Kind::text, key, sentence,
            [=](const S& of) { return Value(names.at(static_cast<std::size_t>(of.*member))); },
            [=](S& of, const Value& value) {
                const auto at = std::find(names.begin(), names.end(), std::get<std::string>(value));
                of.*member = static_cast<T>(at - names.begin());
            });
    } else {
        out = plain(Kind::text, key, member, sentence);
    }
    out.names = [=] { return names; };
    return out;
}
/// One of the names that a registry has when the value is read.
template <class S>
[[nodiscard]] Setting<S> policy(std::string_view key, std::string S::*member, const Names& names,
                                std::string_view sentence) {
    Setting<S> out = plain(Kind::text, key, member, sentence);
    out.names = names;
    out.names_grow = true;
    return out;
}

}  // namespace xenfs::settings
