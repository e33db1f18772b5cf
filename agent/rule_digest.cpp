// SPDX-License-Identifier: Apache-2.0
#include "agent/rule_digest.h"

#include <algorithm>
#include <map>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "xds/metadata.h"
#include "xds/resource_set.h"

namespace weir::agent {
namespace {

constexpr std::uint64_t kSeed = 0xcbf29ce484222325U, kPrime = 0x100000001b3U;  // FNV-1a

class Collector {
 public:
  /// Adds what `metadata` says of `message`, if it names a rule.
  template <class Message>
  void add(const Message& message, const std::string& context) {
    const RuleRef rule = xds::rule_of(message.metadata());
    if (rule.empty()) return;
    RuleDigest& digest = by_rule_.try_emplace(rule.rule, RuleDigest{rule.rule, rule.file, {}, kSeed}).first->second;
    if (rule.line > 0) digest.lines.push_back(rule.line);
    mix(digest.hash, context);
    mix(digest.hash, bytes_of(message));
  }
  std::vector<RuleDigest> take() {
    std::vector<RuleDigest> all;
    for (auto& [rule, digest] : by_rule_) {
      std::sort(digest.lines.begin(), digest.lines.end());
      digest.lines.erase(std::unique(digest.lines.begin(), digest.lines.end()), digest.lines.end());
      all.push_back(std::move(digest));
    }
    return all;
  }

 private:
  /// Maps have no order of their own: equal messages must give equal bytes.
  static std::string bytes_of(const google::protobuf::Message& message) {
    std::string bytes;
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
    coded.Trim();
    return bytes;
  }
  static void mix(std::uint64_t& hash, const std::string& bytes) {
    for (char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * kPrime;
  }
  std::map<std::string, RuleDigest> by_rule_;
};

}  // namespace

std::vector<RuleDigest> digest_rules(const xds::ResourceSet& resources, xds::ResourceType type) {
  Collector collector;
  if (type == xds::ResourceType::cluster)
    for (const auto& cluster : resources.clusters) collector.add(cluster, {});
  if (type == xds::ResourceType::listener)
    for (const auto& listener : resources.listeners) {
      for (const auto& chain : listener.filter_chains()) collector.add(chain, listener.name());
      if (listener.has_default_filter_chain()) collector.add(listener.default_filter_chain(), listener.name());
    }
  if (type == xds::ResourceType::route)
    for (const auto& table : resources.routes)
      for (const auto& host : table.virtual_hosts())
        for (const auto& route : host.routes()) collector.add(route, table.name() + host.name());
  return collector.take();
}

}  // namespace weir::agent
