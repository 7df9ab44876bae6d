#include "workloads/process/path.h"

namespace xenfs::workloads {

PreparedPath::PreparedPath(std::string_view text)
    : text_(std::make_unique<const std::string>(text)) {
    const std::string_view all = *text_;
    absolute_ = !all.empty() && all.front() == '/';
    wants_directory_ = all.size() > 1 && all.back() == '/';
    std::size_t begin = 0;
    while (begin < all.size()) {
        std::size_t end = all.find('/', begin);
        if (end == std::string_view::npos) end = all.size();
        if (end > begin) components_.emplace_back(all.substr(begin, end - begin));
        begin = end + 1;
    }
}

void PrefixMap::add(std::string from, std::string to) {
    entries_.emplace_back(std::move(from), std::move(to));
}

const std::pair<std::string, std::string>* PrefixMap::find(std::string_view path) const {
    const std::pair<std::string, std::string>* best = nullptr;
    for (const auto& entry : entries_) {
        const std::string_view from = entry.first;
        const bool matches =
            from == "/" || (path.substr(0, from.size()) == from &&
                            (path.size() == from.size() || path[from.size()] == '/'));
        if (matches && (best == nullptr || from.size() > best->first.size())) best = &entry;
    }
    return best;
}

std::string PrefixMap::map(std::string_view path) const {
    const auto* entry = find(path);
    if (entry == nullptr) return std::string(path);
    const std::string_view rest = entry->first == "/" ? path : path.substr(entry->first.size());
    return entry->second + std::string(rest == "/" ? "" : rest);
}

}  // namespace xenfs::workloads
