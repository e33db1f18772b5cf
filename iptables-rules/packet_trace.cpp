// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/packet_trace.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/set.h>
#include <libnftnl/trace.h>

#include "iptables-rules/messages.h"
#include "iptables-rules/probe_table.h"
#include "iptables-rules/snapshot.h"

namespace weir::nft {

namespace {

using TraceObject = std::unique_ptr<nftnl_trace, void (*)(const nftnl_trace*)>;

std::string text_of(const nftnl_trace* trace, std::uint16_t attribute) {
  const char* text = nftnl_trace_is_set(trace, attribute) ? nftnl_trace_get_str(trace, attribute) : nullptr;
  return text == nullptr ? "" : text;
}

/// A header that the kernel tells of the packet; empty if it does not.
std::string_view header(const nftnl_trace* trace, std::uint16_t attribute) {
  if (!nftnl_trace_is_set(trace, attribute)) return {};
  std::uint32_t size = 0;
  const void* data = nftnl_trace_get_data(trace, attribute, &size);
  return {static_cast<const char*>(data), size};
}

Port port_at(std::string_view transport, std::size_t at) {
  return static_cast<Port>((static_cast<unsigned char>(transport[at]) << 8) | static_cast<unsigned char>(transport[at + 1]));
}

std::optional<IpAddr> destination_in(std::string_view network) {
  if (network.size() < sizeof(iphdr)) return std::nullopt;
  if ((static_cast<unsigned char>(network[0]) >> 4) == 4) {
    in_addr address;
    std::memcpy(&address, network.data() + offsetof(iphdr, daddr), sizeof address);
    return IpAddr::from(address);
  }
  if (network.size() < sizeof(ip6_hdr)) return std::nullopt;
  in6_addr address;
  std::memcpy(&address, network.data() + offsetof(ip6_hdr, ip6_dst), sizeof address);
  return IpAddr::from(address);
}

/// What the kernel calls the rule of that handle.
const StandingRule* find_standing(const Snapshot& snapshot, const RuleHit& hit) {
  auto chain = snapshot.rules.find(hit.chain);
  if (hit.family != NFPROTO_INET || hit.table != kTable || chain == snapshot.rules.end()) return nullptr;
  for (const StandingRule& rule : chain->second)
    if (rule.handle == hit.handle) return &rule;
  return nullptr;
}

std::string place_of(const RuleHit& hit) {
  const std::string_view family = hit.family == NFPROTO_IPV4 ? "ip" : hit.family == NFPROTO_IPV6 ? "ip6" : "inet";
  return fmt::format("{} {} {} handle {}", family, hit.table, hit.chain, hit.handle);
}

}  // namespace

std::vector<std::string> name_hits(const std::vector<RuleHit>& hits, const Snapshot& snapshot, const capture::CapturePlan& plan) {
  std::map<std::string, std::string> planned;
  for (const Rule& rule : compile(plan))
    planned[fmt::format("{} {}", capture::name(rule.chain), canonical(rule))] = listing(rule);
  std::vector<std::string> names;
  for (const RuleHit& hit : hits) {
    const StandingRule* standing = find_standing(snapshot, hit);
    auto known = standing == nullptr ? planned.end() : planned.find(fmt::format("{} {}", hit.chain, standing->text));
    names.push_back(known != planned.end() ? known->second : fmt::format("a rule that is not of the plan: {}", place_of(hit)));
  }
  return names;
}

Result<bool> gate_holds(kernel::Netlink& netlink) {
  auto answers = netlink.ask(kernel::NetlinkBus::netfilter, ask_elements(kTable, kHoldingSet));
  if (!answers) {
    if (answers.error().sys_errno() == ENOENT) return false;
    return pass(explain_refusal(answers.error().sys_errno(), "reading the start gate"));
  }
  SetObject set(nftnl_set_alloc());
  for (const NetlinkMessage& message : *answers)
    nftnl_set_elems_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), set.get());
  return canonical(set.get()) != "{ }";
}

