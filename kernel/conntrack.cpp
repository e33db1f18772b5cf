// SPDX-License-Identifier: Apache-2.0
#include "kernel/conntrack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <netinet/in.h>
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

namespace weir::kernel {

namespace {

using Attributes = std::array<const nlattr*, 32>;

using Buffer = std::array<char, 1024>;

nlmsghdr* start(Buffer& buffer, std::uint16_t type, std::uint16_t flags, std::uint8_t family) {
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
  header->nlmsg_flags = flags;
  auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = family;
  extra->version = NFNETLINK_V0;
  return header;
}

/// Kernels that know the filter (Linux 5.15) leave out what is not translated; the others tell everything.
NetlinkMessage request() {
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* header = start(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC);
  mnl_attr_put_u32(header, CTA_STATUS, htonl(IPS_DST_NAT));
  mnl_attr_put_u32(header, CTA_STATUS_MASK, htonl(IPS_DST_NAT));
  return {buffer.data(), header->nlmsg_len};
}

int collect(const nlattr* attribute, void* data) {
  auto& found = *static_cast<Attributes*>(data);
  if (const auto type = mnl_attr_get_type(attribute); type < found.size()) found[type] = attribute;
  return MNL_CB_OK;
}

Attributes within(const nlattr* attribute) {
  Attributes found{};
  if (attribute != nullptr) mnl_attr_parse_nested(attribute, collect, &found);
  return found;
}

template <class T>
T number(const nlattr* attribute) {
  T value{};
  if (attribute != nullptr && mnl_attr_get_payload_len(attribute) == sizeof value)
    std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
  return value;
}

RedirectedFlow flow_of(const Attributes& top, std::uint32_t status) {
  const Attributes reply = within(within(top[CTA_TUPLE_REPLY])[CTA_TUPLE_PROTO]);
  const Attributes tcp = within(within(top[CTA_PROTOINFO])[CTA_PROTOINFO_TCP]);
  const auto state = number<std::uint8_t>(tcp[CTA_PROTOINFO_TCP_STATE]);
  return {.protocol = number<std::uint8_t>(reply[CTA_PROTO_NUM]),
          .redirected_to = ntohs(number<std::uint16_t>(reply[CTA_PROTO_SRC_PORT])),
          .is_answered = (status & IPS_SEEN_REPLY) != 0,
          .is_closed = state == TCP_CONNTRACK_TIME_WAIT || state == TCP_CONNTRACK_CLOSE};
}

/// Deletes exactly what the kernel told.
NetlinkMessage deletion(const NetlinkMessage& told, const Attributes& top) {
  const auto* family = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(reinterpret_cast<const nlmsghdr*>(told.data())));
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* header = start(buffer, IPCTNL_MSG_CT_DELETE, 0, family->nfgen_family);
  for (const auto type : {CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID}) {
    const nlattr* attribute = top[type];
    if (attribute != nullptr && mnl_attr_get_payload_len(attribute) < buffer.size() / 4)
      mnl_attr_put(header, attribute->nla_type, mnl_attr_get_payload_len(attribute), mnl_attr_get_payload(attribute));
  }
  return {buffer.data(), header->nlmsg_len};
}

template <class F>
Result<> for_each_redirected(Netlink& netlink, F each) {
  auto answers = netlink.ask(NetlinkBus::netfilter, request());
  if (!answers) return pass(answers.error(), "asking for the tracked connections");
  for (const NetlinkMessage& message : *answers) {
    Attributes top{};
    mnl_attr_parse(reinterpret_cast<const nlmsghdr*>(message.data()), sizeof(nfgenmsg), collect, &top);
    const std::uint32_t status = ntohl(number<std::uint32_t>(top[CTA_STATUS]));
    if ((status & IPS_DST_NAT) != 0) each(message, top, flow_of(top, status));
  }
  return {};
}

}  // namespace

Result<std::vector<RedirectedFlow>> redirected_flows(Netlink& netlink) {
  std::vector<RedirectedFlow> flows;
  auto asked = for_each_redirected(
      netlink, [&](const NetlinkMessage&, const Attributes&, const RedirectedFlow& flow) { flows.push_back(flow); });
  if (!asked) return pass(asked.error());
  return flows;
}

Result<std::size_t> forget_redirected(Netlink& netlink, const std::vector<Port>& ports) {
  std::vector<NetlinkMessage> deletions;
  auto asked = for_each_redirected(netlink, [&](const NetlinkMessage& told, const Attributes& top, const RedirectedFlow& flow) {
    if (std::find(ports.begin(), ports.end(), flow.redirected_to) != ports.end()) deletions.push_back(deletion(told, top));
  });
  if (!asked) return pass(asked.error());
  for (const NetlinkMessage& message : deletions)
    if (auto done = netlink.act(NetlinkBus::netfilter, message); !done && done.error().sys_errno() != ENOENT)
      return pass(done.error(), "forgetting a tracked connection");
  return deletions.size();
}

Result<> forget_flow(Netlink& netlink, std::uint8_t protocol, const SocketAddr& from, const SocketAddr& to) {
  const bool is_v4 = from.ip.is_v4();
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* header = start(buffer, IPCTNL_MSG_CT_DELETE, 0, is_v4 ? AF_INET : AF_INET6);
  nlattr* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  nlattr* ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  const std::string_view source = from.ip.bytes(), destination = to.ip.bytes();
  mnl_attr_put(header, is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, source.size(), source.data());
  mnl_attr_put(header, is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, destination.size(), destination.data());
  mnl_attr_nest_end(header, ip);
  nlattr* ports = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put(header, CTA_PROTO_NUM, sizeof protocol, &protocol);
  for (const auto& [type, port] : {std::pair{CTA_PROTO_SRC_PORT, from.port}, std::pair{CTA_PROTO_DST_PORT, to.port}}) {
    const std::uint16_t number = htons(port);
    mnl_attr_put(header, static_cast<std::uint16_t>(type), sizeof number, &number);
  }
  mnl_attr_nest_end(header, ports);
  mnl_attr_nest_end(header, tuple);
  return netlink.act(NetlinkBus::netfilter, {buffer.data(), header->nlmsg_len});
}

}  // namespace weir::kernel
