// SPDX-License-Identifier: Apache-2.0
#include "init/enrolment.h"

#include "base/text.h"
#include "iptables-rules/nft_redirector.h"

namespace weir::init {

std::span<const Backend> backends() {
  static constexpr Backend kBackends[] = {{"nft", "nftables, by netlink", [](const BackendOptions& options) {
                                             return nft::make_nft_redirector(kernel::open_netlink(), {.force = options.force});
                                           }}};
  return kBackends;
}

Result<capture::Applied> enrol(capture::Redirector& backend, const capture::CapturePlan& plan) {
  if (auto probed = backend.probe(); !probed) return pass(probed.error());
  auto applied = backend.apply(plan);  // undoes itself
  if (!applied) return applied;
  auto drift = backend.check(plan);
  if (drift && drift->empty()) return applied;
  ErrorList errors;
  errors.add(drift ? Error(ErrorCode::check_failed,
                           fmt::format("what was programmed is not what the kernel shows: {}", join(drift->differences, "; ")))
                   : drift.error());
  if (auto undone = backend.undo(); !undone)
    errors.add(Error(undone.error()).within("taking that back, so that a part of it may stand"));
  return pass(errors.to_result().error());
}

}  // namespace weir::init
