// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "kernel/address.h"
#include "kernel/probe_socket.h"

namespace weir::kernel {

namespace {

constexpr const char* kOutsideName = "weir-probe1";
constexpr std::array<unsigned char, ETH_ALEN> kInsideMac = {0x02, 0x77, 0x65, 0x69, 0x72, 0},
                                              kOutsideMac = {0x02, 0x77, 0x65, 0x69, 0x72, 1};
/// TEST-NET-2 and the documentation prefix: addresses of nobody.
constexpr const char *kInside4 = "198.51.100.250", *kOutside4 = "198.51.100.251";
constexpr const char *kInside6 = "2001:db8:7765:6972::2", *kOutside6 = "2001:db8:7765:6972::3";
constexpr unsigned kPrefix4 = 31, kPrefix6 = 127;

using Buffer = std::array<char, 1024>;

void put_link(nlmsghdr* header, bool is_up = false) {
  auto* extra = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)));
  extra->ifi_family = AF_UNSPEC;
  if (is_up) extra->ifi_flags = extra->ifi_change = IFF_UP;
}

/// Up, or away with it: only when both ends are there can one be up.
NetlinkMessage about_link(std::uint16_t type, const char* name, bool is_up) {
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST;
  put_link(header, is_up);
  mnl_attr_put_strz(header, IFLA_IFNAME, name);
  return {buffer.data(), header->nlmsg_len};
}

NetlinkMessage new_pair() {
  alignas(nlmsghdr) Buffer buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_NEWLINK;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
  put_link(header);
  mnl_attr_put_strz(header, IFLA_IFNAME, ProbeLink::kName);
  mnl_attr_put(header, IFLA_ADDRESS, kInsideMac.size(), kInsideMac.data());
  nlattr* info = mnl_attr_nest_start(header, IFLA_LINKINFO);
  mnl_attr_put_strz(header, IFLA_INFO_KIND, "veth");
  nlattr* data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  nlattr* peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
  put_link(header);
  mnl_attr_put_strz(header, IFLA_IFNAME, kOutsideName);
  mnl_attr_put(header, IFLA_ADDRESS, kOutsideMac.size(), kOutsideMac.data());
  mnl_attr_nest_end(header, peer);
  mnl_attr_nest_end(header, data);
  mnl_attr_nest_end(header, info);
  return {buffer.data(), header->nlmsg_len};
}

NetlinkMessage delete_pair() { return about_link(RTM_DELLINK, ProbeLink::kName, false); }

