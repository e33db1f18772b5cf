// SPDX-License-Identifier: Apache-2.0
// The six operations: a request and a node in, an answer out.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "cni-plugin/log_entry.h"
#include "cni-plugin/node.h"
#include "cni-plugin/request.h"

namespace weir::cni {

struct Answer {
  int exit_code = 0;
  std::string out;  ///< one JSON document; "" where the specification returns nothing
  LogEntry entry;
  std::string log = "auto";  ///< where the entry goes, from which level on
  log::Level log_level = log::Level::info;
};

/// `fresh_trace` is used if the environment names none.
Answer serve(const std::map<std::string, std::string>& environment, std::string_view input, Node& node,
             const std::string& fresh_trace);

/// The answer where `serve` could not be called or did not come to an end; `input` as far as it was read.
Answer failed(const std::map<std::string, std::string>& environment, std::string_view input, const Failure& failure,
              const std::string& fresh_trace);

}  // namespace weir::cni
