// SPDX-License-Identifier: Apache-2.0
// One call that explain is asked about.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "ctl/command.h"

namespace weir::ctl {

struct Question {
  enum class Protocol : std::uint8_t { http, tcp, tls } protocol = Protocol::http;
  std::string from;  ///< "client.default"; "" only where a dump says who asks
  std::uint32_t uid = 1000;
  std::string host;
  Port port = 0;
  std::optional<Family> family;
  std::string server_name;
  std::string method = "GET";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
};

/// From explain's flags; everything wrong at once.
Question read_question(const Arguments& arguments, std::vector<Problem>& problems);
/// From a line of JSON; what it does not say is as in `defaults`. `where` is the file and line.
Question read_question(std::string_view json, const Question& defaults, const SourceRef& where, std::vector<Problem>& problems);

}  // namespace weir::ctl
