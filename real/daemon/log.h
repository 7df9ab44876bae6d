#pragma once
// The log writes structured lines on standard error: logfmt ('level=info msg="guest attached"
// guest=web') or JSON.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace xenfs::real::daemon {

/// A key and its value, which is text already. Keys are plain words.
using Field = std::pair<std::string_view, std::string>;
using Fields = std::initializer_list<Field>;

/// Sets format and level as xenfsd.toml names them. Before this call, the format is logfmt and the
/// level info.
void set_up_log(std::string_view format, std::string_view level);

void log_debug(std::string_view message, Fields fields = {});
void log_info(std::string_view message, Fields fields = {});
void log_warn(std::string_view message, Fields fields = {});
void log_error(std::string_view message, Fields fields = {});

}  // namespace xenfs::real::daemon
