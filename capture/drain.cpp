// SPDX-License-Identifier: Apache-2.0
#include "capture/drain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace weir::capture {

namespace {

constexpr std::string_view kWord = "draining ", kUntil = " until ", kPorts = " s, ports";

}  // namespace

std::string drain_mark(const Drain& drain) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(drain.until).count();
  std::string text = fmt::format("{}{}{}{}{}", kWord, drain.id, kUntil, seconds, kPorts);
  for (Port port : drain.ports) text += fmt::format(" {}", port);
  return text;
}

std::optional<Drain> find_drain(std::string_view text) {
  Drain drain;
  const auto word = text.find(kWord);
  if (word == std::string_view::npos) return std::nullopt;
  text.remove_prefix(word + kWord.size());
  const auto until = text.find(kUntil), ports = text.find(kPorts);
  if (until == std::string_view::npos || ports == std::string_view::npos || ports < until) return std::nullopt;
  drain.id = text.substr(0, until);
  const auto seconds = parse_uint(text.substr(until + kUntil.size(), ports - until - kUntil.size()), INT32_MAX);
  if (!seconds || drain.id.empty()) return std::nullopt;
  drain.until = std::chrono::seconds(*seconds);
  text.remove_prefix(ports + kPorts.size());
  for (std::string_view word_of : split(text.substr(0, text.find_first_not_of(" 0123456789")), ' ')) {
    if (word_of.empty()) continue;
    const auto port = parse_uint(word_of, UINT16_MAX);
    if (!port) return std::nullopt;
    drain.ports.push_back(static_cast<Port>(*port));
  }
  return drain;
}

}  // namespace weir::capture
