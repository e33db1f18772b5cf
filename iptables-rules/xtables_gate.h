// SPDX-License-Identifier: Apache-2.0
// The start gate and the fail mode "open" by iptables' match `recent`. A list of xt_recent has one entry per family while the
// gate holds: rules drop SYNs while the entry is there and young enough, the first packet of the proxy's uid deletes that of its
// family, and writing to the list's file puts it in. In another list a heartbeat of the proxy renews the entry of its family. A
// list is there as long as a rule names it (net/netfilter/xt_recent.c).
#pragma once

#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/duration.h"
#include "base/result.h"

namespace weir::xtables {

/// The list's name; both families have the same list, but entries of their own.
inline constexpr std::string_view kGateList = "weir_holding";
inline constexpr std::string_view kAliveList = "weir_alive";
inline constexpr std::string_view kGateFolder = "/proc/thread-self/net/xt_recent";
/// xt_recent counts whole seconds in 32 bits of jiffies.
inline constexpr Nanoseconds kLongestGate = std::chrono::hours(24 * 24);

/// Condition of the rule that holds: true while the gate of the family is closed. Parts of a second count as a whole one.
std::string gate_holds(Family family, Nanoseconds limit);
/// "Condition" of the rule that opens: deletes the family's entry.
std::string gate_opens(Family family);
/// "Condition" of the rule that sees a heartbeat: renews the family's entry of the other list.
std::string proxy_lives(Family family);
/// True while that entry is not there, or older than this. Parts of a second count as a whole one.
std::string proxy_is_down(Family family, Nanoseconds open_after);

/// Which families have an entry: whose gates wait for the proxy, or that had a heartbeat; the time of some may be over.
struct Gate {
  bool v4 = false, v6 = false;
  bool of(Family family) const { return family == Family::v4 ? v4 : v6; }
  friend bool operator==(const Gate&, const Gate&) = default;
};
/// Reads the list's file. Pure.
Gate read_gate(std::string_view text);

/// The list in the network namespace of the calling thread. `folder` is where xt_recent shows its lists.
class GateList {
 public:
  explicit GateList(const std::string& folder, std::string_view name = kGateList) : file_(folder + "/" + std::string(name)) {}
  /// No list: nothing waits.
  Result<Gate> read() const;
  /// Makes the list so, where it is not. No list is success if nothing is to wait. Errors (environment) say what to do.
  Result<> make(const Gate& wanted) const;

 private:
  Result<> write(const Gate& now, const Gate& wanted) const;
  std::string file_;
};

}  // namespace weir::xtables
