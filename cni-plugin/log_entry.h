// SPDX-License-Identifier: Apache-2.0
// One structured line for each invocation.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "cni-plugin/request.h"

namespace weir::cni {

struct LogEntry {
  log::Level level = log::Level::info;
  std::string verb, network;
  Attachment attachment;
  std::string netns;
  Pod pod;
  /// enrolled, unchanged, skipped, removed, nothing-there, shared, captured, ready, collected, failed …
  std::string outcome;
  std::string reason, why;  ///< of a skip; why of an enrolment too
  std::string backend;
  std::vector<std::string> notes;
  int code = 0;                  ///< of a failure
  std::string message, details;  ///< of a failure
  std::string trace;
  std::chrono::system_clock::time_point time{};
  Nanoseconds took{};
};

/// JSON on one line; fields that are empty are left out. Nothing of CNI_ARGS, annotations or standard input but the pod's names.
/// Pure.
std::string to_json(const LogEntry& entry);

/// Writes it where `destination` (NetConfig::log) says, if the entry's level is `least` or more. Never waits for a reader.
Result<> write_log(const LogEntry& entry, const std::string& destination, log::Level least);

}  // namespace weir::cni
