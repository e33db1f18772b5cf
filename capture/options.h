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
  bool skip_rule_apply = false;  ///< leave the rules as they are (and validate them, if that is asked)
  bool redirect_dns = false, capture_all_dns = false;
  bool run_validation = false;  ///< afterwards, or alone
  Port probe_port = well_known::kProbePort;
  Nanoseconds probe_timeout = std::chrono::seconds(5);
  std::string dry_run_file;  ///< dry_run writes the rules there too; "": nowhere
  /// Of the backend: what --backend says; else what Istio's two flags come to; "": nobody asked.
  std::string backend;
};

/// What only the machine knows, names of users and groups and its DNS servers; injected, so that parsing stays pure.
struct Accounts {
  std::function<std::optional<std::uint32_t>(std::string_view)> uid_of = [](std::string_view) { return std::nullopt; };
  std::function<std::optional<std::uint32_t>(std::string_view)> gid_of = [](std::string_view) { return std::nullopt; };
  /// The kernel's number of a cgroup (v2), by its path below the hierarchy's root.
  std::function<std::optional<std::uint64_t>(const std::string&)> cgroup_of = [](const std::string&) { return std::nullopt; };
  std::function<std::vector<IpAddr>()> dns_servers = [] { return std::vector<IpAddr>{}; };  ///< those of /etc/resolv.conf
};

struct Parsed {
  CapturePolicy policy;
  Requests requests;
};

struct Option {
  char short_name = 0;                        ///< 0: none
  std::string_view long_name;                 ///< "": environment only
  std::vector<std::string_view> environment;  ///< first that is set and not empty wins; a flag beats them all
  std::string_view value_name;                ///< "PORT"; "" for a switch
  std::string_view default_text;
  std::string_view meaning;
  /// Reads the value into the draft; adds to `wrong` what is wrong and what would be right, all at once. nullptr: not supported
  /// yet, so that any value but the default is refused.
  void (*read)(Parsed& draft, std::string_view value, const Accounts& accounts, std::vector<std::string>& wrong) = nullptr;

  bool is_supported() const { return read != nullptr; }
  bool is_switch() const { return value_name.empty(); }
};

std::span<const Option> options();

struct ParseOutcome {
  Parsed parsed;
  std::vector<Problem> problems;
};
/// Values as given: flags by long name, environment by variable name. Precedence: flag, environment, default. If there are errors
/// (has_errors) only the problems count; they are all reported at once, warnings among them. The policy has been validated.
ParseOutcome parse_options(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment,
                           const Accounts& accounts);

/// The `nameserver` lines of a resolv.conf (resolv.conf(5)); a zone after % is left out, lines that cannot be read too.
std::vector<IpAddr> parse_resolv_conf(std::string_view text);

}  // namespace weir::capture
