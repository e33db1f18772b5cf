// SPDX-License-Identifier: Apache-2.0
// weir-init's command line: istio-iptables' flags, by capture's option table.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "capture/asked.h"
#include "capture/options.h"

namespace weir::init {

enum class Verb { apply, remove, check, explain, self_test, watch, help, version, man, completion };

/// Whose packet `explain` judges.
struct Question {
  bool from_outside = false;
  std::string interface;  ///< "": lo if the destination is in the sandbox, else eth0
  std::uint32_t uid = 1000, gid = 1000;
  SocketAddr to;
  std::optional<IpAddr> source;
  bool is_udp = false;
  bool gate_is_closed = false;
  bool proxy_is_down = false;
  bool to_excluded_domain = false;
  std::uint32_t mark = 0;                 ///< SO_MARK
  std::string cgroup;                     ///< the sender's, below the hierarchy's root
  bool is_stray = false;                  ///< of a connection that connection tracking does not know
  bool traces = false;                    ///< send it, and see
  std::vector<IpAddr> sandbox_addresses;  ///< empty: ask the network namespace
};

struct CommandLine {
  Verb verb = Verb::apply;
  bool wants_json = false;
  bool is_live = false;  ///< no connection that exists may suffer
  bool waits = false;    ///< remove --live returns once the drain has ended
  Nanoseconds drain_timeout = std::chrono::hours(1);
  bool repairs = false;  ///< check --repair
  capture::Parsed capture;
  capture::AskedOptions asked;  ///< the flags and variables that make the policy; empty: it is the default one
  Question question;
  std::vector<Problem> problems;
};

/// `arguments` without the program's name. All problems at once; with errors nothing else counts.
CommandLine parse_command_line(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment,
                               const capture::Accounts& accounts);

std::string help_text();
std::string man_page();
std::string bash_completion();

}  // namespace weir::init
