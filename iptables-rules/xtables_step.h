// SPDX-License-Identifier: Apache-2.0
// One step of a plan as the conditions of iptables' rules. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capture/plan.h"

namespace weir::xtables {

/// `-m comment --comment "text"`, quoted for iptables-restore.
std::string comment(std::string_view text);

/// Those of one family.
std::vector<Cidr> of_family(const std::vector<Cidr>& list, Family family);
/// 0.0.0.0/0, ::/0.
bool contains_all(const Cidr& cidr);

/// A step for one family: what every rule of it asks, and the lists of which one entry must hold. `step` must outlive it.
class StepRules {
 public:
  /// `more`: a condition that the plan adds to the step's own.
  StepRules(const capture::Step& step, Family family, std::string_view more = {});

  /// False: no packet of this family can meet the conditions, so there is no rule.
  bool can_match() const { return can_match_; }
  /// How many rules all combinations are.
  std::size_t size() const;
  /// How many lists have more than one entry.
  std::size_t long_lists() const;
  /// What holds for every rule of the step.
  std::string common() const { return written({}, addresses_, protocol_, rest_); }
  /// Every combination of the lists. With `only_lists` what common() asks is left out.
  std::vector<std::string> combinations(bool only_lists = false) const;

 private:
  void fix();
  void exclude_ports();
  void exclude_owners(std::string_view kind, std::vector<std::uint32_t> ids);
  void add_alternatives(std::vector<std::string> list);
  void add_ports(const PortSet& ports, std::string_view flag);
  /// With the match that knows its ports.
  std::string ported_protocol() const;
  void add_list(const std::vector<Cidr>& list, std::string_view flag);
  std::string written(const std::vector<std::string>& chosen, std::string_view addresses, std::string_view protocol,
                      std::string_view rest) const;

  const capture::Step& step_;
  const capture::Match& match_;
  Family family_;
  bool can_match_ = true;
  std::string addresses_, protocol_, rest_;
  std::vector<std::vector<std::string>> lists_;
};

}  // namespace weir::xtables
