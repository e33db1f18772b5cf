// SPDX-License-Identifier: Apache-2.0
// For tests: the rows of tests/data/capture_matrix.tsv, which judge and the kernel must both obey.
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "capture/options.h"
#include "capture/plan.h"

namespace weir::capture::matrix {

struct Row {
  std::string id, config, title, from, protocol;
  std::uint32_t uid = 0, gid = 0;
  std::string source, destination;
  Port port = 0;
  Family family = Family::v4;
  std::string expected;

  std::string name() const { return fmt::format("{} {} {}", id, weir::to_text(family), title); }
};

/// The names that rows use for addresses; the lab of tests/netns has these.
inline IpAddr address(const std::string& name, Family family) {
  static const std::map<std::string, std::pair<const char*, const char*>> kNames = {
      {"POD", {"10.1.0.2", "fd01::2"}},  {"REM", {"10.1.0.1", "fd01::1"}},  {"REM2", {"10.2.0.2", "fd02::2"}},
      {"VIP", {"10.96.0.1", "fd96::1"}}, {"VNET", {"10.3.0.1", "fd03::1"}}, {"VM", {"10.3.0.2", "fd03::2"}},
      {"LO", {"127.0.0.1", "::1"}},      {"LO2", {"127.0.0.2", "::6"}},     {"MAGIC", {"127.0.0.6", "::6"}},
      {"ANY", {"0.0.0.0", "::"}}};
  const auto& [v4, v6] = kNames.at(name);
  return *IpAddr::parse(family == Family::v4 ? v4 : v6);
}

inline std::vector<Row> read(const std::string& file) {
  std::ifstream stream(file);
  std::vector<Row> rows;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line[0] == '#' || line.starts_with("id\t")) continue;
    const auto cells = split(line, '\t');
    auto text = [&](std::size_t i) { return std::string(cells.at(i)); };
    auto number = [&](std::size_t i) { return static_cast<std::uint32_t>(parse_uint(cells.at(i)).value()); };
    rows.push_back({text(0), text(1), text(2), text(3), text(4), number(5), number(6), text(7), text(8),
                    static_cast<Port>(number(9)), number(10) == 4 ? Family::v4 : Family::v6, text(11)});
  }
  return rows;
}

/// A source that the sandbox does not have: "borrowed/REM", with a mark "borrowed/REM/1337". nullopt: another text.
struct Borrowed {
  std::string name;
  std::uint32_t mark = 0;
};
inline std::optional<Borrowed> borrowed(const std::string& source) {
  const auto parts = split(source, '/');
  if (parts[0] != "borrowed") return std::nullopt;
  return Borrowed{std::string(parts.at(1)), parts.size() > 2 ? static_cast<std::uint32_t>(*parse_uint(parts[2])) : 0};
}

/// Of a machine whose resolv.conf names REM.
inline Accounts accounts() {
  Accounts found;
  found.cgroup_of = [](const std::string&) { return std::optional<std::uint64_t>(1); };
  found.dns_servers = [] { return std::vector{address("REM", Family::v4), address("REM", Family::v6)}; };
  return found;
}

/// "ISTIO_X=1 -b 8080 -i *" as weir-init would read it; the options themselves go where the pointers show.
inline ParseOutcome parse_config(const std::string& config, std::map<std::string, std::string>* flags_into = nullptr,
                                 std::map<std::string, std::string>* environment_into = nullptr) {
  std::map<std::string, std::string> flags, environment;
  const auto words = split(config, ' ');
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (auto equals = words[i].find('='); equals != std::string_view::npos) {
      environment.emplace(words[i].substr(0, equals), words[i].substr(equals + 1));
      continue;
    }
    for (const Option& option : options())
      if (words[i].size() == 2 && words[i][1] == option.short_name) flags[std::string(option.long_name)] = words.at(i + 1);
    ++i;
  }
  if (flags_into != nullptr) *flags_into = flags;
  if (environment_into != nullptr) *environment_into = environment;
  return parse_options(flags, environment, accounts());
}

/// The packet that opens the row's connection, as netfilter would see it.
inline Packet packet(const Row& row) {
  Packet packet;
  packet.from_outside = row.from != "pod";
  packet.is_tcp = row.protocol != "udp";
  packet.is_invalid = row.protocol == "fin";  // the end of a connection that never was
  packet.is_first = !packet.is_invalid;
  packet.port = row.port;
  packet.uid = row.uid;
  packet.gid = row.gid;
  // connect(2) turns the unspecified address into the loopback one.
  packet.destination = address(row.destination == "ANY" ? "LO" : row.destination, row.family);
  packet.to_this_sandbox = row.destination != "REM" && row.destination != "REM2" && row.destination != "VIP";
  packet.interface = row.from == "vm" ? "vnet0" : packet.from_outside || !packet.to_this_sandbox ? "eth0" : "lo";
  std::string source = packet.from_outside ? (row.from == "vm" ? "VM" : "REM") : "POD";
  if (packet.destination.is_loopback()) source = "LO";
  if (packet.destination == address("MAGIC", row.family)) source = "MAGIC";  // an address of lo is its own best source in IPv6
  if (row.source.starts_with("mark="))
    packet.mark = static_cast<std::uint32_t>(parse_uint(std::string_view(row.source).substr(5)).value());
  else if (row.source != "-")
    source = row.source;
  if (auto taken = borrowed(row.source)) {
    source = taken->name;
    packet.mark = taken->mark;
    packet.from_elsewhere = true;
  }
  packet.source = address(source, row.family);
  return packet;
}

/// What judge must say for the row's expected text.
inline Outcome outcome(const Row& row) {
  if (row.expected == "RST") return Outcome::reset;
  if (row.expected == "REFUSED") return Outcome::refused;
  if (row.expected == "TIMEOUT") return Outcome::dropped;
  if (row.expected.starts_with("IN15")) return Outcome::inbound;
  if (row.expected.starts_with("OUT15")) return Outcome::outbound;
  if (row.expected.starts_with("DNS15")) return Outcome::dns;
  return Outcome::direct;
}

}  // namespace weir::capture::matrix
