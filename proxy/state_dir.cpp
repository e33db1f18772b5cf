// SPDX-License-Identifier: Apache-2.0
#include "proxy/state_dir.h"

namespace weir::proxy {

namespace {

constexpr std::string_view kFile = "last-good.xds";

}  // namespace

Result<StateDir> StateDir::open(std::string path) {
  auto dir = kernel::StateDir::open(std::move(path));
  if (!dir) return pass(dir.error());
  return StateDir(std::move(*dir));
}

std::string StateDir::file() const { return dir_.file(kFile); }

Result<std::optional<xds::StoredSet>> StateDir::load(const std::string& node_id) const {
  auto bytes = dir_.load(kFile);
  if (!bytes) return pass(bytes.error());
  if (!*bytes) return std::nullopt;
  auto set = xds::decode(**bytes);
  if (!set) return pass(set.error(), file());
  if (set->node_id != node_id) return fail(ErrorCode::environment, "{} is of node {}, this is {}", file(), set->node_id, node_id);
  return std::optional(std::move(*set));
}

Result<> StateDir::save(const xds::StoredSet& set) const { return dir_.save(kFile, xds::encode(set)); }

}  // namespace weir::proxy
