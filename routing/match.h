// SPDX-License-Identifier: Apache-2.0
// Single conditions of a route: does it hold, and if not, why. Internal to the room.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "routing/route_table.h"

namespace weir::routing {

/// The path up to "?" or "#".
std::string_view without_query(std::string_view path);
/// From "?" on, "" if there is none.
std::string_view query_of(std::string_view path);
/// First value of a query parameter, undecoded; "" for a parameter without "=".
std::optional<std::string_view> query_value(std::string_view path, std::string_view name);

/// No allocation in any of these (RE2 may grow its own cache).
bool matches(const PathMatch& match, std::string_view path);
bool matches(const HeaderMatch& match, const Request& request);
bool matches(const QueryMatch& match, std::string_view path);
/// All conditions of the route; `random` in [0, 1e6) for its runtime fraction.
bool matches(const Route& route, const Request& request, std::uint32_t random);

/// Why a condition does not hold: what was seen, what was wanted.
std::string why_not(const PathMatch& match, std::string_view path);
std::string why_not(const HeaderMatch& match, const Request& request);
std::string why_not(const QueryMatch& match, std::string_view path);
/// Every condition that fails, joined by "; ".
std::string why_not(const Route& route, const Request& request, std::uint32_t random);

}  // namespace weir::routing
