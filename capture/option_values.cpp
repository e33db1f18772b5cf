// SPDX-License-Identifier: Apache-2.0
#include "capture/option_values.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::capture {

Result<Port> parse_port(std::string_view text) {
  auto value = parse_uint(text, 65535);
  if (!value || *value == 0)
    return fail(ErrorCode::usage, "\"{}\" is not a port; write a number from 1 to 65535", printable(text));
  return static_cast<Port>(*value);
}

Result<std::uint32_t> parse_number32(std::string_view text) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = is_hex ? text.substr(2) : text;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size())
    return fail(ErrorCode::usage, "\"{}\" is not a number of 32 bits; write one like 1337 or 0x539", printable(text));
  return value;
}

std::optional<bool> parse_bool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

void read_bool(std::string_view value, bool& into, Wrong& wrong) {
  if (auto flag = parse_bool(value))
    into = *flag;
  else
    wrong.push_back(fmt::format("\"{}\" is neither true nor false", printable(value)));
}

std::vector<std::string_view> items(std::string_view list) {
  std::vector<std::string_view> found;
  for (std::string_view item : split(list, ','))
    if (item = trim(item); !item.empty()) found.push_back(item);
  return found;
}

void read_ports(std::string_view list, PortSet& into, Wrong& wrong) {
  into = {};
  for (std::string_view item : items(list)) {
    auto ports = PortSet::parse(item);
    if (!ports) {
      wrong.push_back(ports.error().message());
      continue;
    }
    for (const PortRange& range : ports->ranges()) into.add(range);
  }
}

void read_cidrs(std::string_view list, std::vector<Cidr>& into, Wrong& wrong) {
  into.clear();
  for (std::string_view item : items(list)) {
    if (item == "*") {
      wrong.push_back("\"*\" cannot stand here; write ranges like 10.0.0.0/8,fd00::/8");
      continue;
    }
    auto cidr = Cidr::parse(item);
    if (cidr)
      into.push_back(*cidr);
    else
      wrong.push_back(cidr.error().message());
  }
}

void read_ids(std::string_view list, const std::function<std::optional<std::uint32_t>(std::string_view)>& look_up,
              std::string_view kind, std::vector<std::uint32_t>& into, Wrong& wrong) {
  into.clear();
  for (std::string_view item : items(list)) {
    std::optional<std::uint32_t> id;
    if (auto number = parse_uint(item, UINT32_MAX - 1)) id = static_cast<std::uint32_t>(*number);
    if (!id) id = look_up(item);
    if (id)
      into.push_back(*id);
    else
      wrong.push_back(fmt::format("\"{}\" is neither a number nor a known {}; write numbers like 1337", printable(item), kind));
  }
}

void read_names(std::string_view list, std::vector<std::string>& into, Wrong&) {
  into.clear();
  for (std::string_view item : items(list)) into.emplace_back(item);
}

}  // namespace weir::capture
