// The name space as the traced processes see it: which name is what now, and which file stands
// behind it.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workloads/capture/builder.h"
#include "workloads/capture/tracer/content.h"

namespace xenfs::workloads {

// Where a name leads. `path` has its directories resolved but not its last part; `reached` has that
// too.
struct Resolved {
    PathId path = kNone;
    PathId reached = kNone;
    bool excluded = false;  // below /proc, /sys or /dev: not recorded
};

// What is kept of the tree is brought up to date by the recorded operations, so that each name is
// looked at on the disk once. Changes by processes that are not traced can be missed.
class Names {
  public:
    enum class Kind : std::uint8_t { kUnknown, kAbsent, kFile, kDirectory, kSymlink, kOther };

    // `root`: where the traced processes' "/" lies for us, without the slash at its end ("" if it
    // is ours too).
    Names(CaptureBuilder& builder, std::string root);

    Resolved resolve(PathId directory, std::string_view name, bool follow);
    [[nodiscard]] std::string on_host(PathId path) const;
    [[nodiscard]] bool excluded(PathId path) const;

    Kind kind(PathId path);     // looks on the disk if it is not known
    FileId file(PathId path);   // the regular file of that very name, or kNone
    void refresh(PathId path);  // looks again: something happened that we did not see

    // Effects of operations that succeeded.
    FileId created(PathId path);  // a regular file was made there (and exists on the disk now)
    void made_directory(PathId path);
    void made_symlink(PathId path, std::string_view target);
    void made_other(PathId path);
    void removed(PathId path);
    void renamed(PathId from, PathId to, bool exchange);
    void linked(PathId from, PathId to);

    // The state of a file's content.
    struct Live {
        dev_t device = 0;
        ino_t inode = 0;
        std::uint64_t size_bytes = 0;  // now
        std::uint32_t links = 1;
        PathId path = kNone;  // a name that it has now (or had last)
        bool known = false;   // the first version has been recorded (initial files)
        bool dirty = false;   // changed since the last version
    };
    Live& live(FileId file) { return live_[file]; }
    // Records an initial file's content as it is now, before anything changes it. Once is enough.
    void know_content(FileId file, PathId path);
    void snapshot(FileId file, Content content);
    // The version that a reader sees now, and the one that a writer makes, as ordinals within the
    // file.
    [[nodiscard]] std::uint32_t read_version(FileId file) const;
    [[nodiscard]] std::uint32_t write_version(FileId file) const {
        return builder_.version_count(file);
    }
    // At the end: what was only looked at gets its size; what has no name any more is marked.
    void finish();

  private:
    struct Node {
        Kind kind = Kind::kUnknown;
        bool fresh = false;  // made or moved here by the command: never "initial"
        FileId file = kNone;
        PathId link_to = kNone;
    };
    Node& node(PathId path) {
        if (path >= nodes_.size()) nodes_.resize(path + 1);
        return nodes_[path];
    }
    Resolved walk(PathId directory, std::string_view name, bool follow, int depth);
    void look(PathId path);
    FileId adopt(PathId path, const struct stat& st, bool initial);
    void drop_link(FileId file);

    CaptureBuilder& builder_;
    std::string root_;
    std::vector<Node> nodes_;
    std::vector<Live> live_;  // by FileId
    std::map<std::pair<dev_t, ino_t>, FileId> inodes_;
    struct Cached {
        std::uint64_t epoch;
        Resolved resolved;
    };
    std::unordered_map<std::string, Cached> cache_;
    std::string key_;
    std::uint64_t epoch_ =
        0;  // of the directories and symlinks: a change makes the cache worthless
    std::vector<PathId> excluded_;
};

}  // namespace xenfs::workloads
