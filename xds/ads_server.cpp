// SPDX-License-Identifier: Apache-2.0
#include "xds/ads_server.h"

#include <algorithm>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "base/text.h"
#include "xds/proto/discovery.pb.h"

namespace weir::xds {

namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using Names = std::set<std::string, std::less<>>;

/// A client that leaves an answer without ACK or NACK for so long no longer holds up the types after it.
constexpr Milliseconds kAnswerPatience{5'000};
/// Named resources beyond this go into the next answer, after the ACK.
constexpr std::size_t kMaxPartBytes = kMaxMessageBytes / 4;

bool equal(const ResourcePtr& a, const ResourcePtr& b) { return a == b || (a->hash == b->hash && a->body == b->body); }

bool equal(const ResourceMap& a, const ResourceMap& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && equal(x.second, y.second);
         });
}

/// A DiscoveryResponse written by hand: the resources are serialised already and shared by all streams.
std::string encode_response(ResourceType type, const std::string& version, const std::string& nonce, const ResourceMap& resources,
                            const std::string& control_plane) {
  using google::protobuf::io::CodedOutputStream;
  std::string out;
  google::protobuf::io::StringOutputStream stream(&out);
  CodedOutputStream coded(&stream);
  auto put = [&](int field, std::string_view bytes) {
    coded.WriteTag(static_cast<std::uint32_t>(field) << 3U | 2U);
    coded.WriteVarint32(static_cast<std::uint32_t>(bytes.size()));
    coded.WriteRaw(bytes.data(), static_cast<int>(bytes.size()));
  };
  auto field_size = [](std::size_t bytes) { return 1 + CodedOutputStream::VarintSize64(bytes) + bytes; };
  std::string_view url = type_url(type);
  put(1, version);
  for (const auto& [name, resource] : resources) {
    coded.WriteTag(2U << 3U | 2U);
    coded.WriteVarint32(static_cast<std::uint32_t>(field_size(url.size()) + field_size(resource->body.size())));
    put(1, url);
    put(2, resource->body);
  }
  put(4, url);
  put(5, nonce);
  if (!control_plane.empty()) {
    coded.WriteTag(6U << 3U | 2U);
    coded.WriteVarint32(static_cast<std::uint32_t>(field_size(control_plane.size())));
    put(1, control_plane);
  }
  coded.Trim();
  return out;
}

struct Subscription {
  bool seen = false;
  bool all = false;  // wildcard
  Names names;
  bool must_answer = false;  // though nothing may have changed
  Names must_send;           // names to be answered though they may not have changed
  bool refresh = false;      // clusters changed: the next subscription is to be answered for all names, as Envoy expects
  bool overtaken = false;    // a request crossed our answer and was ignored; its ACK stands for it
  ResourceMap delivered;
  std::string nonce;
  bool unanswered = false;
  TimePoint sent_at;
  TypeStatus status;
};

}  // namespace

struct AdsServerStream::Impl {
  explicit Impl(Options opts) : options(std::move(opts)) {}

  Options options;
  std::optional<NodeIdentity> identity;
  SnapshotPtr snapshot;
  std::array<Subscription, kTypeCount> subs;
  std::optional<TimePoint> endpoints_until;  // LDS and RDS wait for the EDS request of new clusters until then
  std::vector<std::string> responses;
  std::vector<std::string> notes;
  std::set<std::string> odd_types;
  std::uint64_t counter = 0;
  TimePoint now;

  Subscription& of(ResourceType type) { return subs[index(type)]; }
  void note(std::string text) {
    if (notes.size() < 100) notes.push_back(std::move(text));
  }

  // ---- requests ----

  Result<> check(const DiscoveryRequest& request) {
    if (!identity) {
      if (!request.has_node()) return fail(ErrorCode::protocol, "the first request of a stream must carry the node");
      auto parsed = parse_node(request.node());
      if (!parsed) return pass(parsed.error());
      identity = std::move(*parsed);
    }
    if (request.type_url().empty()) return fail(ErrorCode::protocol, "a request without type_url");
    if (static_cast<std::size_t>(request.resource_names_size()) > options.max_names) {
      return fail(ErrorCode::protocol, "{} resource names, at most {}", request.resource_names_size(), options.max_names);
    }
    for (const std::string& name : request.resource_names()) {
      if (name.size() > options.max_name_bytes) {
        return fail(ErrorCode::protocol, "a resource name of {} bytes, at most {}", name.size(), options.max_name_bytes);
      }
    }
    return {};
  }

