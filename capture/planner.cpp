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

std::vector<Match> Planner::sent_by_proxy(const Match& match) const {
  Match by_uid = match;
  by_uid.uids = policy_.proxy_uids;
  std::vector<Match> found{by_uid};
  if (policy_.proxy_mark) {
    found.push_back(match);
    found.back().sender_mark = policy_.proxy_mark;
  }
  for (const Cgroup& cgroup : policy_.proxy_cgroups) {
    found.push_back(match);
    found.back().cgroup = cgroup;
  }
  return found;
}

std::string Planner::known_by(const Match& match) const {
  if (match.sender_mark) return "--proxy-mark " + match.sender_mark->to_text();
  if (match.cgroup) return "--proxy-cgroups " + shortened(match.cgroup->path);
  return "--proxy-uid " + shortened(joined(match.uids));
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

PortSet only(Port port) { return PortSet::of(port); }

Cidr host(const char* address) { return *Cidr::parse(address); }

std::string joined(const std::vector<std::uint32_t>& ids) { return fmt::format("{}", fmt::join(ids, ",")); }

std::string shortened(std::string text) {
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

}  // namespace weir::capture
