// SPDX-License-Identifier: Apache-2.0
// The server's side of one ADS stream, state of the world, as a state machine. No socket, no clock.
//
// At most one response of a type is unanswered at any time: a slow client is never queued for, the newest snapshot wins. A type
// waits until the types before it (CDS, EDS, LDS, RDS) are answered, and clusters that go are kept in CDS until routes that no
// longer name them are there (make before break).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "xds/node.h"
#include "xds/resource.h"
#include "xds/snapshot.h"

namespace weir::xds {

/// What a client has answered for one type: the raw material of proxy-status.
struct TypeStatus {
  bool subscribed = false;
  std::string sent_version, acked_version;
  std::string nacked_version, nack_message;  ///< of the last refusal; cleared by the next ACK
  std::uint64_t sent = 0, acked = 0, nacked = 0;
};

class AdsServerStream {
 public:
  struct Options {
    std::string control_plane;          ///< identifier in each response
    std::size_t max_names = 50'000;     ///< that a client may subscribe to
    std::size_t max_name_bytes = 4096;  ///< each
    Milliseconds subscribe_grace{300};  ///< how long LDS and RDS wait for a client to ask for the endpoints of new clusters
  };
  explicit AdsServerStream(Options options);
  ~AdsServerStream();

  /// One message of the client. Errors (protocol) mean: finish the stream with INVALID_ARGUMENT and their text.
  Result<> on_request(std::string_view message, TimePoint now);
  /// Known after the first request.
  const std::optional<NodeIdentity>& node() const;
  /// What the client is to have from now on.
  void set_snapshot(SnapshotPtr snapshot, TimePoint now);
  /// Serialised DiscoveryResponses to send, in order. Ask after each event.
  std::vector<std::string> take_responses();
  /// Call on_time() then; nullopt: nothing to wait for.
  std::optional<TimePoint> deadline() const;
  void on_time(TimePoint now);

  const TypeStatus& status(ResourceType type) const;
  /// Things worth a line in the log since the last call: NACKs, odd requests.
  std::vector<std::string> take_notes();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::xds
