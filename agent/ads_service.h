// SPDX-License-Identifier: Apache-2.0
// Serves ADS to proxies: sockets on one side, xds::AdsServerStream on the other.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "agent/rule_digest.h"
#include "agent/translate.h"
#include "base/ip.h"
#include "base/result.h"
#include "io/executor.h"
#include "xds/ads_server.h"
#include "xds/snapshot.h"

namespace weir::agent {

/// One proxy as the agent sees it: raw material of proxy-status.
struct ProxyStatus {
  xds::NodeIdentity node;
  std::string peer;  ///< "10.0.0.1:4711" or "unix"
  std::array<xds::TypeStatus, xds::kTypeCount> types;
  struct Rules {
    std::shared_ptr<const std::vector<RuleDigest>> wanted;  ///< of what the proxy is to have; null before there are rules
    std::shared_ptr<const std::vector<RuleDigest>> acked;   ///< of what it accepted last; null: nothing yet
  };
  std::array<Rules, xds::kTypeCount> rules;
  xds::SnapshotPtr snapshot;  ///< what it is to have; null before there are rules
};

/// All on the executor's thread. Slow or rude clients cost bounded memory: see xds::AdsServerStream; a connection that does not
/// take its bytes for a minute is closed; at most 10,000 connections.
class AdsService {
 public:
  AdsService(io::Executor& executor, std::string control_plane);
  ~AdsService();

  /// Errors (environment) guess the cause: another process listens there, no such directory …
  Result<> listen_unix(const std::string& path, mode_t mode);
  Result<> listen_tcp(const SocketAddr& address);
  /// The address of the last listen_tcp (port 0 lets the kernel choose).
  const SocketAddr& tcp_address() const;

  /// Translates anew for every connected proxy and pushes what differs. Later proxies get the same rules.
  void set_rules(std::shared_ptr<const mesh::Store> store, MeshSettings settings);
  std::vector<ProxyStatus> proxies() const;
  /// No new connections; the streams that live are ended (UNAVAILABLE), so that proxies look for another agent.
  void drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::agent