/// The Internet checksum (RFC 1071) of pieces that all but the last have an even length.
std::uint16_t checksum(std::initializer_list<std::string_view> pieces) {
  std::uint32_t sum = 0;
  for (std::string_view piece : pieces)
    for (std::size_t i = 0; i < piece.size(); ++i)
      sum += static_cast<std::uint32_t>(static_cast<unsigned char>(piece[i])) << (i % 2 == 0 ? 8 : 0);
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

template <class T>
std::string bytes_of(const T& header) {
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

std::string transport(const ProbePacket& packet, const IpAddr& source, bool is_stray) {
  const std::uint8_t protocol = packet.is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
  const std::size_t size = packet.is_tcp ? sizeof(tcphdr) : sizeof(udphdr) + kProbePayload;
  std::string pseudo(source.bytes());
  pseudo += packet.to.ip.bytes();
  pseudo += std::string{'\0', static_cast<char>(protocol), static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
  if (packet.is_tcp) {
    tcphdr tcp{};
    tcp.source = htons(packet.source_port);
    tcp.dest = htons(packet.to.port);
    tcp.seq = htonl(1);
    tcp.doff = sizeof tcp / 4;
    tcp.syn = is_stray ? 0 : 1;
    tcp.fin = tcp.ack = is_stray ? 1 : 0;
    tcp.window = htons(1024);
    tcp.check = checksum({pseudo, bytes_of(tcp)});
    return bytes_of(tcp);
  }
  udphdr udp{};
  udp.source = htons(packet.source_port);
  udp.dest = htons(packet.to.port);
  udp.len = htons(static_cast<std::uint16_t>(size));
  const std::string payload(kProbePayload, '\0');
  udp.check = checksum({pseudo, bytes_of(udp), payload});
  return bytes_of(udp) + payload;
}

std::string whole(const ProbePacket& packet, bool is_stray) {
  const Family family = packet.to.ip.family();
  const IpAddr source = ProbeLink::outside(family);
  const std::string inner = transport(packet, source, is_stray);
  const std::uint8_t protocol = packet.is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
  if (family == Family::v6) {
    ip6_hdr ip{};
    ip.ip6_flow = htonl(6U << 28);
    ip.ip6_plen = htons(static_cast<std::uint16_t>(inner.size()));
    ip.ip6_nxt = protocol;
    ip.ip6_hlim = 64;
    std::memcpy(&ip.ip6_src, source.bytes().data(), sizeof ip.ip6_src);
    std::memcpy(&ip.ip6_dst, packet.to.ip.bytes().data(), sizeof ip.ip6_dst);
    return bytes_of(ip) + inner;
  }
  iphdr ip{};
  ip.version = 4;
  ip.ihl = sizeof ip / 4;
  ip.tot_len = htons(static_cast<std::uint16_t>(sizeof ip + inner.size()));
  ip.ttl = 64;
  ip.protocol = protocol;
  std::memcpy(&ip.saddr, source.bytes().data(), sizeof ip.saddr);
  std::memcpy(&ip.daddr, packet.to.ip.bytes().data(), sizeof ip.daddr);
  ip.check = checksum({bytes_of(ip)});
  return bytes_of(ip) + inner;
}

/// An IPv6 address is usable when the kernel has noticed that its link is up, which it does a moment later.
bool becomes_usable(Netlink& netlink, const IpAddr& address) {
  for (int attempt = 0; attempt < 500; ++attempt) {
    auto all = addresses(netlink, address.family());
    if (!all) return false;
    for (const InterfaceAddress& each : *all)
      if (each.address == address && !each.is_tentative) return true;
    ::usleep(2000);
  }
  return false;
}

}  // namespace

IpAddr ProbeLink::inside(Family family) { return *IpAddr::parse(family == Family::v4 ? kInside4 : kInside6); }
IpAddr ProbeLink::outside(Family family) { return *IpAddr::parse(family == Family::v4 ? kOutside4 : kOutside6); }

Result<ProbeLink> ProbeLink::make(Netlink& netlink) {
  // Opened first: what may not be used need not be made.
  UniqueFd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "opening a packet socket (CAP_NET_RAW)");
  auto made = netlink.act(NetlinkBus::route, new_pair());
  if (!made && made.error().sys_errno() == EEXIST) {
    (void)netlink.act(NetlinkBus::route, delete_pair());
    made = netlink.act(NetlinkBus::route, new_pair());
  }
  if (!made) return pass(made.error(), fmt::format("making the veth pair {}", kName));
  ProbeLink link(netlink, std::move(fd));  // from here on deleted, whatever happens
  for (const char* name : {kName, kOutsideName})
    if (auto up = netlink.act(NetlinkBus::route, about_link(RTM_NEWLINK, name, true)); !up)
      return pass(up.error(), fmt::format("switching {} on", name));
  auto inside_index = interface_index(kName), outside_index = interface_index(kOutsideName);
  if (!inside_index) return pass(inside_index.error());
  if (!outside_index) return pass(outside_index.error());
  link.outside_index_ = *outside_index;
  if (auto added = add_address(netlink, *inside_index, {inside(Family::v4), kPrefix4}, 0); !added) return pass(added.error());
  // Without duplicate address detection, which would take a second. A namespace may have no IPv6.
  link.has_v6_ = add_address(netlink, *inside_index, {inside(Family::v6), kPrefix6}, 0).has_value() &&
                 becomes_usable(netlink, inside(Family::v6));
  return link;
}

ProbeLink::ProbeLink(ProbeLink&& other) noexcept
    : netlink_(std::exchange(other.netlink_, nullptr)),
      fd_(std::move(other.fd_)),
      outside_index_(other.outside_index_),
      has_v6_(other.has_v6_) {}

ProbeLink::~ProbeLink() {
  if (netlink_ != nullptr) (void)netlink_->act(NetlinkBus::route, delete_pair());
}

Result<> ProbeLink::send(const ProbePacket& packet, bool is_stray) {
  const std::string bytes = whole(packet, is_stray);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = htons(packet.to.ip.is_v4() ? ETH_P_IP : ETH_P_IPV6);
  to.sll_ifindex = static_cast<int>(outside_index_);
  to.sll_halen = ETH_ALEN;
  std::memcpy(to.sll_addr, kInsideMac.data(), kInsideMac.size());
  if (::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
    return fail_errno(errno, "sending a packet into {}", kOutsideName);
  return {};
}

}  // namespace weir::kernel
