// SPDX-License-Identifier: Apache-2.0
// Values of flags and environment variables, read. Each function adds to `wrong` what is wrong and what would be right: every bad
// item of a list, not only the first. Within this room only.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/port_set.h"
#include "base/result.h"

namespace weir::capture {

struct Option;

using Wrong = std::vector<std::string>;

template <class T>
void take(Result<T> value, T& into, Wrong& wrong) {
  if (value)
    into = std::move(*value);
  else
    wrong.push_back(value.error().message());
}

Result<Port> parse_port(std::string_view text);
/// 32 bits, decimal or with 0x.
Result<std::uint32_t> parse_number32(std::string_view text);
/// As Go's strconv.ParseBool, which istio-iptables uses.
std::optional<bool> parse_bool(std::string_view text);
/// Items of a comma list, empty ones dropped, as Istio's lists are.
std::vector<std::string_view> items(std::string_view list);

/// option_table_weir.cpp's part of options().
std::span<const Option> weir_options();

void read_bool(std::string_view value, bool& into, Wrong& wrong);
void read_ports(std::string_view list, PortSet& into, Wrong& wrong);
void read_cidrs(std::string_view list, std::vector<Cidr>& into, Wrong& wrong);
/// `kind`: "user" or "group".
void read_ids(std::string_view list, const std::function<std::optional<std::uint32_t>(std::string_view)>& look_up,
              std::string_view kind, std::vector<std::uint32_t>& into, Wrong& wrong);
void read_names(std::string_view list, std::vector<std::string>& into, Wrong& wrong);

}  // namespace weir::capture
