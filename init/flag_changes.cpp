// SPDX-License-Identifier: Apache-2.0
#include "init/flag_changes.h"

#include <fmt/format.h>

#include "init/explain.h"

namespace weir::init {

namespace {

using capture::AskedOptions;
using capture::Packet;

/// A value that names this packet, for a flag that concerns it.
struct Candidate {
  std::string_view option;
  std::string value;
};

std::vector<Candidate> candidates(const Packet& packet) {
  const std::string port = std::to_string(packet.port);
  const std::string host = Cidr(packet.destination, packet.destination.is_v4() ? 32 : 128).to_text();
  if (packet.from_outside)
    return {{"istio-local-exclude-ports", port},
            {"istio-inbound-ports", port},
            {"istio-inbound-ports", "*"},
            {"istio-exclude-interfaces", packet.interface},
            {"kube-virt-interfaces", packet.interface},
            {"drop-invalid", "true"}};
  return {{"istio-local-outbound-ports-exclude", port},
          {"istio-outbound-ports", port},
          {"istio-service-exclude-cidr", host},
          {"istio-service-cidr", host},
          {"istio-service-cidr", "*"},
          {"proxy-uid", std::to_string(packet.uid)},
          {"proxy-gid", std::to_string(packet.gid)},
          {"ISTIO_OUTBOUND_OWNER_GROUPS", std::to_string(packet.gid)},
          {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", std::to_string(packet.gid)},
          {"istio-exclude-interfaces", packet.interface},
          {"drop-invalid", "true"}};
}

std::string written(std::string_view option) {
  const bool is_variable = option.front() >= 'A' && option.front() <= 'Z';
  return is_variable ? std::string(option) : fmt::format("--{}", option);
}

/// A list gets one more; the proxy's default owner stays one.
std::string longer(const AskedOptions& asked, const Candidate& candidate) {
  auto there = asked.find(std::string(candidate.option));
  const bool is_owner = candidate.option == "proxy-uid" || candidate.option == "proxy-gid";
  std::string value = there != asked.end() ? there->second : is_owner ? std::to_string(well_known::kProxyUid) : "";
  if (value.empty() || value == "*" || candidate.value == "*" || candidate.value == "true") return candidate.value;
  return value + "," + candidate.value;
}

class Finder {
 public:
  Finder(const Packet& packet, const capture::Judgement& now, const capture::Accounts& accounts)
      : packet_(packet), now_(now), accounts_(accounts) {}

  void attempt(const AskedOptions& asked, const std::string& how) {
    const capture::ParseOutcome outcome = capture::parse_options(asked, accounts_);
    if (has_errors(outcome.problems)) return;
    const capture::CapturePlan plan = capture::plan(outcome.parsed.policy);
    const capture::Judgement other = capture::judge(plan, packet_);
    if (other.outcome == now_.outcome && other.port == now_.port) return;
    found_.push_back({how, outcome_text(other)});
  }
  std::vector<Change> take() && { return std::move(found_); }

 private:
  const Packet& packet_;
  const capture::Judgement& now_;
  const capture::Accounts& accounts_;
  std::vector<Change> found_;
};

}  // namespace

std::vector<Change> flag_changes(const AskedOptions& asked, const Packet& packet, const capture::Judgement& judgement,
                                 const capture::Accounts& accounts) {
  Finder finder(packet, judgement, accounts);
  for (const Candidate& candidate : candidates(packet)) {
    AskedOptions more = asked;
    const std::string value = longer(asked, candidate);
    more[std::string(candidate.option)] = value;
    finder.attempt(more, fmt::format("{}={}", written(candidate.option), value));
  }
  for (const auto& [option, value] : asked) {
    AskedOptions less = asked;
    less.erase(option);
    finder.attempt(less, fmt::format("no {}", written(option)));
  }
  return std::move(finder).take();
}

}  // namespace weir::init
