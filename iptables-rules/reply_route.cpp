// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/reply_route.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <type_traits>

#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/snapshot.h"
#include "iptables-rules/source_address.h"
#include "kernel/address.h"

namespace weir::nft {

namespace {

using capture::ReplyRoute;
using kernel::DefaultRoute;
using kernel::MarkRule;

/// All that could be meant, ours or not, of both families.
struct Standing {
  std::vector<MarkRule> rules;
  std::vector<DefaultRoute> routes;
};

Result<Standing> look(kernel::Netlink& netlink) {
  Standing standing;
  auto rules = kernel::mark_rules(netlink);
  if (!rules) return pass(rules.error());
  standing.rules = std::move(*rules);
  auto routes = kernel::default_routes(netlink);
  if (!routes) return pass(routes.error());
  standing.routes = std::move(*routes);
  return standing;
}

template <class T>
bool is_ours(const T& item) {
  return item.protocol == kAddressProtocol;
}

bool is_wanted(const MarkRule& rule, const std::optional<ReplyRoute>& wanted) {
  return wanted && rule.mark == wanted->mark && rule.table == wanted->table;
}
bool is_wanted(const DefaultRoute& route, const std::optional<ReplyRoute>& wanted) {
  return wanted && route.table == wanted->table;
}

bool has_rule(const Standing& standing, Family family, const std::optional<ReplyRoute>& wanted) {
  return std::any_of(standing.rules.begin(), standing.rules.end(),
                     [&](const MarkRule& rule) { return rule.family == family && is_wanted(rule, wanted); });
}

/// The first default route of the wanted table; nullptr: none.
const DefaultRoute* route_in(const Standing& standing, Family family, const std::optional<ReplyRoute>& wanted) {
  const auto found = std::find_if(standing.routes.begin(), standing.routes.end(),
                                  [&](const DefaultRoute& route) { return route.family == family && is_wanted(route, wanted); });
  return found == standing.routes.end() ? nullptr : &*found;
}

Result<> ensure_family(kernel::Netlink& netlink, const Standing& standing, Family family, const ReplyRoute& wanted, unsigned lo) {
  if (!has_rule(standing, family, wanted))
    if (auto added = kernel::add_mark_rule(
            netlink, {.family = family, .mark = wanted.mark, .table = wanted.table, .priority = 0, .protocol = kAddressProtocol});
        !added)
      return added;
  const DefaultRoute* there = route_in(standing, family, wanted);
  if (there == nullptr)
    return kernel::add_local_default(
        netlink,
        {.family = family, .table = wanted.table, .interface_index = lo, .is_local = true, .protocol = kAddressProtocol});
  if (there->is_local && there->interface_index == lo) return {};
  return fail(ErrorCode::environment,
              "the {} routing table {} has a default route of somebody else; choose another table with "
              "--istio-inbound-tproxy-route-table, or see: ip route show table {}",
              to_text(family), wanted.table, wanted.table);
}

/// Done, though its answer was lost: what should be gone is gone.
template <class T>
Result<> remove_one(kernel::Netlink& netlink, const T& item, Result<> removed) {
  if (removed) return {};
  auto now = look(netlink);
  if (!now) return removed;
  bool is_there;
  if constexpr (std::is_same_v<T, MarkRule>)
    is_there = std::find(now->rules.begin(), now->rules.end(), item) != now->rules.end();
  else
    is_there = std::find(now->routes.begin(), now->routes.end(), item) != now->routes.end();
  if (is_there) return removed;
  return {};
}

}  // namespace

Result<OwnRoutes> own_routes(kernel::Netlink& netlink) {
  auto standing = look(netlink);
  if (!standing) return pass(standing.error());
  OwnRoutes own;
  std::copy_if(standing->rules.begin(), standing->rules.end(), std::back_inserter(own.rules), is_ours<MarkRule>);
  std::copy_if(standing->routes.begin(), standing->routes.end(), std::back_inserter(own.routes), is_ours<DefaultRoute>);
  return own;
}

Result<std::string> ensure_routes(kernel::Netlink& netlink, const std::optional<ReplyRoute>& wanted) {
  if (!wanted) return "";
  auto lo = kernel::interface_index("lo");
  if (!lo) return pass(lo.error());
  auto standing = look(netlink);
  if (!standing) return pass(standing.error());
  if (auto done = ensure_family(netlink, *standing, Family::v4, *wanted, *lo); !done) {
    if (done.error().sys_errno() == EPERM) return pass(explain_refusal(EPERM, "changing policy routing"));
    return pass(done.error());
  }
  auto done = ensure_family(netlink, *standing, Family::v6, *wanted, *lo);
  if (done) return "";
  // IPv6 may be off: that does no harm where nothing could come by it (settled decision 9.10).
  auto source = look_at_source(netlink);
  const int error = done.error().sys_errno();
  const bool may_be_off = error == EAFNOSUPPORT || error == EOPNOTSUPP || error == EACCES || error == ENODEV || error == EINVAL;
  if (!source || source->has_v6_traffic || !may_be_off) return pass(done.error());
  return "IPv6 is off in this network namespace; only IPv4 has TPROXY's routing";
}

Result<bool> drop_other_routes(kernel::Netlink& netlink, const std::optional<ReplyRoute>& wanted) {
  auto own = own_routes(netlink);
  if (!own) return pass(own.error());
  bool had = false;
  for (const DefaultRoute& route : own->routes) {
    if (is_wanted(route, wanted)) continue;
    if (auto r = remove_one(netlink, route, kernel::remove_local_default(netlink, route)); !r) return pass(r.error());
    had = true;
  }
  for (const MarkRule& rule : own->rules) {
    if (is_wanted(rule, wanted)) continue;
    if (auto r = remove_one(netlink, rule, kernel::remove_mark_rule(netlink, rule)); !r) return pass(r.error());
    had = true;
  }
  return had;
}

Result<> restore_routes(kernel::Netlink& netlink, const OwnRoutes& former) {
  auto now = own_routes(netlink);
  if (!now) return pass(now.error());
  ErrorList errors;
  const auto lacks = [](const auto& list, const auto& item) { return std::find(list.begin(), list.end(), item) == list.end(); };
  for (const DefaultRoute& route : now->routes)
    if (lacks(former.routes, route)) errors.add_if_failed(kernel::remove_local_default(netlink, route));
  for (const MarkRule& rule : now->rules)
    if (lacks(former.rules, rule)) errors.add_if_failed(kernel::remove_mark_rule(netlink, rule));
  for (const MarkRule& rule : former.rules)
    if (lacks(now->rules, rule)) errors.add_if_failed(kernel::add_mark_rule(netlink, rule));
  for (const DefaultRoute& route : former.routes)
    if (lacks(now->routes, route)) errors.add_if_failed(kernel::add_local_default(netlink, route));
  return errors.to_result();
}

Result<std::vector<std::string>> route_differences(kernel::Netlink& netlink, const std::optional<ReplyRoute>& wanted) {
  std::vector<std::string> out;
  auto lo = kernel::interface_index("lo");
  if (!lo) return pass(lo.error());
  auto source = wanted ? look_at_source(netlink) : Result<SourceAddress>(SourceAddress{});
  if (!source) return pass(source.error());
  auto standing = look(netlink);
  if (!standing) return pass(standing.error());
  for (const MarkRule& rule : standing->rules)
    if (is_ours(rule) && !is_wanted(rule, wanted))
      out.push_back(fmt::format("the {} rule fwmark {:#x} lookup {} is not of the plan; see: ip rule", to_text(rule.family),
                                rule.mark, rule.table));
  for (const DefaultRoute& route : standing->routes)
    if (is_ours(route) && !is_wanted(route, wanted))
      out.push_back(fmt::format("the {} route local default in table {} is not of the plan; see: ip route show table {}",
                                to_text(route.family), route.table, route.table));
  for (Family family : kBothFamilies) {
    if (!wanted || (family == Family::v6 && !source->has_v6)) continue;
    const DefaultRoute* there = route_in(*standing, family, wanted);
    if (!has_rule(*standing, family, wanted))
      out.push_back(
          fmt::format("the {} rule fwmark {:#x} lookup {} is missing: the workload's answers to borrowed addresses leave "
                      "the sandbox",
                      to_text(family), wanted->mark, wanted->table));
    if (there == nullptr || !there->is_local || there->interface_index != *lo)
      out.push_back(fmt::format("the {} routing table {} has no route \"local default dev lo\"", to_text(family), wanted->table));
  }
  return out;
}

}  // namespace weir::nft