Result<std::unique_ptr<PacketTrace>> PacketTrace::begin(PortRange ports, const std::string& in_interface) {
  auto listener = kernel::NetlinkListener::open(kernel::NetlinkBus::netfilter, NFNLGRP_NFTRACE);
  if (!listener) return pass(explain_refusal(listener.error().sys_errno(), "listening to nftables' trace"));
  std::unique_ptr<PacketTrace> trace(new PacketTrace(kernel::open_netlink(), std::move(*listener)));
  auto generation = trace->netlink_->ask(kernel::NetlinkBus::netfilter, ask_generation());
  if (!generation) return pass(explain_refusal(generation.error().sys_errno(), "asking for nftables"));
  Batch batch;
  add_probe_table(batch, ports, in_interface);
  std::vector<kernel::NetlinkMessage> messages;
  for (const Labelled& part : batch) messages.push_back(part.message);
  auto refusal = trace->netlink_->transact(messages, std::nullopt);
  if (!refusal) return pass(refusal.error(), "making the table of the probes");
  if (*refusal) {
    if ((*refusal)->sys_errno == EEXIST)
      return fail(ErrorCode::environment, "a table inet {} is there already: is another self-test running?", kProbeTableName);
    return pass(explain_refusal((*refusal)->sys_errno, "making the table of the probes"));
  }
  return trace;
}

PacketTrace::~PacketTrace() {
  Batch batch;
  delete_table(batch, kProbeTableName);
  (void)netlink_->transact({batch.front().message}, std::nullopt);
}

Result<> PacketTrace::skip() {
  for (;;) {
    auto messages = listener_.receive(Nanoseconds::zero());
    if (!messages && messages.error().sys_errno() != ENOBUFS) return pass(messages.error());
    if (messages && messages->empty()) break;
  }
  current_.reset();
  return {};
}

Result<Sighting> PacketTrace::watch(Port source_port, Nanoseconds limit) {
  Sighting sighting;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit);
  while (!sighting.is_decided()) {
    const auto left = std::chrono::duration_cast<Nanoseconds>(end - std::chrono::steady_clock::now());
    if (left <= Nanoseconds::zero()) break;
    auto messages = listener_.receive(left);
    if (!messages) return pass(messages.error(), "watching a probe");
    for (const kernel::NetlinkMessage& message : *messages) note(message, source_port, sighting);
  }
  return sighting;
}

void PacketTrace::note(const kernel::NetlinkMessage& message, Port source_port, Sighting& sighting) {
  const auto* raw = reinterpret_cast<const nlmsghdr*>(message.data());
  if (raw->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_TRACE)) return;
  TraceObject trace(nftnl_trace_alloc(), nftnl_trace_free);
  if (nftnl_trace_nlmsg_parse(raw, trace.get()) < 0) return;
  const std::uint32_t id = nftnl_trace_get_u32(trace.get(), NFTNL_TRACE_ID);
  // The first message of each base chain tells the headers; by them it is known whether the packet is ours.
  const std::string_view transport = header(trace.get(), NFTNL_TRACE_TRANSPORT_HEADER);
  if (transport.size() >= 4) {
    current_.reset();
    if (port_at(transport, 0) == source_port) current_ = id;
  }
  if (current_ != id) return;
  const std::string table = text_of(trace.get(), NFTNL_TRACE_TABLE), chain = text_of(trace.get(), NFTNL_TRACE_CHAIN);
  // Without a handle the kernel tells a chain's end in the same way.
  const bool is_rule = nftnl_trace_get_u32(trace.get(), NFTNL_TRACE_TYPE) == NFT_TRACETYPE_RULE &&
                       nftnl_trace_is_set(trace.get(), NFTNL_TRACE_RULE_HANDLE);
  if (table == kProbeTableName) {
    const auto destination = destination_in(header(trace.get(), NFTNL_TRACE_NETWORK_HEADER));
    if (!is_rule || !is_end_of_way(chain) || transport.size() < 4 || !destination) return;
    sighting.arrived = SocketAddr{*destination, port_at(transport, 2)};
    sighting.left = chain == kEndOut;
    return;
  }
  if (!is_rule) return;
  sighting.hits.push_back({.family = static_cast<std::uint8_t>(nftnl_trace_get_u32(trace.get(), NFTNL_TRACE_FAMILY)),
                           .table = table,
                           .chain = chain,
                           .handle = nftnl_trace_get_u64(trace.get(), NFTNL_TRACE_RULE_HANDLE)});
  sighting.was_dropped |= nftnl_trace_is_set(trace.get(), NFTNL_TRACE_VERDICT) &&
                          (nftnl_trace_get_u32(trace.get(), NFTNL_TRACE_VERDICT) & NF_VERDICT_MASK) == NF_DROP;
}

}  // namespace weir::nft
