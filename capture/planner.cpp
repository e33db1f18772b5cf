// SPDX-License-Identifier: Apache-2.0
#include "capture/planner.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weir::capture {

const Cidr kLoopback6{IpAddr::loopback(Family::v6), 128};

void Planner::add(Chain chain, Match match, Verdict verdict, std::string why, Port redirect_port) {
  plan_.steps.push_back({chain, std::move(match), verdict, redirect_port, 0, 0, std::move(why)});
}

void Planner::add_ports(Chain chain, const PortSet& ports, Verdict verdict, const std::string& flag) {
  if (!ports.empty())
    add(chain, {.protocol = Match::Protocol::tcp, .ports = ports}, verdict, flag + " " + shortened(ports.to_text()));
}

void Planner::add_hold(Chain chain) {
  if (policy_.start_gate)
    add(chain, {}, Verdict::hold,
        fmt::format("--start-gate: wait up to {} for the proxy's first packet", weir::to_text(*policy_.start_gate)));
}

void Planner::add_only_new_tcp(Chain chain) {
  add(chain, {.protocol = Match::Protocol::not_tcp}, Verdict::pass, "default: only TCP is captured");
  add_older_tcp(chain);
}

void Planner::add_older_tcp(Chain chain) {
  add(chain, {.protocol = Match::Protocol::tcp, .syn = Match::Syn::later}, Verdict::pass,
      "default: connections that are older than the rules stay as they are");
}

void Planner::add_zone(Chain chain, Match match, std::uint16_t zone, std::string why) {
  match.protocol = Match::Protocol::udp;
  add(chain, std::move(match), Verdict::zone, std::move(why));
  plan_.steps.back().zone = zone;
}

void Planner::add_mark(Chain chain, Match match, Verdict verdict, std::uint32_t mark, std::string why) {
  add(chain, std::move(match), verdict, std::move(why));
  plan_.steps.back().mark = mark;
}

bool Planner::includes_loopback() const {
  const auto& list = policy_.outbound_cidrs.list;
  return policy_.outbound_cidrs.kind == Selection::list &&
         std::any_of(list.begin(), list.end(), [](const Cidr& cidr) { return cidr.address().is_loopback(); });
}

PortSet only(Port port) {
  PortSet set;
  set.add(port);
  return set;
}

Cidr host(const char* address) { return *Cidr::parse(address); }

std::string joined(const std::vector<std::uint32_t>& ids) { return fmt::format("{}", fmt::join(ids, ",")); }

std::string shortened(std::string text) {
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace weir::capture
