// SPDX-License-Identifier: Apache-2.0
#include "kernel/policy_route.h"

#include <array>
#include <cstring>
#include <optional>

#include <netinet/in.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

namespace weir::kernel {

namespace {

std::uint8_t domain(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

/// A message that is being written, or one that came in, aligned.
struct Buffer {
  alignas(nlmsghdr) std::array<char, 1024> bytes{};
  nlmsghdr* start(std::uint16_t type, std::uint16_t flags) {
    nlmsghdr* header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    return header;
  }
  NetlinkMessage finished() const { return {bytes.data(), reinterpret_cast<const nlmsghdr*>(bytes.data())->nlmsg_len}; }
};

template <class Extra, class F>
void for_each_attribute(const nlmsghdr* header, F use) {
  const char* tail = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  for (const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(Extra)));
       mnl_attr_ok(attribute, static_cast<int>(tail - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute))
    use(mnl_attr_get_type(attribute), attribute);
}

std::optional<Family> family_of(std::uint8_t domain) {
  if (domain == AF_INET) return Family::v4;
  if (domain == AF_INET6) return Family::v6;
  return std::nullopt;  // IPv4's multicast rules, for one
}

/// Asks for a whole list; what answers are of `type`, given to `parse` one by one.
template <class T, class Extra, class F>
Result<std::vector<T>> list(Netlink& netlink, std::uint16_t get, std::uint16_t type, F parse) {
  Buffer request;
  nlmsghdr* header = request.start(get, NLM_F_DUMP);
  mnl_nlmsg_put_extra_header(header, sizeof(Extra));  // all zero: AF_UNSPEC, every family
  auto answers = netlink.ask(NetlinkBus::route, request.finished());
  if (!answers) return pass(answers.error(), "listing policy routing");
  std::vector<T> found;
  for (const NetlinkMessage& message : *answers) {
    Buffer copy;
    if (message.size() > copy.bytes.size() || message.size() < sizeof(nlmsghdr)) continue;
    std::memcpy(copy.bytes.data(), message.data(), message.size());
    const auto* answer = reinterpret_cast<const nlmsghdr*>(copy.bytes.data());
    if (answer->nlmsg_type != type || mnl_nlmsg_get_payload_len(answer) < sizeof(Extra)) continue;
    const auto* extra = static_cast<const Extra*>(mnl_nlmsg_get_payload(answer));
    const auto family = family_of(*reinterpret_cast<const std::uint8_t*>(extra));  // both kinds of header begin with it
    if (!family) continue;
    if (std::optional<T> item = parse(*family, answer, *extra)) found.push_back(*item);
  }
  return found;
}

NetlinkMessage rule_request(std::uint16_t type, std::uint16_t flags, const MarkRule& rule) {
  Buffer buffer;
  nlmsghdr* header = buffer.start(type, flags);
  auto* extra = static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(header, sizeof(fib_rule_hdr)));
  extra->family = domain(rule.family);
  extra->action = FR_ACT_TO_TBL;
  mnl_attr_put_u32(header, FRA_TABLE, rule.table);
  mnl_attr_put_u32(header, FRA_FWMARK, rule.mark);
  mnl_attr_put_u32(header, FRA_FWMASK, UINT32_MAX);
  if (rule.priority != 0) mnl_attr_put_u32(header, FRA_PRIORITY, rule.priority);
  if (rule.protocol != 0) mnl_attr_put_u8(header, FRA_PROTOCOL, rule.protocol);
  return buffer.finished();
}

NetlinkMessage route_request(std::uint16_t type, std::uint16_t flags, const DefaultRoute& route) {
  Buffer buffer;
  nlmsghdr* header = buffer.start(type, flags);
  auto* extra = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(rtmsg)));
  extra->rtm_family = domain(route.family);
  extra->rtm_protocol = route.protocol;
  extra->rtm_type = RTN_LOCAL;
  extra->rtm_scope = RT_SCOPE_HOST;
  extra->rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE says it, whatever its size
  mnl_attr_put_u32(header, RTA_TABLE, route.table);
  mnl_attr_put_u32(header, RTA_OIF, route.interface_index);
  return buffer.finished();
}

