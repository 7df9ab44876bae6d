// Names and factories of one kind of policy. A policy is one file in its kind's folder; the build
// lists the folder (xenfs_policy_kind in the top CMakeLists.txt).
#pragma once

#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace xenfs::policies {

/// A name that no policy has. what() is one sentence with the names that exist; code that reads
/// names from a file puts the file and key before it.
class UnknownPolicy : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

/// Name -> factory, for policies that derive from `Interface` and are made from `Args`.
/// `kind` is the word for messages ("eviction"). Filled from a list that the build makes, so that
/// no linker drops a registration; `add` takes later ones (a policy written in Python).
/// `Factory` may be anything convertible to unique_ptr-returning callables: a function, a lambda,
/// a pybind11 object wrapped by the caller.
template <class Interface, class Factory>
class Registry {
  public:
    struct Entry {
        std::string name;
        Factory make;
    };

    Registry(std::string kind, std::initializer_list<Entry> entries) : kind_(std::move(kind)) {
        for (const Entry& entry : entries) add(entry.name, entry.make);
    }

    /// Throws std::invalid_argument when the name is taken or empty.
    void add(const std::string& name, Factory make) {
        if (name.empty()) throw std::invalid_argument("a policy of " + kind_ + " has no name");
        if (!factories_.emplace(name, std::move(make)).second) {
            throw std::invalid_argument("the " + kind_ + " policy '" + name +
                                        "' is registered twice");
        }
    }

    /// Removes a policy that was added; for tests and interpreters that come and go.
    void remove(const std::string& name) { factories_.erase(name); }

    bool has(std::string_view name) const { return factories_.find(name) != factories_.end(); }

    /// Makes the policy of that name. Throws UnknownPolicy:
    /// "no eviction policy 'x'; there are: arc, clock, lru".
    template <class... Args>
    std::unique_ptr<Interface> make(std::string_view name, Args&&... args) const {
        const auto found = factories_.find(name);
        if (found == factories_.end()) {
            throw UnknownPolicy("no " + kind_ + " policy '" + std::string(name) +
                                "'; there are: " + joined_names());
        }
        return found->second(std::forward<Args>(args)...);
    }

    /// All names, sorted.
    std::vector<std::string> names() const {
        std::vector<std::string> result;
        for (const auto& [name, make] : factories_) result.push_back(name);
        return result;
    }

    std::string joined_names() const {
        std::string result;
        for (const auto& [name, make] : factories_) {
            if (!result.empty()) result += ", ";
            result += name;
        }
        return result;
    }

    const std::string& kind() const { return kind_; }

  private:
    std::string kind_;
    std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace xenfs::policies
