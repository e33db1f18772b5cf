// SPDX-License-Identifier: Apache-2.0
// The one table of istio-iptables' flags and environment variables: parsing, help, man page and completion are made from it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"
#include "capture/policy.h"

namespace weir::capture {

/// What a tool was asked to do besides the policy.
struct Requests {
  bool dry_run = false;
  bool cleanup_only = false;
  bool force_apply = false;
};

/// Names of users and groups to numbers; injected, so that parsing stays pure.
struct Accounts {
  std::function<std::optional<std::uint32_t>(std::string_view)> uid_of = [](std::string_view) { return std::nullopt; };
  std::function<std::optional<std::uint32_t>(std::string_view)> gid_of = [](std::string_view) { return std::nullopt; };
};

struct Parsed {
  CapturePolicy policy;
  Requests requests;
};

struct Option {
  char short_name = 0;                        ///< 0: none
  std::string_view long_name;                 ///< "": environment only
  std::vector<std::string_view> environment;  ///< first that is set wins; a flag beats them all
  std::string_view value_name;                ///< "PORT"; "" for a switch
  std::string_view default_text;
  std::string_view meaning;
  bool is_supported = true;  ///< false: any value but the default is refused as "not supported yet"
  /// Reads the value into the draft; the error's text says what is wrong and what would be right.
  Result<> (*read)(Parsed& draft, std::string_view value, const Accounts& accounts) = nullptr;
};

std::span<const Option> options();

/// Values as given: flags by long name, environment by variable name. Precedence: flag, environment, default. On errors nothing
/// but the problems counts; they are all reported at once, warnings among them.
struct ParseOutcome {
  Parsed parsed;
  std::vector<Problem> problems;
};
ParseOutcome parse_options(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment,
                           const Accounts& accounts);

}  // namespace weir::capture