  void answered(ResourceType type, const DiscoveryRequest& request) {
    Subscription& sub = of(type);
    sub.unanswered = false;
    TypeStatus& status = sub.status;
    if (request.has_error_detail()) {
      ++status.nacked;
      status.nacked_version = status.sent_version;
      status.nack_message = request.error_detail().message();
      note(fmt::format("{} version {} refused: {}", short_name(type), status.nacked_version,
                       printable(status.nack_message, 2000)));
    } else {
      ++status.acked;
      status.acked_version = status.sent_version;
      status.nacked_version.clear();
      status.nack_message.clear();
    }
    if (type != ResourceType::cluster) return;
    if (sub.all && !request.has_error_detail() && misses_endpoints()) endpoints_until = now + options.subscribe_grace;
  }

  bool misses_endpoints() {
    const Names& names = of(ResourceType::endpoints).names;
    const ResourceMap& wanted = snapshot->of(ResourceType::endpoints);
    return std::any_of(wanted.begin(), wanted.end(), [&](const auto& entry) { return !names.contains(entry.first); });
  }

  void subscribe(ResourceType type, const DiscoveryRequest& request, bool is_answer) {
    Subscription& sub = of(type);
    Names names(request.resource_names().begin(), request.resource_names().end());
    bool first = !std::exchange(sub.seen, true);
    sub.status.subscribed = true;
    bool all = is_wildcard(type) && (names.erase("*") > 0 || (names.empty() && (first || sub.all)));
    // A request that is no answer asks for everything it names, known or not: a client warms a changed cluster with it.
    bool refresh = is_answer ? std::exchange(sub.overtaken, false) : std::exchange(sub.refresh, false) || names == sub.names;
    if (first || all != sub.all) sub.must_answer = true;
    if (is_wildcard(type)) {
      if (names != sub.names) sub.must_answer = true;
    } else {
      for (const std::string& name : names) {
        if (refresh || !sub.names.contains(name)) sub.must_send.insert(name);
      }
      std::erase_if(sub.must_send, [&](const std::string& name) { return !names.contains(name); });
      std::erase_if(sub.delivered, [&](const auto& entry) { return !names.contains(entry.first); });
    }
    sub.all = all;
    sub.names = std::move(names);
    if (type == ResourceType::endpoints && endpoints_until && !misses_endpoints()) endpoints_until.reset();
  }

  // ---- answers ----

  /// What the type's next answer is to hold; nullopt: nothing to send.
  std::optional<ResourceMap> due(ResourceType type) {
    Subscription& sub = of(type);
    const ResourceMap& have = snapshot->of(type);
    ResourceMap out;
    if (is_wildcard(type)) {
      for (const auto& [name, resource] : have) {
        if (sub.all || sub.names.contains(name)) out.emplace_hint(out.end(), name, resource);
      }
      if (type == ResourceType::cluster && routes_pending()) out.insert(sub.delivered.begin(), sub.delivered.end());
      if (!sub.must_answer && equal(out, sub.delivered)) return std::nullopt;
      return out;
    }
    std::size_t bytes = 0;
    for (const std::string& name : sub.names) {
      auto it = have.find(name);
      if (it == have.end()) continue;
      auto old = sub.delivered.find(name);
      if (old != sub.delivered.end() && equal(old->second, it->second) && !sub.must_send.contains(name)) continue;
      bytes += it->second->body.size();
      if (!out.empty() && bytes > kMaxPartBytes) break;
      out.emplace_hint(out.end(), name, it->second);
    }
    if (out.empty()) return std::nullopt;
    return out;
  }

  /// Listeners or routes of the client may still name clusters that have gone from the snapshot.
  bool routes_pending() {
    for (ResourceType type : {ResourceType::listener, ResourceType::route}) {
      Subscription& sub = of(type);
      if (!sub.seen) continue;
      if (sub.unanswered || !sub.status.nacked_version.empty() || due(type)) return true;
    }
    return false;
  }

