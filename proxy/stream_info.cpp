// SPDX-License-Identifier: Apache-2.0
#include "proxy/stream_info.h"

#include <array>
#include <bit>

namespace weir::proxy {

namespace {

// In the order of the enumeration's bits.
constexpr std::array<std::string_view, 25> kShortNames = {"DC",  "LH",    "UH", "UT", "LR", "UR",   "URX", "UF", "UC",
                                                          "UO",  "NR",    "DI", "FI", "RL", "UAEX", "SI",  "IH", "DPE",
                                                          "UPE", "UMSDR", "DT", "NC", "OM", "DF",   "DO"};

constexpr int kOrderBits = 5;
constexpr std::uint64_t kOrderMask = (1U << kOrderBits) - 1;

}  // namespace

std::string_view short_name(ResponseFlag flag) {
  for (std::size_t bit = 0; bit < kShortNames.size(); ++bit) {
    if (static_cast<std::uint32_t>(flag) == 1U << bit) return kShortNames[bit];
  }
  return "?";
}

void ResponseFlags::add(ResponseFlag flag) {
  if (has(flag)) return;
  auto number = static_cast<std::uint64_t>(std::countr_zero(static_cast<std::uint32_t>(flag))) + 1;
  int place = std::popcount(bits_) * kOrderBits;
  if (place <= 64 - kOrderBits) order_ |= number << place;
  bits_ |= static_cast<std::uint32_t>(flag);
}

void ResponseFlags::append_to(std::string& out) const {
  if (bits_ == 0) out += '-';
  for (std::uint64_t rest = order_; rest != 0; rest >>= kOrderBits) {
    if (rest != order_) out += ',';
    out += kShortNames[(rest & kOrderMask) - 1];
  }
}

void StreamInfo::clear() {
  std::string details = std::move(code_details), termination = std::move(connection_termination_details),
              reason = std::move(upstream_transport_failure_reason);
  *this = StreamInfo{};
  details.clear();
  termination.clear();
  reason.clear();
  code_details = std::move(details);  // the capacity stays
  connection_termination_details = std::move(termination);
  upstream_transport_failure_reason = std::move(reason);
}

}  // namespace weir::proxy
