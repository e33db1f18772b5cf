// SPDX-License-Identifier: Apache-2.0
#include "capture/exclusions.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::capture {

namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
  const bool is_hex = text.starts_with("0x");
  if (is_hex) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Error wrong_exclusion(std::string_view text, std::string_view what) {
  return {ErrorCode::usage,
          fmt::format("\"{}\": {}; write 10.0.0.0/8, 10.0.0.0/8:443/tcp or [fd00::/8]:8000-8999/udp", printable(text), what)};
}

/// Takes "/tcp" or "/udp" from its end.
Exclusion::Protocol take_protocol(std::string_view& text) {
  for (auto [ending, protocol] : {std::pair{std::string_view("/tcp"), Exclusion::Protocol::tcp},
                                  std::pair{std::string_view("/udp"), Exclusion::Protocol::udp}})
    if (text.ends_with(ending)) {
      text.remove_suffix(ending.size());
      return protocol;
    }
  return Exclusion::Protocol::any;
}

/// The two halves of RANGE:PORTS; no ports: nullopt.
struct Halves {
  std::string_view range;
  std::optional<std::string_view> ports;
};
std::optional<Halves> halves(std::string_view text) {
  if (text.starts_with("[")) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view range = text.substr(1, end - 1), rest = text.substr(end + 1);
    if (rest.empty()) return Halves{range, std::nullopt};
    return rest.starts_with(":") ? std::optional(Halves{range, rest.substr(1)}) : std::nullopt;
  }
  const auto colon = text.find(':');
  // An IPv6 range has more than one.
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return Halves{text, std::nullopt};
  return Halves{text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

Result<MarkMatch> MarkMatch::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto value = parse_number(text.substr(0, slash));
  const auto mask =
      slash == std::string_view::npos ? std::optional<std::uint32_t>(0xffffffff) : parse_number(text.substr(slash + 1));
  if (!value || !mask)
    return fail(ErrorCode::usage, "\"{}\" is not a mark; write one like 1337, 0x539 or 0x500/0xff00", printable(text));
  if (*value == 0 || (*value & ~*mask) != 0)
    return fail(ErrorCode::usage, "\"{}\" matches {}; write a mark within its mask, like 0x500/0xff00", printable(text),
                *value == 0 ? "packets without a mark" : "nothing, since the mask leaves out a part of it");
  return MarkMatch{.value = *value, .mask = *mask};
}

std::string MarkMatch::to_text() const {
  return mask == 0xffffffff ? fmt::format("{:#x}", value) : fmt::format("{:#x}/{:#x}", value, mask);
}

bool Cgroup::contains(std::string_view cgroup) const {
  return cgroup == path || (cgroup.starts_with(path) && cgroup.substr(path.size()).starts_with("/"));
}

unsigned Cgroup::level() const { return static_cast<unsigned>(std::count(path.begin(), path.end(), '/')) + 1; }

Result<Exclusion> Exclusion::parse(std::string_view text) {
  Exclusion exclusion;
  std::string_view rest = text;
  exclusion.protocol = take_protocol(rest);
  const auto parts = halves(rest);
  if (!parts) return pass(wrong_exclusion(text, "a bracket is missing, or ports without a colon"));
  auto cidr = Cidr::parse(parts->range);
  if (!cidr) return pass(wrong_exclusion(text, cidr.error().message()));
  exclusion.cidr = *cidr;
  if (!parts->ports) return exclusion;
  auto ports = PortSet::parse(*parts->ports);
  if (!ports) return pass(wrong_exclusion(text, ports.error().message()));
  if (ports->empty()) return pass(wrong_exclusion(text, "no port after the colon"));
  exclusion.ports = *ports;
  return exclusion;
}

}  // namespace weir::capture