std::string words(const MarkRule& rule) {
  return fmt::format("the {} rule fwmark {:#x} lookup {}", to_text(rule.family), rule.mark, rule.table);
}
std::string words(const DefaultRoute& route) {
  return fmt::format("the {} route local default dev lo table {}", to_text(route.family), route.table);
}

}  // namespace

Result<std::vector<MarkRule>> mark_rules(Netlink& netlink) {
  return list<MarkRule, fib_rule_hdr>(
      netlink, RTM_GETRULE, RTM_NEWRULE,
      [](Family family, const nlmsghdr* header, const fib_rule_hdr& extra) -> std::optional<MarkRule> {
        MarkRule rule{.family = family, .mark = 0, .table = extra.table, .priority = 0, .protocol = 0};
        bool is_plain = extra.action == FR_ACT_TO_TBL && extra.dst_len == 0 && extra.src_len == 0 && extra.tos == 0 &&
                        (extra.flags & FIB_RULE_INVERT) == 0;
        bool has_mark = false;
        for_each_attribute<fib_rule_hdr>(header, [&](std::uint16_t type, const nlattr* attribute) {
          switch (type) {
            case FRA_FWMARK:
              rule.mark = mnl_attr_get_u32(attribute);
              has_mark = true;
              break;
            case FRA_FWMASK: is_plain &= mnl_attr_get_u32(attribute) == UINT32_MAX; break;
            case FRA_TABLE: rule.table = mnl_attr_get_u32(attribute); break;
            case FRA_PRIORITY: rule.priority = mnl_attr_get_u32(attribute); break;
            case FRA_PROTOCOL: rule.protocol = mnl_attr_get_u8(attribute); break;
            case FRA_SUPPRESS_PREFIXLEN: is_plain &= mnl_attr_get_u32(attribute) == UINT32_MAX; break;  // "none"
            case FRA_IIFNAME:
            case FRA_OIFNAME:
            case FRA_SRC:
            case FRA_DST:
            case FRA_L3MDEV:
            case FRA_UID_RANGE:
            case FRA_IP_PROTO:
            case FRA_SPORT_RANGE:
            case FRA_DPORT_RANGE:
            case FRA_TUN_ID: is_plain = false; break;
            default: break;
          }
        });
        if (!is_plain || !has_mark) return std::nullopt;
        return rule;
      });
}

Result<> add_mark_rule(Netlink& netlink, const MarkRule& rule) {
  auto done = netlink.act(NetlinkBus::route, rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule));
  if (!done) return pass(done.error(), "adding " + words(rule));
  return {};
}

Result<> remove_mark_rule(Netlink& netlink, const MarkRule& rule) {
  auto done = netlink.act(NetlinkBus::route, rule_request(RTM_DELRULE, 0, rule));
  if (!done) return pass(done.error(), "removing " + words(rule));
  return {};
}

Result<std::vector<DefaultRoute>> default_routes(Netlink& netlink) {
  return list<DefaultRoute, rtmsg>(netlink, RTM_GETROUTE, RTM_NEWROUTE,
                                   [](Family family, const nlmsghdr* header, const rtmsg& extra) -> std::optional<DefaultRoute> {
                                     if (extra.rtm_dst_len != 0 || (extra.rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;
                                     DefaultRoute route{.family = family,
                                                        .table = extra.rtm_table,
                                                        .interface_index = 0,
                                                        .is_local = extra.rtm_type == RTN_LOCAL,
                                                        .protocol = extra.rtm_protocol};
                                     for_each_attribute<rtmsg>(header, [&](std::uint16_t type, const nlattr* attribute) {
                                       if (type == RTA_TABLE) route.table = mnl_attr_get_u32(attribute);
                                       if (type == RTA_OIF) route.interface_index = mnl_attr_get_u32(attribute);
                                     });
                                     return route;
                                   });
}

Result<> add_local_default(Netlink& netlink, const DefaultRoute& route) {
  auto done = netlink.act(NetlinkBus::route, route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route));
  if (!done) return pass(done.error(), "adding " + words(route));
  return {};
}

Result<> remove_local_default(Netlink& netlink, const DefaultRoute& route) {
  auto done = netlink.act(NetlinkBus::route, route_request(RTM_DELROUTE, 0, route));
  if (!done) return pass(done.error(), "removing " + words(route));
  return {};
}

}  // namespace weir::kernel
