#pragma once
// One process of a guest: paths, a working directory, descriptors with offsets, over the file
// operations of the guest's file system. No allocation per operation (but what the file system
// itself allocates: symlink texts, directory entries).

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <vector>

#include "workloads/process/path.h"

namespace xenfs::workloads {

/// Errors are errno values, as from the system calls of the same names. Paths may be text (hashed
/// on the way) or prepared. Not owned: the file system, which must live longer.
class GuestProcess {
  public:
    static constexpr int max_symlinks = 40;  ///< as Linux; more answer ELOOP
    static constexpr std::size_t max_depth = 128;

    explicit GuestProcess(files::FileSystem& fs, host::Owner who = {}, NodeId root = root_node);
    ~GuestProcess();  ///< closes what is open
    GuestProcess(const GuestProcess&) = delete;
    GuestProcess& operator=(const GuestProcess&) = delete;

    files::FileSystem& file_system() { return fs_; }

    // Names. `at`: a descriptor of a directory, or AT_FDCWD.
    Result<NodeId> walk(const PreparedPath& path, bool follow = true, int at = AT_FDCWD);
    Result<NodeId> walk(std::string_view path, bool follow = true, int at = AT_FDCWD);
    Result<host::Attr> stat(std::string_view path, bool follow = true, int at = AT_FDCWD);
    Result<host::Attr> stat(const PreparedPath& path, bool follow = true, int at = AT_FDCWD);
    /// Mode as access(2): R_OK | W_OK | X_OK against the owner's identity; root may all but execute
    /// what nobody may.
    int access(std::string_view path, int mode, int at = AT_FDCWD);
    Result<std::string> readlink(std::string_view path, int at = AT_FDCWD);
    int chdir(std::string_view path);
    int mkdir(std::string_view path, std::uint32_t mode = 0777, int at = AT_FDCWD);
    int make_directories(std::string_view path, std::uint32_t mode = 0777);  ///< mkdir -p
    int rmdir(std::string_view path, int at = AT_FDCWD);
    int unlink(std::string_view path, int at = AT_FDCWD);
    int rename(std::string_view from, std::string_view to, std::uint32_t flags = 0);
    int link(std::string_view existing, std::string_view name);
    int symlink(std::string_view target, std::string_view name);
    int truncate(std::string_view path, std::uint64_t size);

    // Descriptors: the lowest free number, from 3. Flags: open(2)'s.
    Result<int> open(std::string_view path, int flags, std::uint32_t mode = 0666,
                     int at = AT_FDCWD);
    Result<int> open(const PreparedPath& path, int flags, std::uint32_t mode = 0666,
                     int at = AT_FDCWD);
    int close(int fd);
    /// `contents`: a fingerprint for each page that the range touches, or null (see host::Buffer).
    Result<std::size_t> read(int fd, std::uint64_t length, Fingerprint* contents = nullptr);
    Result<std::size_t> write(int fd, std::uint64_t length, const Fingerprint* contents);
    Result<std::size_t> pread(int fd, std::uint64_t offset, std::uint64_t length,
                              Fingerprint* contents = nullptr);
    Result<std::size_t> pwrite(int fd, std::uint64_t offset, std::uint64_t length,
                               const Fingerprint* contents);
    Result<std::uint64_t> lseek(int fd, std::int64_t offset, int whence);
    Result<host::Attr> fstat(int fd);
    int ftruncate(int fd, std::uint64_t size);
    int fsync(int fd, bool data_only = false);
    Result<std::vector<host::DirEntry>> readdir(int fd, std::size_t max_entries);
    int map(int fd, std::uint64_t first_page, std::size_t count, files::MapKind kind, bool write,
            std::span<Fingerprint> contents = {});
    int unmap(int fd, std::uint64_t first_page, std::size_t count, files::MapKind kind);

    std::size_t open_descriptors() const;

  private:
    // Directories from the root down to the present one: ".." pops.
    struct Trail {
        std::array<NodeId, max_depth> nodes;
        std::size_t depth = 0;
        NodeId top() const { return nodes[depth - 1]; }
    };
    struct Open {
        files::Handle handle = 0;
        NodeId node = 0;
        std::uint64_t offset = 0;  // bytes; of a directory, the entry to go on with
        bool used = false, directory = false, has_handle = false;
        bool readable = false, writable = false, append = false;
        std::vector<NodeId> trail;  // directories only
    };
    struct KnownType {
        NodeId node = 0;
        host::FileType type = host::FileType::regular;
    };
    struct Last;  // the directory and name that a path ends in

    template <class Cursor>
    Result<NodeId> walk_with(Trail& trail, Cursor cursor, bool follow, int& links);
    template <class Cursor>
    Result<Last> walk_to_parent(Trail& trail, Cursor cursor, int& links);
    template <class Path>
    Result<int> open_path(const Path& path, int flags, std::uint32_t mode, int at);
    template <class Path>
    Result<NodeId> walk_path(const Path& path, bool follow, int at);
    int enter_link(Trail& trail, NodeId link, int& links);
    int start(Trail& trail, bool absolute, int at);
    Result<host::FileType> type_of(NodeId node);
    bool known_symlink(NodeId node) const;
    void remember(NodeId node, host::FileType type);
    Result<int> install(Open open);
    Open* find(int fd);

    files::FileSystem& fs_;
    host::Owner who_;
    NodeId root_;
    Trail cwd_;
    std::vector<Open> table_;
    // What walks have learnt about nodes: a hint, checked where an operation contradicts it.
    std::array<KnownType, 1024> types_{};
};

}  // namespace xenfs::workloads
