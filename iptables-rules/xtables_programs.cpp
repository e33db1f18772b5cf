// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_programs.h"

#include "base/text.h"
#include "iptables-rules/xtables_lock.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

constexpr Nanoseconds kLimit = std::chrono::seconds(20);
constexpr std::string_view kNoLockFile = "can't open lock file";

}  // namespace

std::string Programs::hint(const std::string& said) const {
  auto says = [&](std::string_view words) { return said.find(words) != std::string::npos; };
  if (says("xtables lock")) {
    const std::string file = lock_file(), holder = who_holds(file);
    return holder.empty() ? fmt::format(
                                "; who holds {} cannot be seen from here: look in whatever shares it, or use --backend=nft, "
                                "which takes no lock",
                                file)
                          : fmt::format("; {} holds {}", holder, file);
  }
  if (says("Permission denied") || says("you must be root"))
    return "; CAP_NET_ADMIN and CAP_NET_RAW are needed in this network namespace";
  if (says("recent") || says("hashlimit"))
    return "; --start-gate needs xt_recent, TPROXY xt_recent and xt_hashlimit: leave them out, or use --backend=nft";
  return "; a kernel option may be missing, see docs/kernel-support.md";
}

std::string_view name(Variant variant) { return variant == Variant::legacy ? "iptables-legacy" : "iptables-nft"; }

Runner limited_runner() {
  return [](const auto& arguments, const auto& input, const auto& environment) {
    return kernel::run(arguments, input, kLimit, environment);
  };
}

std::string Programs::name(Family family, std::string_view verb) const {
  return fmt::format("ip{}tables-{}-{}", family == Family::v4 ? "" : "6", variant_ == Variant::legacy ? "legacy" : "nft", verb);
}

/// Anything but success is an error that says what the program said.
Result<std::string> Programs::call(const std::vector<std::string>& arguments, const std::string& input,
                                   const Environment& environment) const {
  auto output = run_(arguments, input, environment);
  if (!output) {
    if (output.error().sys_errno() == ENOENT)
      return fail(ErrorCode::environment, "{}; the package iptables has it", output.error().message());
    return pass(output.error());
  }
  if (output->exit_code == 0) return std::move(output->out);
  const std::string said = printable(trim(output->err), 600);
  if (output->exit_code > 128)  // as kernel::ChildEnd has it
    return fail(ErrorCode::environment, "{} was killed by signal {}{}", join(arguments, " "), output->exit_code - 128,
                said.empty() ? "" : ": " + said);
  return fail(ErrorCode::environment, "{} ended with {}: {}{}", join(arguments, " "), output->exit_code, said, hint(said));
}

Result<> Programs::restore(Family family, const std::string& text, bool is_trial) const {
  std::vector<std::string> arguments = {name(family, "restore"), "--noflush", "--wait", std::to_string(lock_wait_.count())};
  if (is_trial) arguments.emplace_back("--test");
  auto done = call(arguments, text);
  if (!done && done.error().message().find(kNoLockFile) != std::string::npos)
    done = call(arguments, text, {{"XTABLES_LOCKFILE", std::string(kNamespaceLock)}});
  if (!done) return pass(done.error());
  return {};
}

Result<Tables> Programs::save(Family family) const {
  auto text = call({name(family, "save")}, "");
  if (!text) return pass(text.error());
  auto tables = read_save(*text);
  if (!tables) return pass(tables.error(), fmt::format("{}, {}", xtables::name(variant_), to_text(family)));
  return tables;
}

}  // namespace weir::xtables
