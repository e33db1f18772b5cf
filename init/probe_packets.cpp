// SPDX-License-Identifier: Apache-2.0
#include "init/probe_packets.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

namespace weir::init {

namespace {

using capture::CapturePlan;
using capture::Packet;
using capture::Step;

constexpr std::size_t kMostOfList = 8;
/// Of nobody (RFC 5737, RFC 3849).
constexpr const char *kElsewhere4 = "192.0.2.1", *kElsewhere6 = "2001:db8:7765:6972:ffff::1";

template <class T>
void add(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

template <class T>
void add_some(std::vector<T>& list, const std::vector<T>& more) {
  for (std::size_t i = 0; i < std::min(more.size(), kMostOfList); ++i) add(list, more[i]);
}

/// What a plan's steps look at.
struct Interesting {
  std::vector<std::uint32_t> uids, gids;
  std::vector<Port> ports = {well_known::kProbePort}, datagram_ports = {well_known::kProbePort};
  std::vector<IpAddr> destinations, sources;
  bool is_invalid = false;
};

/// An address of the range that is no network's or broadcast address.
IpAddr host_in(const Cidr& cidr) {
  if (cidr.prefix() + 1 >= cidr.address().bytes().size() * 8) return cidr.address();
  std::string bytes(cidr.address().bytes());
  bytes.back() = static_cast<char>(static_cast<unsigned char>(bytes.back()) | 1U);
  if (cidr.family() == Family::v4) {
    in_addr address;
    std::copy_n(bytes.data(), sizeof address, reinterpret_cast<char*>(&address));
    return IpAddr::from(address);
  }
  in6_addr address;
  std::copy_n(bytes.data(), sizeof address, reinterpret_cast<char*>(&address));
  return IpAddr::from(address);
}

void add_ports(std::vector<Port>& ports, const PortSet& set) {
  std::size_t taken = 0;
  for (const PortRange& range : set.ranges()) {
    if (taken++ == kMostOfList) return;
    for (const Port port : {range.first, range.last})
      if (port != 0) add(ports, port);
  }
}

void add_hosts(std::vector<IpAddr>& hosts, const std::vector<Cidr>& list) {
  std::map<Family, std::size_t> taken;
  for (const Cidr& cidr : list)
    if (taken[cidr.family()]++ < kMostOfList) add(hosts, host_in(cidr));
}

std::uint32_t not_in(const std::vector<std::uint32_t>& list) {
  std::uint32_t id = 1000;
  while (std::find(list.begin(), list.end(), id) != list.end()) ++id;
  return id;
}

Interesting interesting(const CapturePlan& plan) {
  Interesting found;
  for (const Step& step : plan.steps) {
    add_some(found.uids, step.match.uids);
    add_some(found.uids, step.match.not_uids);
    add_some(found.gids, step.match.gids);
    add_some(found.gids, step.match.not_gids);
    std::vector<Port>& ports = step.match.protocol == capture::Match::Protocol::udp ? found.datagram_ports : found.ports;
    add_ports(ports, step.match.ports);
    add_ports(ports, step.match.not_ports);
    add_hosts(found.destinations, step.match.destination);
    add_hosts(found.destinations, step.match.not_destination);
    add_hosts(found.sources, step.match.source);
    found.is_invalid |= step.match.is_invalid;
  }
  add(found.uids, not_in(found.uids));
  add(found.gids, not_in(found.gids));
  return found;
}

/// All packets that might be of interest, the plainest first.
class Universe {
 public:
  Universe(const CapturePlan& plan, const Surroundings& around) : plan_(plan), around_(around), seen_(interesting(plan)) {
    for (const IpAddr& address : around.own) add(seen_.destinations, address);
    for (const char* text :
         {kElsewhere4, kElsewhere6, "127.0.0.1", "::1", "127.0.0.2", well_known::kInboundSource4, well_known::kInboundSource6})
      add(seen_.destinations, *IpAddr::parse(text));
    std::rotate(seen_.uids.begin(), seen_.uids.end() - 1, seen_.uids.end());  // the application's first
    std::rotate(seen_.gids.begin(), seen_.gids.end() - 1, seen_.gids.end());
    from_inside();
    from_outside();
  }
  const std::vector<Packet>& packets() const { return packets_; }

 private:
  void from_inside() {
    for (const IpAddr& destination : seen_.destinations) {
      const auto way = around_.way_to(destination);
      if (!way) continue;
      Packet packet{.interface = way->interface, .source = way->source, .destination = destination};
      packet.to_this_sandbox = way->interface == "lo";
      packet.gate_is_closed = around_.gate_is_closed;
      with_owners(packet);
      for (const IpAddr& source : seen_.sources) {
        if (!packet.to_this_sandbox || source.family() != destination.family()) continue;
        packet.source = source;
        with_owners(packet);
      }
    }
  }
  void with_owners(Packet packet) {
    for (std::uint32_t uid : seen_.uids) {
      // A probe must not do what the application waits for.
      if (around_.gate_is_closed && opens_gate(uid)) continue;
      for (std::uint32_t gid : seen_.gids) {
        packet.uid = uid;
        packet.gid = gid;
        with_ports(packet);
      }
    }
  }
  bool opens_gate(std::uint32_t uid) const {
    return std::any_of(plan_.steps.begin(), plan_.steps.end(), [&](const Step& step) {
      const std::vector<std::uint32_t>& uids = step.match.uids;
      return step.verdict == capture::Verdict::open_gate && std::find(uids.begin(), uids.end(), uid) != uids.end();
    });
  }
  void from_outside() {
    for (Packet packet : around_.outside) {
      packet.gate_is_closed = around_.gate_is_closed;
      with_ports(packet);
      if (!seen_.is_invalid) continue;
      packet.is_invalid = true;
      packet.is_first = false;
      packet.port = well_known::kProbePort;
      packets_.push_back(packet);
    }
  }
  void with_ports(Packet packet) {
    for (Port port : seen_.ports) {
      packet.port = port;
      packets_.push_back(packet);
    }
    packet.is_tcp = false;
    for (Port port : seen_.datagram_ports) {
      packet.port = port;
      packets_.push_back(packet);
    }
  }

  const CapturePlan& plan_;
  const Surroundings& around_;
  Interesting seen_;
  std::vector<Packet> packets_;
};

template <class T>
std::size_t index_of(const std::vector<T>& list, const T& value) {
  return static_cast<std::size_t>(std::find(list.begin(), list.end(), value) - list.begin());
}

std::size_t index_of(const std::vector<Cidr>& list, const IpAddr& address) {
  return static_cast<std::size_t>(
      std::find_if(list.begin(), list.end(), [&](const Cidr& cidr) { return cidr.contains(address); }) - list.begin());
}

std::size_t index_of(const PortSet& set, Port port) {
  std::size_t index = 0;
  for (const PortRange& range : set.ranges()) {
    if (range.first <= port && port <= range.last) return index;
    ++index;
  }
  return index;
}

/// Which item of each of the step's lists the packet fits: backends may make a rule of each.
using Facet = std::vector<std::size_t>;
Facet facet_of(std::size_t index, const Step& step, const Packet& packet) {
  const capture::Match& match = step.match;
  return {index,
          packet.destination.is_v4() ? 4U : 6U,
          index_of(match.uids, packet.uid),
          index_of(match.gids, packet.gid),
          index_of(match.source, packet.source),
          index_of(match.destination, packet.destination),
          index_of(match.ports, packet.port)};
}

/// How well a packet shows that the step is there: not; by another outcome without it; by being captured without it, which shows
/// that NAT leaves it alone too, where a backend needs a rule for that.
enum class Rank : std::uint8_t { none, differs, captured };
Rank rank(const CapturePlan& plan, std::size_t step, const Packet& packet, const capture::Judgement& now) {
  CapturePlan without = plan;
  without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(step));
  const capture::Judgement then = capture::judge(without, packet);
  if (then.outcome == now.outcome && then.port == now.port) return Rank::none;
  return now.port == 0 && then.port != 0 ? Rank::captured : Rank::differs;
}

}  // namespace

Chosen choose_packets(const CapturePlan& plan, const Surroundings& surroundings) {
  struct Best {
    Packet packet;
    std::optional<Rank> rank;  // none: not there yet
  };
  std::map<Facet, Best> best;
  const Universe universe(plan, surroundings);
  for (const Packet& packet : universe.packets()) {
    const capture::Judgement judgement = capture::judge(plan, packet);
    for (const Step* step : {judgement.step, judgement.target}) {
      if (step == nullptr) continue;
      const auto index = static_cast<std::size_t>(step - plan.steps.data());
      Best& there = best[facet_of(index, *step, packet)];
      if (there.rank == Rank::captured || (there.rank == Rank::differs && judgement.port != 0)) continue;
      const Rank here = rank(plan, index, packet, judgement);
      if (!there.rank || here > *there.rank) there = {packet, here};
    }
  }
  Chosen chosen;
  std::set<std::size_t> met;
  for (const auto& [facet, found] : best) {
    met.insert(facet.front());
    chosen.rows.push_back({.packet = found.packet, .step = facet.front()});
  }
  for (std::size_t i = 0; i < plan.steps.size(); ++i)
    if (plan.steps[i].chain != capture::Chain::kept_flags && !met.contains(i)) chosen.unmet.push_back(i);
  return chosen;
}

}  // namespace weir::init
