// SPDX-License-Identifier: Apache-2.0
#include "init/validation.h"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <unistd.h>
#include <vector>

#include "base/well_known.h"
#include "kernel/socket.h"

namespace weir::init {

namespace {

using Clock = std::chrono::steady_clock;

/// One family's listeners and its dial.
class Validator {
 public:
  Validator(const Validation& validation, Family family)
      : validation_(validation),
        family_(family),
        probe_{*IpAddr::parse(family == Family::v4 ? well_known::kInboundSource4 : well_known::kInboundSource6),
               validation.probe_port} {}

  Result<> run(Clock::time_point deadline) {
    for (Port port : {validation_.inbound_port, validation_.outbound_port}) {
      auto listener = kernel::listen_tcp({IpAddr::loopback(family_), port}, 16, true);
      if (!listener)
        return fail(ErrorCode::environment, "--run-validation must listen in the proxy's stead: {}", listener.error().to_text());
      listeners_.push_back(std::move(*listener));
    }
    do {
      const auto again = std::min(deadline, Clock::now() + std::chrono::seconds(1));
      dial();
      while (Clock::now() < again)
        if (wait(again) && has_arrived()) return {};
    } while (Clock::now() < deadline);
    return fail(
        ErrorCode::check_failed,
        "a connection from {} to {} by uid {} was not redirected to port {} ({}); apply the rules first, and run this as the "
        "proxy's uid (--proxy-uid), not as root",
        IpAddr::loopback(family_).to_text(), probe_.to_text(), ::getuid(), validation_.inbound_port, what_happened_);
  }

 private:
  void dial() {
    connection_.reset();
    // Without its address on lo, ::6 would be looked for in other machines.
    if (!kernel::is_local_address(probe_.ip)) {
      what_happened_ = fmt::format("{} is not an address of this network namespace", probe_.ip.to_text());
      return;
    }
    what_happened_ = "no answer";
    auto started = kernel::connect_tcp(probe_, {.source = IpAddr::loopback(family_)});
    if (started)
      connection_ = std::move(*started);
    else
      what_happened_ = errno_text(started.error().sys_errno());
  }

  /// True if something came to a listener.
  bool wait(Clock::time_point until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd items[] = {{listeners_[0].get(), POLLIN, 0}, {listeners_[1].get(), POLLIN, 0}, {connection_.get(), POLLOUT, 0}};
    if (::poll(items, 3, static_cast<int>(std::max<std::int64_t>(left, 0))) <= 0) return false;
    if (items[2].revents != 0) {
      if (int error = kernel::connect_error(connection_.ref()); error != 0) {
        what_happened_ = errno_text(error);
        connection_.reset();  // poll leaves it out from now on
      } else if ((items[0].revents | items[1].revents) == 0) {
        what_happened_ = "another process answered";
        connection_.reset();
      }
    }
    return (items[0].revents | items[1].revents) != 0;
  }

  bool has_arrived() {
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      auto accepted = kernel::accept(listeners_[i].ref());
      if (!accepted || !*accepted) continue;
      auto original = kernel::original_dst((*accepted)->fd.ref());
      const bool is_probe = original && original->port == validation_.probe_port;
      if (is_probe && i == 0) return true;
      if (is_probe) what_happened_ = fmt::format("it came to the outbound port {}", validation_.outbound_port);
    }
    return false;
  }

  const Validation& validation_;
  Family family_;
  SocketAddr probe_;
  std::vector<UniqueFd> listeners_;  // inbound, outbound
  UniqueFd connection_;
  std::string what_happened_;
};

}  // namespace

Result<> validate_redirection(const Validation& validation) {
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(validation.limit);
  for (Family family : kBothFamilies) {
    if (family == Family::v6 && !validation.needs_v6) continue;
    if (auto valid = Validator(validation, family).run(deadline); !valid) return valid;
  }
  return {};
}

}  // namespace weir::init
