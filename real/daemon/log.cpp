#include "real/daemon/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

namespace xenfs::real::daemon {
namespace {

bool json = false;

spdlog::logger& logger() {
    static const auto made = [] {
        auto fresh = std::make_shared<spdlog::logger>(
            "xenfsd", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        fresh->set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z level=%l %v");
        return fresh;
    }();
    return *made;
}

/// Writes a value as logfmt does: without quotes where nothing in it needs them.
std::string value_text(std::string_view text) {
    const bool bare = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
    });
    if (bare) return std::string(text);
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void line(spdlog::level::level_enum level, std::string_view message, Fields fields) {
    if (!logger().should_log(level)) return;
    std::string text;
    if (json) {
        nlohmann::ordered_json object{{"msg", message}};
        for (const auto& [key, value] : fields) object[std::string(key)] = value;
        text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        text[0] = ',';  // the text continues after time and level, see the pattern
    } else {
        text = fmt::format("msg={}", value_text(message));
        for (const auto& [key, value] : fields)
            text += fmt::format(" {}={}", key, value_text(value));
    }
    logger().log(level, text);
    logger().flush();
}

}  // namespace

void set_up_log(std::string_view format, std::string_view level) {
    json = format == "json";
    if (json) logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l"%v)");
    logger().set_level(spdlog::level::from_str(std::string(level)));
}

void log_debug(std::string_view message, Fields fields) {
    line(spdlog::level::debug, message, fields);
}
void log_info(std::string_view message, Fields fields) {
    line(spdlog::level::info, message, fields);
}
void log_warn(std::string_view message, Fields fields) {
    line(spdlog::level::warn, message, fields);
}
void log_error(std::string_view message, Fields fields) {
    line(spdlog::level::err, message, fields);
}

}  // namespace xenfs::real::daemon
