#pragma once
// The words of which a row of the table consists: numbers, constants, bytes; and the words in which
// outcomes are told.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace xenfs::real::mount::posix {

std::vector<std::string> words_of(std::string_view line);

/// Returns the value of "0644", "64K-1", "-1" or "O_CREAT|O_EXCL". Throws std::invalid_argument
/// where the word is none of these, since the row is wrong then.
std::int64_t value_of(std::string_view word);

/// Replaces "{x*300}" by 300 times x, "{#9000}" by 9000 bytes of which no two pages are equal, and
/// "''" by nothing.
std::string bytes_of(std::string_view word);

/// Returns bytes so that a reader sees where they differ: "abc", "x*300 \0*96".
std::string shown(std::string_view bytes);

/// Returns "ENOENT" and the like.
std::string error_word(int error);

/// What a system call returned: the number, or the name of the error.
std::string outcome_of(std::int64_t returned);

}  // namespace xenfs::real::mount::posix