  void send(ResourceType type, ResourceMap resources) {
    Subscription& sub = of(type);
    TypeStatus& status = sub.status;
    status.sent_version = snapshot->version(type);
    if (is_wildcard(type) && resources.size() > snapshot->of(type).size()) status.sent_version += "+";  // with clusters that go
    if (type == ResourceType::cluster) of(ResourceType::endpoints).refresh = true;
    ++status.sent;
    sub.nonce = std::to_string(++counter);
    sub.unanswered = true;
    sub.sent_at = now;
    sub.must_answer = false;
    responses.push_back(encode_response(type, status.sent_version, sub.nonce, resources, options.control_plane));
    if (responses.back().size() > kMaxMessageBytes) {
      note(fmt::format("{}: an answer of {} bytes is more than clients take", short_name(type), responses.back().size()));
    }
    if (is_wildcard(type)) {
      sub.delivered = std::move(resources);
      return;
    }
    for (auto& [name, resource] : resources) {
      sub.must_send.erase(name);
      sub.delivered[name] = std::move(resource);
    }
  }

  void pump() {
    if (!snapshot) return;
    for (ResourceType type : kResourceTypes) {
      Subscription& sub = of(type);
      bool after_endpoints = type == ResourceType::listener || type == ResourceType::route;
      if (after_endpoints && endpoints_until && now < *endpoints_until) return;
      if (!sub.seen) continue;
      if (!sub.unanswered) {
        if (auto resources = due(type)) send(type, std::move(*resources));
      }
      if (sub.unanswered && now < sub.sent_at + kAnswerPatience) return;
    }
  }
};

AdsServerStream::AdsServerStream(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
AdsServerStream::~AdsServerStream() = default;

Result<> AdsServerStream::on_request(std::string_view message, TimePoint now) {
  Impl& self = *impl_;
  self.now = now;
  DiscoveryRequest request;
  if (message.size() > kMaxMessageBytes || !request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return fail(ErrorCode::protocol, "{} bytes are not a DiscoveryRequest", message.size());
  }
  if (auto sound = self.check(request); !sound) return sound;
  auto type = parse_type_url(request.type_url());
  if (!type) {
    if (self.odd_types.size() < 16 && self.odd_types.insert(request.type_url()).second) {
      self.note(fmt::format("asks for type \"{}\", which is not served", printable(request.type_url())));
    }
    return {};
  }
  Subscription& sub = self.of(*type);
  if (!request.response_nonce().empty() && request.response_nonce() != sub.nonce) {
    sub.overtaken = true;
    return {};
  }
  bool is_answer = sub.unanswered && !request.response_nonce().empty();
  if (is_answer) self.answered(*type, request);
  self.subscribe(*type, request, is_answer);
  self.pump();
  return {};
}

const std::optional<NodeIdentity>& AdsServerStream::node() const { return impl_->identity; }

void AdsServerStream::set_snapshot(SnapshotPtr snapshot, TimePoint now) {
  impl_->now = now;
  impl_->snapshot = std::move(snapshot);
  impl_->pump();
}

std::vector<std::string> AdsServerStream::take_responses() { return std::exchange(impl_->responses, {}); }

std::optional<TimePoint> AdsServerStream::deadline() const {
  std::optional<TimePoint> first = impl_->endpoints_until;
  for (const Subscription& sub : impl_->subs) {
    if (!sub.unanswered || impl_->now >= sub.sent_at + kAnswerPatience) continue;
    if (!first || sub.sent_at + kAnswerPatience < *first) first = sub.sent_at + kAnswerPatience;
  }
  return first;
}

void AdsServerStream::on_time(TimePoint now) {
  impl_->now = now;
  if (impl_->endpoints_until && now >= *impl_->endpoints_until) impl_->endpoints_until.reset();
  impl_->pump();
}

const TypeStatus& AdsServerStream::status(ResourceType type) const { return impl_->of(type).status; }
std::vector<std::string> AdsServerStream::take_notes() { return std::exchange(impl_->notes, {}); }

}  // namespace weir::xds
