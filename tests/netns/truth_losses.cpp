// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/truth_losses.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>

#include "base/text.h"
#include "iptables-rules/xtables_counters.h"
#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_save.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  for (std::string_view line : split(text, '\n'))
    if (!line.empty()) found.emplace_back(line);
  return found;
}

}  // namespace

bool is_whole() { return std::getenv("WEIR_TRUTH") != nullptr; }
std::string variant() { return kind() == Kind::iptables_legacy ? "legacy" : "nft"; }

std::vector<Loss> losses() {
  std::vector<Loss> found;
  if (kind() == Kind::nft) {
    std::string chain;
    for (const std::string& line : lines(shell("nft -a list table inet weir"))) {
      const auto words = split(trim(line), ' ');
      if (words[0] == "chain") chain = words[1];
      if (line.find(" comment ") == line.npos || words[0] == "chain" || words[0] == "table") continue;
      const std::string text(trim(line).substr(0, trim(line).find(" # handle")));
      const bool is_v4 =
          text.find("nfproto ipv4") != text.npos || text.find("ip daddr") != text.npos || text.find("ip saddr") != text.npos;
      const bool is_v6 =
          text.find("nfproto ipv6") != text.npos || text.find("ip6 daddr") != text.npos || text.find("ip6 saddr") != text.npos;
      found.push_back({fmt::format("nft delete rule inet weir {} handle {}", chain, words.back()),
                       fmt::format("{} {}", chain, text),
                       is_v4 == is_v6 ? std::nullopt : std::optional(is_v4 ? Family::v4 : Family::v6)});
    }
    return found;
  }
  for (Family family : kBothFamilies) {
    const std::string program =
        xtables::program_of(kind() == Kind::iptables_nft ? xtables::Variant::nft : xtables::Variant::legacy, family);
    std::string table;
    std::map<std::string, int> numbers;
    for (const std::string& line : lines(shell(program + "-save"))) {
      if (line.starts_with("*")) table = line.substr(1);
      if (!line.starts_with("-A ")) continue;
      const std::string chain(split(line, ' ')[1]);
      const int number = ++numbers[table + chain];
      if (line.find("WEIR_") != line.npos)
        found.push_back(
            {fmt::format("{} -w -t {} -D {} {}", program, table, chain, number), fmt::format("-t {} {}", table, line), family});
    }
  }
  return found;
}

std::string dump() {
  if (kind() == Kind::nft) return shell("nft -s list ruleset");
  return shell(fmt::format("for p in iptables-{0} ip6tables-{0}; do $p-save | sed 's/\\[[0-9:]*\\]//; /^#/d'; done", variant()));
}

namespace {

bool is_other(const capture::Judgement& one, const capture::Judgement& other) {
  const auto text = [](const capture::Step* step) {
    return step == nullptr ? "" : fmt::format("{} {}", capture::to_text(step->match), step->why);
  };
  return one.outcome != other.outcome || one.port != other.port || text(one.step) != text(other.step) ||
         text(one.target) != text(other.target);
}

/// The steps that a rule stands for; all of a chain for a jump to it.
std::vector<std::size_t> steps_of(const Standing& standing, const Loss& loss) {
  const capture::CapturePlan& plan = standing.wanted().plan;
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    std::string chain(capture::name(plan.steps[i].chain));
    const std::string comment = fmt::format("\"{}\"", plan.steps[i].why);
    if (kind() != Kind::nft)
      std::transform(chain.begin(), chain.end(), chain.begin(), [](unsigned char c) { return std::toupper(c); });
    const auto rules = standing.backend().rules_of(plan, i, loss.family.value_or(Family::v4));
    const bool is_jump = loss.rule.ends_with("-j WEIR_" + chain);
    const bool is_rule =
        kind() == Kind::nft
            ? loss.rule.starts_with(chain + " ") && loss.rule.find(comment) != loss.rule.npos
            : std::any_of(rules.begin(), rules.end(), [&](const std::string& rule) {
                const auto words = xtables::words(loss.rule);
                const std::string prefix = fmt::format(
                    "{} -t {} -A {} ",
                    xtables::program_of(kind() == Kind::iptables_nft ? xtables::Variant::nft : xtables::Variant::legacy,
                                        *loss.family),
                    words[1], words[3]);
                return rule.starts_with(prefix) && xtables::canonical(rule.substr(prefix.size())) ==
                                                       xtables::canonical(std::string_view(loss.rule).substr(
                                                           fmt::format("-t {} -A {} ", words[1], words[3]).size()));
              });
    if (is_jump || is_rule) found.push_back(i);
  }
  return found;
}

}  // namespace

bool must_show(const Standing& standing, const Loss& loss, const std::vector<capture::Packet>& packets) {
  const capture::CapturePlan& plan = standing.wanted().plan;
  capture::CapturePlan without = plan;
  const std::vector<std::size_t> steps = steps_of(standing, loss);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(*step));
  return std::any_of(packets.begin(), packets.end(), [&](const capture::Packet& packet) {
    return loss.family.value_or(packet.destination.family()) == packet.destination.family() &&
           is_other(capture::judge(plan, packet), capture::judge(without, packet));
  });
}

}  // namespace weir::conformance
