// Reads settings from TOML files by their tables. All files are read with the same strictness: an
// unknown key, a wrong type, unit or name, and a value out of its range end in one sentence.
#pragma once

#include <toml++/toml.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "model/settings/error.h"
#include "model/settings/setting.h"

namespace xenfs::settings {

/// Throws InputError: "WHERE: REASON".
[[noreturn]] void fail(const std::string& where, const std::string& reason);

/// "FILE:LINE: KEY" of a key or node.
[[nodiscard]] std::string where(std::string_view file, const toml::source_region& source,
                                std::string_view key);

/// "text", "a whole number", …
[[nodiscard]] std::string type_name(const toml::node& node);

/// The node's value, which is of the setting's kind and allowed; otherwise throws InputError with
/// `where` before the reason. Relative paths are taken from `directory`.
[[nodiscard]] Value read_value(const Declaration& setting, const toml::node& node,
                               const std::string& where, const std::string& directory);

/// Throws InputError with file and line. `name` stands for the file.
[[nodiscard]] toml::table parse_toml(std::string_view text, std::string_view name);
/// The whole file; InputError where it cannot be read.
[[nodiscard]] std::string read_text(const std::string& file);

/// One "key = value" of a file, and where it stands.
struct Entry {
    std::string key;  ///< dotted
    const toml::node* node = nullptr;
    std::string where;
};

/// All entries of a table and of the tables in it, in the order of the file, with `prefix` before
/// their keys. `known`: the keys of all settings, by which sections are known; sections that begin
/// with one of `open` may have any keys.
[[nodiscard]] std::vector<Entry> entries_of(const toml::table& table, const std::string& prefix,
                                            std::string_view file,
                                            const std::vector<std::string>& known,
                                            const std::vector<std::string>& open = {});

/// Throws InputError for an entry whose key is none of `known`: with the keys of its section, or
/// with the sections where there is no such section.
[[noreturn]] void fail_unknown(const Entry& entry, const std::vector<std::string>& known);

template <class S>
[[nodiscard]] std::vector<std::string> keys_of(const Table<S>& table) {
    std::vector<std::string> keys;
    for (const Declaration& row : table) keys.push_back(row.key);
    return keys;
}

/// Fills `into` from a TOML table whose keys are those of `rows`, with `prefix` before them in
/// messages. Arrays of tables named in `lists` are left to the caller.
template <class S>
void read_into(S& into, const Table<S>& rows, const toml::table& table, const std::string& file,
               const std::string& prefix = {}, const std::vector<std::string>& lists = {}) {
    const std::string directory = std::filesystem::path(file).parent_path().string();
    std::vector<std::string> known = lists;
    for (const Declaration& row : rows) known.push_back(row.key);
    for (std::string& key : known) key = prefix + key;
    for (const Entry& entry : entries_of(table, prefix, file, known)) {
        const std::string key = entry.key.substr(prefix.size());
        if (const Setting<S>* row = rows.find(key)) {
            row->set(into, read_value(*row, *entry.node, entry.where,
                                      directory.empty() ? "." : directory));
        } else if (std::find(lists.begin(), lists.end(), key) == lists.end()) {
            fail_unknown(entry, known);
        }
    }
    for (const Setting<S>& row : rows) {
        if (row.is_required && !table.contains(row.key)) {
            fail(where(file, table.source(), prefix.substr(0, prefix.size() - 1)),
                 "the key " + row.key + " is missing: " + row.sentence);
        }
    }
}

/// The tables of [[NAME]]; none where it is not there. `prefix` stands before the name in messages.
[[nodiscard]] std::vector<const toml::table*> tables_of(const toml::table& in,
                                                        const std::string& name,
                                                        const std::string& prefix,
                                                        const std::string& file);

}  // namespace xenfs::settings
