// SPDX-License-Identifier: Apache-2.0
// Words of the CNI specification: operations, versions, error codes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace weir::cni {

enum class Verb : std::uint8_t { add, check, del, status, gc, version };
std::string_view name(Verb verb);
std::optional<Verb> verb_of(std::string_view name);

/// Ascending.
std::span<const std::string_view> supported_versions();
/// What is spoken where nobody says otherwise.
inline constexpr std::string_view kNewestVersion = "1.1.0";
/// A configuration without cniVersion.
inline constexpr std::string_view kOldestVersion = "0.1.0";
bool is_supported(std::string_view version);
/// Both must be supported ones.
bool is_at_least(std::string_view version, std::string_view least);
/// The first version that has the operation.
std::string_view first_version_with(Verb verb);

/// Up to 99 the specification's (8: libcni's), from 100 ours.
enum class Code : int {
  incompatible_version = 1,
  bad_environment = 4,
  io = 5,
  decoding = 6,
  bad_config = 7,
  bad_netns = 8,
  try_again = 11,
  not_available = 50,
  drift = 100,         ///< CHECK: the sandbox is not captured as it was enrolled
  unable = 101,        ///< the node lacks something: a capability, a part of the kernel
  not_enrolled = 102,  ///< enrolment failed and was taken back
  not_removed = 103,   ///< DEL could not take the rules away
  conflict = 104,      ///< the sandbox is enrolled otherwise by another network
};

/// What is answered instead of success.
struct Failure {
  Code code = Code::bad_config;
  std::string message;  ///< short; for `bad_environment` it names the variables
  std::string details;  ///< all that is wrong; "" if the message says it
};
template <class T = void>
using Outcome = tl::expected<T, Failure>;

}  // namespace weir::cni
