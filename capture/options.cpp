// SPDX-License-Identifier: Apache-2.0
#include "capture/options.h"

#include <fmt/format.h>

#include "base/text.h"
#include "capture/option_values.h"

namespace weir::capture {

namespace {

struct Given {
  std::string value;
  std::string object;  ///< for problems: "flag --envoy-port", "environment variable PROXY_UID"
};

std::optional<Given> given(const Option& option, const std::map<std::string, std::string>& flags,
                           const std::map<std::string, std::string>& environment) {
  if (auto flag = flags.find(std::string(option.long_name)); !option.long_name.empty() && flag != flags.end())
    return Given{flag->second, fmt::format("flag --{}", option.long_name)};
  for (std::string_view variable : option.environment)
    if (auto found = environment.find(std::string(variable)); found != environment.end() && !found->second.empty())
      return Given{found->second, fmt::format("environment variable {}", variable)};
  return std::nullopt;
}

bool is_default(const Option& option, std::string_view value) {
  if (option.is_switch()) return parse_bool(value) == parse_bool(option.default_text);
  return value == option.default_text || value.empty();
}

std::string refusal(const Option& option, std::string_view value) {
  if (option.is_switch() && !parse_bool(value)) return fmt::format("\"{}\" is neither true nor false", printable(value));
  return fmt::format("not supported yet: {} (value \"{}\"); leave it out", option.meaning, printable(value));
}

/// Who the proxy is when nobody says: istio-iptables' rule.
void default_owners(Parsed& draft, bool uid_given, bool gid_given, const std::map<std::string, std::string>& environment,
                    const Accounts& accounts) {
  if (!uid_given || draft.policy.proxy_uids.empty()) {
    auto user = environment.find("ENVOY_USER");
    const std::string name = user != environment.end() && !user->second.empty() ? user->second : "istio-proxy";
    draft.policy.proxy_uids = {accounts.uid_of(name).value_or(well_known::kProxyUid)};
  }
  if (!gid_given || draft.policy.proxy_gids.empty()) draft.policy.proxy_gids = draft.policy.proxy_uids;
}

/// Which DNS is captured, once both flags are known.
void settle_dns(Parsed& draft, const Accounts& accounts, std::vector<Problem>& problems) {
  auto warn = [&](std::string object, std::string message, std::string hint) {
    problems.push_back({Severity::warning, {}, std::move(object), "", std::move(message), std::move(hint)});
  };
  CapturePolicy& policy = draft.policy;
  if (draft.requests.capture_all_dns && !draft.requests.redirect_dns)
    warn("flag --capture-all-dns", "has no effect without --redirect-dns", "add it, or leave this out");
  if (!draft.requests.redirect_dns) return;
  policy.dns = draft.requests.capture_all_dns ? Selection::all : Selection::list;
  if (policy.dns == Selection::all) return;
  policy.dns_servers = accounts.dns_servers();
  if (!policy.dns_servers.empty()) return;
  policy.dns = Selection::none;
  warn("flag --redirect-dns", "/etc/resolv.conf names no server, so DNS is not captured", "add --capture-all-dns");
}

}  // namespace

ParseOutcome parse_options(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment,
                           const Accounts& accounts) {
  ParseOutcome outcome;
  bool uid_given = false, gid_given = false;
  for (const Option& option : options()) {
    auto value = given(option, flags, environment);
    if (!value) continue;
    uid_given |= option.long_name == "proxy-uid";
    gid_given |= option.long_name == "proxy-gid";
    Wrong wrong;
    if (option.is_supported())
      option.read(outcome.parsed, value->value, accounts, wrong);
    else if (!is_default(option, value->value))
      wrong.push_back(refusal(option, value->value));
    for (std::string& message : wrong)
      outcome.problems.push_back({Severity::error, {}, value->object, "", std::move(message), ""});
  }
  default_owners(outcome.parsed, uid_given, gid_given, environment, accounts);
  settle_dns(outcome.parsed, accounts, outcome.problems);
  if (!has_errors(outcome.problems))
    for (Problem& problem : validate(outcome.parsed.policy)) outcome.problems.push_back(std::move(problem));
  return outcome;
}

std::vector<IpAddr> parse_resolv_conf(std::string_view text) {
  std::vector<IpAddr> servers;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    if (line.empty() || (line.front() != ' ' && line.front() != '\t')) continue;
    line = trim(line);
    if (auto server = IpAddr::parse(line.substr(0, line.find_first_of("% \t")))) servers.push_back(*server);
  }
  return servers;
}

}  // namespace weir::capture
