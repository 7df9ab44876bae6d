#pragma once
// Our operations on pages, beside FUSE's: opcodes from 8192 up. The header's nodeid names the file,
// and `fh` must be an open file of it. Sizes and offsets are asserted; SPECIFICATION.md has the
// diagrams.

#include <cstddef>
#include <cstdint>

namespace xenfs::protocol {

inline constexpr std::uint32_t max_message_bytes = 4096;  ///< a request or a reply is within a slot
/// A value of an extended attribute, or the names of all; more than a message has room for.
inline constexpr std::uint32_t max_text_bytes = 65536;
inline constexpr std::uint32_t max_name_bytes = 255;  ///< one component, without NUL
inline constexpr std::uint32_t max_pages_per_request = 256;
inline constexpr std::uint32_t max_release_per_request = 512;
inline constexpr std::uint32_t max_file_pages =
    0xffff'fffeu;  ///< 16 TiB: page numbers have 32 bits

/// TEXT_PUT: bytes of a text follow. TEXT_GET: as many are wanted.
struct TextIn {
    std::uint32_t offset;  ///< in the text; a put at 0 begins another
    std::uint32_t length;
};
/// Begins the answer to a request that may be answered by a text. Its first bytes follow, as many
/// as the message has room for; TEXT_GET gives the rest.
struct TextOut {
    std::uint32_t size, padding;  ///< bytes of the whole text
};
/// Stands behind the name and an empty target of a SYMLINK whose target was put.
struct TextUse {
    std::uint32_t size, padding;
};
static_assert(sizeof(TextIn) == 8 && sizeof(TextOut) == 8 && sizeof(TextUse) == 8);

/// How the client will reach the pages that it asks for.
enum class PageMode : std::uint16_t {
    map_read = 0,   ///< read entry; the client maps it and keeps it until it releases it
    map_write = 1,  ///< writable entry; the page counts as dirty while it is held
    copy_out = 2,   ///< read entry; the client grant-copies and releases soon, with a later request
    copy_in = 3,    ///< writable entry; the client grant-copies into it, then PAGES_COMMIT
    flip_out =
        4,       ///< the client names accept entries of its own; frames with the data arrive there
    flip_in = 5  ///< accept entries of the pool; the client transfers frames, then PAGES_COMMIT
};
inline constexpr std::uint16_t page_mode_count = 6;

struct PagesGetIn {
    std::uint64_t fh;
    std::uint64_t first_page;  ///< of 4 KiB
    std::uint32_t count;       ///< pages, 0 … max_pages_per_request; 0 only releases
    std::uint16_t mode;        ///< PageMode
    std::uint16_t flags;       ///< PagesGetFlags
    std::uint16_t head;        ///< copy_in, flip_in: bytes of the first page that stay as they are
    std::uint16_t tail;  ///< the same at the end of the last page; 0, 0: whole pages are written
    std::uint32_t release_count;  ///< entries given back first, ≤ max_release_per_request
    std::uint32_t accept_count;   ///< flip_out: = count; else 0
    std::uint32_t wanted;         ///< get_cached; else 0
    // then u32 release[release_count], then u32 accept[accept_count]
};
static_assert(sizeof(PagesGetIn) == 40 && offsetof(PagesGetIn, mode) == 20 &&
              offsetof(PagesGetIn, release_count) == 28);

enum PagesGetFlags : std::uint16_t {
    get_readahead = 1,  ///< only the first page is needed now; the server may leave the others out
    get_wait = 2,       ///< the client has nothing left to release, so the request is to be parked
    get_cached = 4      ///< pages behind the first `wanted` are welcome if they are cached: a
                        ///< server may give fewer, and reads none of them from its storage
};

struct PagesGetOut {
    std::uint64_t file_size;  ///< bytes
    std::uint32_t granted;    ///< entries that follow, for first_page and on; ≤ count
    std::uint16_t flags;      ///< PagesGetReplyFlags
    std::uint16_t padding;
    // then PageEntry[granted]
};
static_assert(sizeof(PagesGetOut) == 16);

enum PagesGetReplyFlags : std::uint16_t {
    // Where no page came, the client releases (or donates) and asks again at once.
    got_credit = 1,   ///< short because the client's credit is spent
    got_release = 2,  ///< nothing came because what this client holds fills the pool
    got_end = 4       ///< short because the file ends there (reads and map_write only)
};

struct PageEntry {
    std::uint32_t gref;   ///< the pool domain's; flip_out: an accept entry to pay a frame into
    std::uint32_t flags;  ///< PageEntryFlags
};
static_assert(sizeof(PageEntry) == 8);

enum PageEntryFlags : std::uint32_t {
    /// Some guest may write to the page at any time, so a copy of it must not be kept.
    entry_volatile = 1,
    /// A fresh page of zeros (copy_in, flip_in beyond the old end or over whole pages).
    entry_fresh = 2,
    /// The page has another frame from now on, so a mapping of it that the client has is out of
    /// date.
    entry_moved = 4
};

struct PagesCommitIn {
    std::uint64_t fh;
    std::uint64_t offset;  ///< bytes; where the new data begins
    std::uint64_t length;  ///< bytes; the file becomes at least offset + length long
    std::uint64_t mtime;   ///< seconds; with mtimensec. Used where commit_mtime is set
    std::uint32_t mtimensec;
    std::uint16_t mode;   ///< PageMode: copy_in, flip_in, or map_write (entries stay, none listed)
    std::uint16_t flags;  ///< PagesCommitFlags
    std::uint32_t ref_count;  ///< ≤ max_pages_per_request; entries in page order from offset's page
    std::uint32_t padding;
    // then u32 refs[ref_count]: what PAGES_GET gave for just these pages
};
static_assert(sizeof(PagesCommitIn) == 48 && offsetof(PagesCommitIn, mode) == 36);

enum PagesCommitFlags : std::uint16_t {
    commit_sync = 1,     ///< the file's data is on the disk before the reply (O_SYNC, fdatasync)
    commit_mtime = 2,    ///< the time of the write as the lease's holder knows it
    commit_keep = 4,     ///< copy_in: the entries stay valid for another copy and commit
    commit_sync_all = 8  ///< as commit_sync, and all attributes with it (fsync)
};

struct PagesCommitOut {
    std::uint64_t file_size;
    std::uint32_t committed;   ///< pages taken
    std::uint32_t sync_error;  ///< errno of making it durable, or 0: it is committed all the same
};
static_assert(sizeof(PagesCommitOut) == 16 && offsetof(PagesCommitOut, sync_error) == 12);
static_assert(commit_sync_all == 8);

struct PagesReleaseIn {
    std::uint32_t count, padding;  ///< ≤ max_release_per_request
    // then u32 refs[count]
};
struct PagesReleaseOut {
    std::uint32_t
        released;  ///< entries that ended; the rest was busy (charged on) or not the client's
    std::uint32_t busy;
};
static_assert(sizeof(PagesReleaseIn) == 8 && sizeof(PagesReleaseOut) == 8);

/// RESUME is sent after INIT to the successor of a dead server and says what the client holds. It
/// may take several requests; the client takes locks again by SETLK in between, and the last RESUME
/// ends it.
struct ResumeIn {
    std::uint32_t count;  ///< ≤ max_resume_per_request
    std::uint32_t flags;  ///< ResumeFlags
    // then ResumeItem[count]
};
enum ResumeFlags : std::uint32_t { resume_last = 1 };
struct ResumeItem {
    std::uint64_t node;
    std::uint64_t fh;     ///< goes on under this number
    std::uint32_t flags;  ///< ResumeItemFlags
    std::uint32_t padding;
};
enum ResumeItemFlags : std::uint32_t {
    resume_open = 1,   ///< fh was open
    resume_write = 2,  ///< for writing, too
    resume_lease = 4   ///< with the exclusive lease
};
inline constexpr std::uint32_t max_resume_per_request = 128;
struct ResumeOut {
    std::uint32_t count, padding;
    // then u32[count]: ResumeItemFlags that stand again; 0: the file is gone
};
static_assert(sizeof(ResumeIn) == 8 && sizeof(ResumeItem) == 24 && sizeof(ResumeOut) == 8);

/// DONATE and RECLAIM: `pages` is what the client ballooned out or wants back. The reply says what
/// the server sees (the host's count) and what it released.
struct BalloonIn {
    std::uint64_t pages;
};
struct BalloonOut {
    std::uint64_t pages;  ///< RECLAIM: how many the client may take back now; DONATE: newly counted
    std::uint64_t donated;  ///< in all, as the host counts
    std::uint64_t quota;    ///< given without payment
    std::uint64_t pinned;   ///< charged to the client now
};
static_assert(sizeof(BalloonIn) == 8 && sizeof(BalloonOut) == 32);

}  // namespace xenfs::protocol
