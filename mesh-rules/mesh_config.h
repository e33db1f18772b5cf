// SPDX-License-Identifier: Apache-2.0
// The part of Istio's MeshConfig that we act on.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "base/problem.h"

namespace weir::mesh {

struct MeshConfig {
  enum class OutboundPolicy : std::uint8_t { allow_any, registry_only } outbound = OutboundPolicy::allow_any;
  enum class LogEncoding : std::uint8_t { text, json } log_encoding = LogEncoding::text;
  std::string access_log_file;    ///< "" = off
  std::string access_log_format;  ///< "" = the default; text, or a flat JSON object if the encoding is json
  Nanoseconds connect_timeout = std::chrono::seconds(10);
};

struct ParsedMeshConfig {
  MeshConfig config;  ///< meaningful only if no problem is an error
  std::vector<Problem> problems;
};

/// Reads the YAML of a MeshConfig (bare, or a ConfigMap's `data.mesh` is not unwrapped). Unknown fields are errors, fields that
/// Istio knows and we do not act on are warnings. An empty text is the default.
ParsedMeshConfig parse_mesh_config(std::string_view file, std::string_view text);

}  // namespace weir::mesh
