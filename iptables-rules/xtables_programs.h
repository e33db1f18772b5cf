// SPDX-License-Identifier: Apache-2.0
// iptables' programs: how they are called, and what their refusals mean.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "iptables-rules/xtables_rules.h"
#include "kernel/child.h"

namespace weir::xtables {

/// Which of iptables' two implementations; the kernel keeps their rules apart.
enum class Variant : std::uint8_t { legacy, nft };
/// "iptables-legacy", "iptables-nft": the backend's name, and what its programs' names begin with.
std::string_view name(Variant variant);

/// "ip6tables-nft"
std::string program_of(Variant variant, Family family);

using Environment = std::map<std::string, std::string>;
/// Runs a program to its end with an input and more environment, or kills it if it takes too long.
using Runner = std::function<Result<kernel::Output>(const std::vector<std::string>& arguments, const std::string& input,
                                                    const Environment& environment)>;
/// kernel::run with a limit, which is longer than iptables waits for its lock.
Runner limited_runner();

/// Those of one variant. Errors (environment) say what the program said and what to do.
class Programs {
 public:
  /// `lock_wait`: how long, in whole seconds, iptables-restore may wait for iptables' lock.
  Programs(Variant variant, Runner run, std::chrono::seconds lock_wait)
      : variant_(variant), run_(std::move(run)), lock_wait_(lock_wait) {}

  /// "ip6tables-nft-save"
  std::string name(Family family, std::string_view verb) const;
  /// iptables-restore --noflush; a trial has the text read and the extensions asked for, and changes nothing. Where the lock's
  /// file cannot be made (a read-only /run), the network namespace is locked instead.
  Result<> restore(Family family, const std::string& text, bool is_trial = false) const;
  /// What is ours in one family.
  Result<Tables> save(Family family) const;

 private:
  Result<std::string> call(const std::vector<std::string>& arguments, const std::string& input,
                           const Environment& environment = {}) const;
  std::string hint(const std::string& said) const;

  Variant variant_;
  Runner run_;
  std::chrono::seconds lock_wait_;
};

}  // namespace weir::xtables
