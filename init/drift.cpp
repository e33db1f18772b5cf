// SPDX-License-Identifier: Apache-2.0
#include "init/drift.h"

#include "init/enrolment.h"
#include "init/json_text.h"

namespace weir::init {

namespace {

/// A difference that is no more: without what would mend it.
std::string mended(const std::string& difference) { return difference.substr(0, difference.find("; check --repair")); }

}  // namespace

Result<Checked> check(capture::Redirector& backend, const capture::CapturePlan& plan) {
  auto drift = backend.check(plan);
  if (!drift) return pass(drift.error());
  auto foreign = backend.foreign();
  if (!foreign) return pass(foreign.error());
  return Checked{.mended = {}, .differences = std::move(drift->differences), .foreign = std::move(*foreign)};
}

Result<Checked> repair(const Machine& machine, capture::Redirector& backend, const capture::CapturePlan& plan) {
  const auto lock = machine.lock();
  auto before = check(backend, plan);
  if (!before || before->differences.empty()) return before;
  auto applied = enrol(backend, plan);
  if (!applied) return pass(applied.error(), "repairing");
  auto after = check(backend, plan);
  if (!after) return after;
  for (const std::string& difference : before->differences) after->mended.push_back(mended(difference));
  return after;
}

std::string to_text(const Checked& checked, const Wanted& wanted, bool is_repair) {
  std::string text;
  for (const std::string& sentence : checked.mended) text += fmt::format("mended: {}\n", sentence);
  for (const std::string& sentence : checked.differences) text += fmt::format("{}\n", sentence);
  for (const std::string& sentence : checked.foreign) text += fmt::format("{}\n", sentence);
  if (is_repair && checked.mended.empty() && checked.differences.empty()) text += "nothing to mend\n";
  if (checked.differences.empty())
    text += fmt::format("the rules are what these flags ask ({}): {}\n", wanted.where_from(), wanted.flags_text());
  return text;
}

std::string to_json(const Checked& checked, const Wanted& wanted, bool is_repair) {
  std::string text = fmt::format("{{\"verb\": \"check\", \"differences\": {}, \"foreign\": {}", json_list(checked.differences),
                                 json_list(checked.foreign));
  if (is_repair) text += fmt::format(", \"mended\": {}", json_list(checked.mended));
  return text + fmt::format(", \"flags\": {}, \"flags_are\": {}}}\n", json_quote(capture::to_text(wanted.asked)),
                            json_quote(wanted.where_from()));
}

}  // namespace weir::init
