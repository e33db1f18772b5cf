// SPDX-License-Identifier: Apache-2.0
// The client's side of ADS, state of the world, as a state machine: bytes and time in, bytes and decisions out. No socket, no
// clock. The owner opens the stream, moves messages, and keeps the timer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"
#include "base/result.h"
#include "xds/resource.h"
#include "xds/resource_store.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace weir::xds {

/// What a resource became in the consumer's hands.
struct Compiled {
  std::shared_ptr<const void> value;  ///< the consumer's own; handed back in publish()
  /// Cluster: the EDS name it waits for (none if not EDS). Listener: the RDS names it waits for.
  std::vector<std::string> needs;
  Milliseconds fetch_timeout{15'000};  ///< initial_fetch_timeout: how long to wait for `needs`; 0 = for ever
};

/// One accepted version of a resource. Immutable.
struct Accepted {
  ResourcePtr resource;
  std::string version;  ///< version_info of the response that brought it
  TimePoint updated;
  std::shared_ptr<const void> compiled;
  std::vector<std::string> needs;
};
using AcceptedMap = std::map<std::string, std::shared_ptr<const Accepted>, std::less<>>;

/// What serves now: warm resources only, for each type.
struct ActiveSet {
  std::array<AcceptedMap, kTypeCount> types;
  const AcceptedMap& of(ResourceType type) const { return types[index(type)]; }
};

/// The consumer. Called on the thread that calls the AdsClient, from within its methods.
class ResourceSink {
 public:
  virtual ~ResourceSink() = default;
  /// Validates and compiles one resource without making it effective. Problems with severity error refuse it (the older version
  /// stays, the response is NACKed with their text); warnings are the consumer's to log. The value is ignored if refused.
  virtual Compiled compile(ResourceType type, const google::protobuf::Message& message, std::vector<Problem>& problems) = 0;
  /// What serves has changed in the types that are true in `changed`. At most once for each event that the client is told.
  virtual void publish(const ActiveSet& active, const std::array<bool, kTypeCount>& changed) = 0;
};

/// For config_dump and proxy-status.
struct ResourceState {
  std::string name;
  std::shared_ptr<const Accepted> active, warming;  ///< either may be null
  std::string rejected_version, rejected_why;       ///< of the last refused version; empty once a newer one was accepted
  TimePoint rejected_at;
};

class AdsClient {
 public:
  struct Options {
    Milliseconds first_backoff{500}, max_backoff{30'000};
    std::size_t max_resources = 100'000;  ///< of one type in one response
  };
  /// `random` gives numbers in [0, 1) for the jitter of reconnects. The sink must outlive the client.
  AdsClient(const envoy::config::core::v3::Node& node, Options options, ResourceSink& sink, std::function<double()> random);
  ~AdsClient();

  /// Starts with what an earlier life had accepted: active at once, without warming; the sink may refuse single ones. Call before
  /// the first stream. Returns how many were taken.
  std::size_t load(const StoredSet& last_good, TimePoint now);
  /// What is active now, to be stored.
  StoredSet stored() const;

  /// The stream stands: requests are ready in take_requests().
  void on_open(TimePoint now);
  /// One message of the stream. An error (protocol: not a DiscoveryResponse) means: cancel the stream, then on_closed().
  Result<> on_message(std::string_view message, TimePoint now);
  /// The stream or the attempt to open it ended: nothing that serves changes. reconnect_at() is set.
  void on_closed(TimePoint now);
  /// Serialised DiscoveryRequests to send, in order. Ask after each event.
  std::vector<std::string> take_requests();
  /// Call on_time() then; nullopt: nothing to wait for.
  std::optional<TimePoint> deadline() const;
  void on_time(TimePoint now);

  bool is_open() const;
  /// When to try again after on_closed(): 500 ms doubling to 30 s, of each the upper half at random; at once after a stream that
  /// brought something and lived 5 s.
  TimePoint reconnect_at() const;
  /// CDS and LDS were accepted and are warm, or a last good set was loaded. Stays true.
  bool is_ready() const;
  /// Last accepted version_info of the type, "" before.
  const std::string& version(ResourceType type) const;
  /// For each resource that is active, warming or refused, by name.
  std::vector<ResourceState> states(ResourceType type) const;
  const ActiveSet& active() const;
  /// What went wrong since the last call, each worth a line in the log: refusals, the sink's warnings, odd answers.
  std::vector<Problem> take_notes();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::xds
