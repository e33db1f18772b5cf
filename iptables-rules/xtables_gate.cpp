// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_gate.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"
#include "base/unique_fd.h"

namespace weir::xtables {

namespace {

/// A mask that makes every address the same, so that one entry stands for all packets of a family.
std::string_view zero(Family family) { return family == Family::v4 ? "0.0.0.0" : "::"; }

Error refused(int error, std::string_view doing, const std::string& file) {
  const bool is_gate = file.ends_with(kGateList);
  std::string why = errno_text(error);
  if (error == ENOENT)
    why = "no such list, though rules name it; is /proc of this network namespace mounted?";
  else if (error == EACCES || error == EPERM)
    why += "; it belongs to the machine's root, who is nobody in a user namespace";
  else if (error == EROFS)
    why += "; /proc is mounted read-only";
  return {ErrorCode::environment,
          fmt::format("{} by {}: {}; leave out {}, or use --backend=nft",
                      is_gate ? fmt::format("{} the start gate", doing) : "noting whether the proxy lives", file, why,
                      is_gate ? "--start-gate" : "--when-proxy-down=open"),
          error};
}

std::int64_t seconds(Nanoseconds limit) {
  return std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(limit).count());
}

}  // namespace

std::string gate_holds(Family family, Nanoseconds limit) {
  return fmt::format("-m recent --rcheck --seconds {} --name {} --mask {} --rsource", seconds(limit), kGateList, zero(family));
}

std::string gate_opens(Family family) {
  return fmt::format("-m recent --remove --name {} --mask {} --rsource", kGateList, zero(family));
}

std::string proxy_lives(Family family) {
  return fmt::format("-m recent --set --name {} --mask {} --rsource", kAliveList, zero(family));
}

std::string proxy_is_down(Family family, Nanoseconds open_after) {
  return fmt::format("-m recent ! --rcheck --seconds {} --name {} --mask {} --rsource", seconds(open_after), kAliveList,
                     zero(family));
}

Gate read_gate(std::string_view text) {
  Gate gate;
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with("src=")) continue;
    const auto address = IpAddr::parse(std::string(line.substr(4, line.find(' ') - 4)));
    if (!address) continue;
    (address->is_v4() ? gate.v4 : gate.v6) = true;
  }
  return gate;
}

Result<Gate> GateList::read() const {
  const UniqueFd file(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return Gate{};
  if (!file) return pass(refused(errno, "reading", file_));
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
    if (size < 0) return pass(refused(errno, "reading", file_));
    if (size == 0) return read_gate(text);
    text.append(buffer, static_cast<std::size_t>(size));
  }
}

Result<> GateList::write(const Gate& now, const Gate& wanted) const {
  for (Family family : kBothFamilies) {
    if (now.of(family) == wanted.of(family)) continue;
    // The file takes one order each time it is opened.
    const UniqueFd file(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (!file && errno == ENOENT && wanted == Gate{}) return {};
    if (!file) return pass(refused(errno, "closing", file_));
    const std::string order = fmt::format("{}{}\n", wanted.of(family) ? '+' : '-', zero(family));
    if (::write(file.get(), order.data(), order.size()) < 0) return pass(refused(errno, "closing", file_));
  }
  return {};
}

Result<> GateList::make(const Gate& wanted) const {
  auto now = read();
  if (!now) return pass(now.error());
  return *now == wanted ? Result<>{} : write(*now, wanted);
}

}  // namespace weir::xtables
