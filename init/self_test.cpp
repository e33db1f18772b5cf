// SPDX-License-Identifier: Apache-2.0
#include "init/self_test.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "init/explain.h"
#include "init/json_text.h"
#include "init/probe_packets.h"

namespace weir::init {

namespace {

using capture::Packet;

bool meets_any(const std::vector<std::string>& met, const std::vector<std::string>& wanted) {
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const std::string& rule) { return std::find(met.begin(), met.end(), rule) != met.end(); });
}

class Tester {
 public:
  Tester(const Wanted& wanted, const capture::Redirector& backend, Prober& prober)
      : wanted_(wanted), backend_(backend), prober_(prober) {}

  Result<SelfTest> run(const std::vector<IpAddr>& own) {
    Surroundings around;
    around.own = own;
    around.gate_is_closed = prober_.gate_is_closed();
    around.way_to = [this](const IpAddr& destination) -> std::optional<Way> {
      auto way = prober_.way_to(destination);
      return way ? std::optional(*way) : std::nullopt;
    };
    for (Family family : kBothFamilies) {
      auto packet = prober_.from_outside(family);
      if (packet)
        around.outside.push_back(to_own_address(*packet, own));
      else
        not_run(fmt::format("packets from outside by {}", to_text(family)), packet.error().to_text());
    }
    const Chosen chosen = choose_packets(wanted_.plan, around);
    for (const Row& row : chosen.rows) test(row);
    for (std::size_t step : chosen.unmet) not_run(step_text(step), "no packet that can be sent from here is decided by it");
    return std::move(result_);
  }

 private:
  /// Rather to an address that clients use; that of the probes' link, if there is none.
  static Packet to_own_address(Packet packet, const std::vector<IpAddr>& own) {
    const Family family = packet.destination.family();
    const auto link_local = Cidr::parse("fe80::/10");
    for (const IpAddr& address : own)
      if (address.family() == family && !address.is_loopback() && !link_local->contains(address) &&
          address != *IpAddr::parse(well_known::kInboundSource6)) {
        packet.destination = address;
        break;
      }
    return packet;
  }

  void not_run(std::string what, std::string why) { result_.not_run.push_back({std::move(what), std::move(why)}); }

  std::string step_text(std::size_t index) const {
    const capture::Step& step = wanted_.plan.steps[index];
    return fmt::format("{}: {}: {} ({})", capture::name(step.chain), capture::to_text(step.match), capture::verdict_text(step),
                       step.why);
  }

  void test(const Row& row) {
    const capture::Judgement judgement = capture::judge(wanted_.plan, row.packet);
    Tested tested{.row = row, .expected = outcome_text(judgement)};
    if (judgement.step != nullptr)
      tested.rules = backend_.rules_of(wanted_.plan, static_cast<std::size_t>(judgement.step - wanted_.plan.steps.data()),
                                       row.packet.destination.family());
    // Once more, since connection tracking may remember another connection of the same numbers.
    for (int attempt = 0; attempt < 2 && !tested.has_passed; ++attempt) {
      auto seen = prober_.probe(row.packet);
      if (!seen) {
        not_run(packet_text(row.packet), seen.error().to_text());
        return;
      }
      compare(judgement, *seen, tested);
    }
    result_.rows.push_back(std::move(tested));
  }

  static void compare(const capture::Judgement& judgement, const Seen& seen, Tested& tested) {
    tested.seen = seen.text;
    tested.failure.clear();
    const std::string by = tested.rules.empty() ? "" : fmt::format(" by the rule `{}`", tested.rules.front());
    const std::string met = seen.rules.empty() ? "it met no rule of weir" : fmt::format("it met: {}", join(seen.rules, " | "));
    if (seen.outcome != judgement.outcome || seen.port != judgement.port)
      tested.failure = fmt::format("it should be {}{}, but it was {}; {}", tested.expected, by, tested.seen, met);
    else if (!tested.rules.empty() && !meets_any(seen.rules, tested.rules))
      tested.failure = fmt::format("it was {} as it should, but not{}; {}", tested.seen, by, met);
    tested.has_passed = tested.failure.empty();
  }

  const Wanted& wanted_;
  const capture::Redirector& backend_;
  Prober& prober_;
  SelfTest result_;
};

std::size_t failures(const SelfTest& test) {
  return static_cast<std::size_t>(
      std::count_if(test.rows.begin(), test.rows.end(), [](const Tested& row) { return !row.has_passed; }));
}

}  // namespace

bool SelfTest::has_passed() const { return failures(*this) == 0; }

Result<SelfTest> self_test(const Wanted& wanted, const capture::Redirector& backend, Prober& prober,
                           const std::vector<IpAddr>& own_addresses) {
  return Tester(wanted, backend, prober).run(own_addresses);
}

std::string to_text(const SelfTest& test, const Wanted& wanted) {
  std::string text;
  for (const Tested& row : test.rows)
    if (!row.has_passed) text += fmt::format("FAILED {}: {}\n", packet_text(row.row.packet), row.failure);
  for (const NotRun& row : test.not_run) text += fmt::format("not run: {}: {}\n", row.what, row.why);
  return text + fmt::format("{} packets sent as flags ask ({}): {} fared as they should, {} did not; {} not run\n",
                            test.rows.size(), wanted.flags_text(), test.rows.size() - failures(test), failures(test),
                            test.not_run.size());
}

std::string to_json(const SelfTest& test, const Wanted& wanted) {
  std::string rows, not_run;
  for (const Tested& row : test.rows)
    rows +=
        fmt::format("{}\n  {{\"packet\": {}, \"expected\": {}, \"seen\": {}, \"rules\": {}, \"passed\": {}, \"failure\": {}}}",
                    rows.empty() ? "" : ",", json_quote(packet_text(row.row.packet)), json_quote(row.expected),
                    json_quote(row.seen), json_list(row.rules), row.has_passed ? "true" : "false", json_quote(row.failure));
  for (const NotRun& row : test.not_run)
    not_run +=
        fmt::format("{}\n  {{\"what\": {}, \"why\": {}}}", not_run.empty() ? "" : ",", json_quote(row.what), json_quote(row.why));
  return fmt::format("{{\"verb\": \"self-test\", \"flags\": {}, \"passed\": {}, \"rows\": [{}\n], \"not_run\": [{}\n]}}\n",
                     json_quote(capture::to_text(wanted.asked)), test.has_passed() ? "true" : "false", rows, not_run);
}

}  // namespace weir::init
