// SPDX-License-Identifier: Apache-2.0
#include "kernel/address.h"

#include <array>
#include <cstring>

#include <netinet/in.h>
#include <net/if.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

namespace weir::kernel {

namespace {

constexpr std::uint16_t kIfaProto = 11;  // IFA_PROTO, newer than Debian 12's headers

int domain(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

NetlinkMessage address_request(std::uint16_t type, std::uint16_t flags, unsigned index, const Cidr& address,
                               std::optional<std::uint8_t> protocol) {
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = flags;
  auto* extra = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
  extra->ifa_family = static_cast<std::uint8_t>(domain(address.family()));
  extra->ifa_prefixlen = static_cast<std::uint8_t>(address.prefix());
  // Without it the kernel looks for duplicates some time later, even on lo, and until then nobody can bind to an IPv6 address.
  if (address.family() == Family::v6) extra->ifa_flags = IFA_F_NODAD;
  extra->ifa_index = index;
  const std::string_view bytes = address.address().bytes();
  mnl_attr_put(header, IFA_LOCAL, bytes.size(), bytes.data());
  mnl_attr_put(header, IFA_ADDRESS, bytes.size(), bytes.data());
  if (protocol) mnl_attr_put_u8(header, kIfaProto, *protocol);
  return {buffer.data(), header->nlmsg_len};
}

std::optional<IpAddr> address_in(const nlattr* attribute, Family family) {
  const std::size_t size = mnl_attr_get_payload_len(attribute);
  if (family == Family::v4 && size == sizeof(in_addr)) {
    in_addr address;
    std::memcpy(&address, mnl_attr_get_payload(attribute), sizeof address);
    return IpAddr::from(address);
  }
  if (family == Family::v6 && size == sizeof(in6_addr)) {
    in6_addr address;
    std::memcpy(&address, mnl_attr_get_payload(attribute), sizeof address);
    return IpAddr::from(address);
  }
  return std::nullopt;
}

std::optional<InterfaceAddress> parse(const NetlinkMessage& message, Family family) {
  alignas(nlmsghdr) std::array<char, 1024> copy{};
  if (message.size() > copy.size() || message.size() < sizeof(nlmsghdr)) return std::nullopt;
  std::memcpy(copy.data(), message.data(), message.size());
  const auto* header = reinterpret_cast<const nlmsghdr*>(copy.data());
  if (header->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(header) < sizeof(ifaddrmsg)) return std::nullopt;
  const auto* extra = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
  if (extra->ifa_family != domain(family)) return std::nullopt;
  InterfaceAddress found;
  found.interface_index = extra->ifa_index;
  found.prefix = extra->ifa_prefixlen;
  found.is_tentative = (extra->ifa_flags & IFA_F_TENTATIVE) != 0;
  found.is_link_scope = extra->ifa_scope >= RT_SCOPE_LINK;
  bool has_local = false;
  const char* tail = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  for (const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(ifaddrmsg)));
       mnl_attr_ok(attribute, static_cast<int>(tail - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    const std::uint16_t type = mnl_attr_get_type(attribute);
    if (type == kIfaProto && mnl_attr_get_payload_len(attribute) == 1) found.protocol = mnl_attr_get_u8(attribute);
    // IFA_LOCAL is the interface's own; IFA_ADDRESS is the peer's on point-to-point links, and all there is in IPv6.
    if (type != IFA_LOCAL && (type != IFA_ADDRESS || has_local)) continue;
    if (auto address = address_in(attribute, family)) found.address = *address;
    has_local |= type == IFA_LOCAL;
  }
  return found;
}

}  // namespace

Result<std::vector<InterfaceAddress>> addresses(Netlink& netlink, Family family) {
  alignas(nlmsghdr) std::array<char, 64> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETADDR;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* extra = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifaddrmsg)));
  extra->ifa_family = static_cast<std::uint8_t>(domain(family));
  auto answers = netlink.ask(NetlinkBus::route, {buffer.data(), header->nlmsg_len});
  if (!answers) return pass(answers.error(), fmt::format("listing {} addresses", to_text(family)));
  std::vector<InterfaceAddress> found;
  for (const NetlinkMessage& message : *answers)
    if (auto address = parse(message, family)) found.push_back(*address);
  return found;
}

Result<unsigned> interface_index(const std::string& name) {
  unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return fail_errno(errno, "no interface {} in this network namespace", name);
  return index;
}

Result<> add_address(Netlink& netlink, unsigned interface_index, const Cidr& address, std::uint8_t protocol) {
  auto done = netlink.act(NetlinkBus::route, address_request(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
                                                             interface_index, address, protocol));
  if (!done) return pass(done.error(), fmt::format("adding the address {}", address.to_text()));
  return {};
}

Result<> remove_address(Netlink& netlink, unsigned interface_index, const Cidr& address) {
  auto done = netlink.act(NetlinkBus::route, address_request(RTM_DELADDR, NLM_F_REQUEST, interface_index, address, std::nullopt));
  if (!done) return pass(done.error(), fmt::format("removing the address {}", address.to_text()));
  return {};
}

}  // namespace weir::kernel
