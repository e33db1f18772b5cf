// SPDX-License-Identifier: Apache-2.0
// Both ends of ADS against a peer that says anything at any time. Input: records of one byte (what happens), one byte (length)
// and that many bytes.
#include <set>

#include "xds/ads_client.h"
#include "xds/ads_server.h"
#include "xds/proto/core.pb.h"
#include "xds/proto/discovery.pb.h"
#include "xds/resource_set.h"

#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::xds;
using namespace weir::fuzzing;

namespace {

/// Refuses every third resource; a cluster needs endpoints, a listener routes, of names that come from their bytes.
class Sink : public ResourceSink {
 public:
  Compiled compile(ResourceType type, const google::protobuf::Message& message, std::vector<Problem>& problems) override {
    Compiled compiled;
    std::size_t size = message.ByteSizeLong();
    if (size % 3 == 2) problems.push_back({Severity::error, {}, "fuzz", "", "refused", ""});
    if (is_wildcard(type)) compiled.needs.push_back(std::string(1, static_cast<char>('a' + size % 4)));
    return compiled;
  }
  /// What is served must hold together at every moment.
  void publish(const ActiveSet& active, const std::array<bool, kTypeCount>&) override {
    for (ResourceType type : kResourceTypes) {
      for (const auto& [name, accepted] : active.of(type)) {
        if (!accepted || accepted->resource->name != name) std::abort();
      }
    }
  }
};

SnapshotPtr snapshot(std::uint8_t seed, const SnapshotPtr& previous) {
  ResourceSet set;
  for (int i = 0; i < 4; ++i) {
    std::string name(1, static_cast<char>('a' + i));
    if ((seed >> i & 1) != 0) {
      set.clusters.emplace_back().set_name(name);
      set.endpoints.emplace_back().set_cluster_name(name);
    }
    if ((seed >> (i + 4) & 1) != 0) set.routes.emplace_back().set_name(name);
  }
  set.listeners.emplace_back().set_name("l" + std::to_string(seed % 3));
  return Snapshot::build(set, previous);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Sink sink;
  TimePoint now{std::chrono::hours(1)};
  envoy::config::core::v3::Node node;
  node.set_id("sidecar~10.0.0.1~a.b~c");
  AdsClient client(node, {}, sink, [] { return 0.5; });
  AdsServerStream server({});
  SnapshotPtr rules = snapshot(255, nullptr);
  client.on_open(now);
  std::string_view rest = text_of(data, size);
  while (rest.size() >= 2) {
    auto what = static_cast<std::uint8_t>(rest[0]);
    std::string_view bytes = rest.substr(2, static_cast<std::uint8_t>(rest[1]));
    rest.remove_prefix(2 + bytes.size());
    ResourceType type = kResourceTypes[what >> 6U];
    switch (what & 7U) {
      case 0: (void)client.on_message(bytes, now); break;
      case 1: {  // a well-formed answer with one resource
        envoy::service::discovery::v3::DiscoveryResponse response;
        response.set_type_url(std::string(type_url(type)));
        response.set_nonce("n");
        auto& any = *response.add_resources();
        any.set_type_url(response.type_url());
        any.set_value(std::string(bytes));
        (void)client.on_message(response.SerializeAsString(), now);
        break;
      }
      case 2: client.on_closed(now); break;
      case 3: client.on_open(now); break;
      case 4: (void)server.on_request(bytes, now); break;
      case 5: {  // a well-formed request
        envoy::service::discovery::v3::DiscoveryRequest request;
        *request.mutable_node() = node;
        request.set_type_url(std::string(type_url(type)));
        if ((what & 8U) != 0) request.set_response_nonce(std::to_string(what >> 4U & 3U));
        if ((what & 16U) != 0) request.mutable_error_detail()->set_message("no");
        for (char c : bytes.substr(0, 8)) request.add_resource_names(std::string(1, c));
        (void)server.on_request(request.SerializeAsString(), now);
        break;
      }
      case 6: server.set_snapshot(rules = snapshot(bytes.empty() ? 0 : static_cast<std::uint8_t>(bytes[0]), rules), now); break;
      default:
        now += std::chrono::milliseconds(1 << (what >> 4U));
        client.on_time(now);
        server.on_time(now);
    }
    // Each end hears what the other says, too. One event leads to one answer of a type at most.
    std::vector<std::string> responses;
    auto collect = [&] {
      std::vector<std::string> some = server.take_responses();
      if (some.size() > kTypeCount) std::abort();
      responses.insert(responses.end(), some.begin(), some.end());
    };
    collect();
    for (const std::string& request : client.take_requests()) {
      (void)server.on_request(request, now);
      collect();
    }
    if ((what & 32U) != 0) {
      for (const std::string& response : responses) (void)client.on_message(response, now);
    }
    (void)client.deadline();
    (void)server.deadline();
    (void)client.take_notes();
    (void)server.take_notes();
  }
  return 0;
}
