// SPDX-License-Identifier: Apache-2.0
#include "xds/ads_client.h"

#include <algorithm>

#include "base/text.h"
#include "xds/ads_response.h"
#include "xds/proto/core.pb.h"
#include "xds/proto/discovery.pb.h"

namespace weir::xds {

namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

constexpr int kInvalidArgument = 3;
constexpr Milliseconds kFirstFetchTimeout{15'000};  // Envoy's default for a first answer
constexpr Milliseconds kHealthyStream{5'000};       // a stream that lived so long was no failed attempt
constexpr int kShortStreamFailures = 2;             // what one that lived shorter, but brought something, counts at most

struct Item {
  std::shared_ptr<const Accepted> active, warming;
  std::optional<TimePoint> warm_until;  // of warming; none = for ever
  bool leaving = false;                 // deleted by the server, but routes from before the stream may still name it
  std::string rejected_version, rejected_why;
  TimePoint rejected_at;
};

struct TypeState {
  std::string version;  // last accepted as a whole
  std::string nonce;    // of the last response on this stream
  std::map<std::string, Item, std::less<>> items;
  Names names;            // subscribed; EDS and RDS only
  bool asked = false;     // on this stream
  bool answered = false;  // ever, or loaded
};

}  // namespace

struct AdsClient::Impl {
  Impl(const envoy::config::core::v3::Node& identity, Options opts, ResourceSink& consumer, std::function<double()> rnd)
      : node(identity), options(opts), sink(consumer), random(std::move(rnd)) {}

  envoy::config::core::v3::Node node;
  Options options;
  ResourceSink& sink;
  std::function<double()> random;

  std::array<TypeState, kTypeCount> types;
  ActiveSet active;
  std::array<bool, kTypeCount> changed{};
  bool open = false, node_sent = false, brought_something = false;
  bool initial_clusters_warm = false, ready = false;
  TimePoint opened_at, retry_at;
  int failures = 0;
  std::optional<TimePoint> listeners_at;  // ask for LDS then, even if CDS was not answered

  struct Pending {
    ResourceType type;
    std::string error;  // NACK if not empty
  };
  std::vector<Pending> pending;
  std::vector<Problem> notes;

  TypeState& of(ResourceType type) { return types[index(type)]; }

  void note(Severity severity, ResourceType type, std::string text) {
    if (notes.size() < 1000) notes.push_back({severity, {}, std::string(short_name(type)), "", std::move(text), ""});
  }

  void ask(ResourceType type, std::string error = {}) {
    if (!open) return;
    of(type).asked = true;
    for (Pending& waiting : pending) {
      if (waiting.type != type) continue;
      if (!error.empty()) waiting.error = std::move(error);
      return;
    }
    pending.push_back({type, std::move(error)});
  }

  std::string request(const Pending& what) {
    const TypeState& state = of(what.type);
    DiscoveryRequest request;
    if (!node_sent) *request.mutable_node() = node;
    node_sent = true;
    request.set_type_url(std::string(type_url(what.type)));
    request.set_version_info(state.version);
    request.set_response_nonce(state.nonce);
    for (const std::string& name : state.names) request.add_resource_names(name);
    if (!what.error.empty()) {
      request.mutable_error_detail()->set_code(kInvalidArgument);
      request.mutable_error_detail()->set_message(what.error);
    }
    return request.SerializeAsString();
  }

  // ---- one response ----

  /// The newest accepted version, warm or not; null if there is none.
  const Resource* latest(ResourceType type, const std::string& name) {
    auto it = of(type).items.find(name);
    if (it == of(type).items.end()) return nullptr;
    const auto& accepted = it->second.warming ? it->second.warming : it->second.active;
    return accepted ? accepted->resource.get() : nullptr;
  }

  void accept(ResourceType type, Candidate candidate, const std::string& version, TimePoint now) {
    Item& item = of(type).items[candidate.name];
    item.rejected_version.clear();
    item.rejected_why.clear();
    if (candidate.unchanged) return;
    auto accepted = std::make_shared<const Accepted>(Accepted{
        std::move(candidate.resource), version, now, std::move(candidate.compiled.value), std::move(candidate.compiled.needs)});
    if (!is_wildcard(type)) {
      activate(type, candidate.name, item, std::move(accepted));
      return;
    }
    item.warming = std::move(accepted);
    item.warm_until.reset();
    if (candidate.compiled.fetch_timeout > Milliseconds(0)) item.warm_until = now + candidate.compiled.fetch_timeout;
  }

  void activate(ResourceType type, const std::string& name, Item& item, std::shared_ptr<const Accepted> accepted) {
    active.types[index(type)][name] = accepted;
    item.active = std::move(accepted);
    item.warming.reset();
    changed[index(type)] = true;
  }

  void drop(ResourceType type, const std::string& name) {
    if (active.types[index(type)].erase(name) > 0) changed[index(type)] = true;
  }

  void remove_missing(ResourceType type, const Names& seen) {
    auto& items = of(type).items;
    for (auto it = items.begin(); it != items.end();) {
      it->second.leaving = !seen.contains(it->first) && type == ResourceType::cluster && routes_are_old();
      if (seen.contains(it->first) || it->second.leaving) {
        ++it;
        continue;
      }
      drop(type, it->first);
      it = items.erase(it);
    }
  }

  /// On a new stream CDS comes first: until LDS and RDS were answered, too, the routes are those of the stream before.
  bool routes_are_old() {
    const TypeState& listeners = of(ResourceType::listener);
    const TypeState& routes = of(ResourceType::route);
    return (!active.of(ResourceType::listener).empty() && listeners.nonce.empty()) ||
           (!routes.names.empty() && routes.nonce.empty());
  }

  void let_go() {
    if (routes_are_old()) return;
    auto& items = of(ResourceType::cluster).items;
    for (auto it = items.begin(); it != items.end();) {
      if (it->second.leaving) drop(ResourceType::cluster, it->first);
      it = it->second.leaving ? items.erase(it) : std::next(it);
    }
  }

  void respond(ResourceType type, const DiscoveryResponse& response, TimePoint now) {
    TypeState& state = of(type);
    ParsedResponse parsed = parse_response(
        type, response, options.max_resources, is_wildcard(type) ? nullptr : &state.names,
        [&](const std::string& name) { return latest(type, name); }, sink);
    notes.insert(notes.end(), parsed.warnings.begin(), parsed.warnings.end());
    std::size_t accepted = parsed.good.size();
    for (Candidate& candidate : parsed.good) accept(type, std::move(candidate), response.version_info(), now);
    for (const auto& [name, why] : parsed.bad) {
      Item& item = state.items[name];
      item.rejected_version = response.version_info();
      item.rejected_why = why;
      item.rejected_at = now;
    }
    // A resource that could not be named may be any of those that seem to be missing.
    if (is_wildcard(type) && parsed.nameless.empty()) remove_missing(type, parsed.seen);
    state.answered = true;
    state.nonce = response.nonce();
    if (!is_wildcard(type) || type == ResourceType::listener) let_go();
    std::string errors;
    if (parsed.has_errors()) {
      errors = parsed.error_text();
      note(Severity::error, type,
           fmt::format("version {} refused in part ({} accepted): {}", printable(response.version_info()), accepted, errors));
    } else {
      state.version = response.version_info();
    }
    ask(type, std::move(errors));
    settle(now);
    if (type == ResourceType::cluster && !of(ResourceType::listener).asked) ask_listeners();
    publish();
  }

  // ---- warming and subscriptions ----

  bool available(ResourceType type, const std::vector<std::string>& needs) {
    const auto& have = active.of(type);
    return std::all_of(needs.begin(), needs.end(), [&](const std::string& name) { return have.contains(name); });
  }

  /// True if nothing of the type is warming any more.
  bool warm_up(ResourceType type, ResourceType needed, bool gate_open, TimePoint now) {
    bool all_warm = true;
    for (auto& [name, item] : of(type).items) {
      if (!item.warming) continue;
      bool late = item.warm_until && now >= *item.warm_until;
      if (gate_open && (late || available(needed, item.warming->needs))) {
        activate(type, name, item, item.warming);
      } else {
        all_warm = false;
      }
    }
    return all_warm;
  }

  void resubscribe(ResourceType type, ResourceType by) {
    Names wanted;
    for (const auto& [name, item] : of(by).items) {
      for (const auto* version : {&item.active, &item.warming}) {
        if (*version) wanted.insert((*version)->needs.begin(), (*version)->needs.end());
      }
    }
    TypeState& state = of(type);
    if (wanted == state.names && (state.asked || wanted.empty() || !open)) return;
    for (const std::string& name : state.names) {
      if (wanted.contains(name)) continue;
      drop(type, name);
      state.items.erase(name);
    }
    bool had = !state.names.empty();
    state.names = std::move(wanted);
    if (!state.names.empty() || had) ask(type);
  }

  void settle(TimePoint now) {
    resubscribe(ResourceType::endpoints, ResourceType::cluster);
    bool clusters_warm = warm_up(ResourceType::cluster, ResourceType::endpoints, true, now);
    // Before the first set of clusters stands, no listener may send anything to them.
    if (clusters_warm && of(ResourceType::cluster).answered) initial_clusters_warm = true;
    resubscribe(ResourceType::endpoints, ResourceType::cluster);
    resubscribe(ResourceType::route, ResourceType::listener);
    bool listeners_warm = warm_up(ResourceType::listener, ResourceType::route, initial_clusters_warm, now);
    resubscribe(ResourceType::route, ResourceType::listener);
    if (clusters_warm && listeners_warm && of(ResourceType::cluster).answered && of(ResourceType::listener).answered)
      ready = true;
  }

  void ask_listeners() {
    listeners_at.reset();
    ask(ResourceType::listener);
  }

  void publish() {
    if (std::none_of(changed.begin(), changed.end(), [](bool c) { return c; })) return;
    auto what = std::exchange(changed, {});
    sink.publish(active, what);
  }
};

AdsClient::AdsClient(const envoy::config::core::v3::Node& node, Options options, ResourceSink& sink,
                     std::function<double()> random)
    : impl_(std::make_unique<Impl>(node, options, sink, std::move(random))) {}
AdsClient::~AdsClient() = default;

std::size_t AdsClient::load(const StoredSet& last_good, TimePoint now) {
  Impl& self = *impl_;
  std::size_t taken = 0;
  for (ResourceType type : kResourceTypes) {
    for (const StoredSet::Item& stored : last_good.types[index(type)]) {
      std::unique_ptr<google::protobuf::Message> message = new_message(type);
      std::vector<Problem> problems;
      if (!message->ParseFromString(stored.resource->body) || resource_name(type, *message) != stored.resource->name) continue;
      Compiled compiled = self.sink.compile(type, *message, problems);
      if (has_errors(problems)) {
        self.note(Severity::warning, type,
                  fmt::format("stored {} is refused now: {}", stored.resource->name, errors_of(problems)));
        continue;
      }
      auto accepted = std::make_shared<const Accepted>(
          Accepted{stored.resource, stored.version, now, std::move(compiled.value), std::move(compiled.needs)});
      self.activate(type, stored.resource->name, self.of(type).items[stored.resource->name], std::move(accepted));
      ++taken;
    }
  }
  if (taken == 0) return 0;
  // Subscriptions follow from what was loaded; endpoints and routes that nothing needs go.
  self.resubscribe(ResourceType::endpoints, ResourceType::cluster);
  self.resubscribe(ResourceType::route, ResourceType::listener);
  self.initial_clusters_warm = self.ready = true;
  for (ResourceType type : {ResourceType::cluster, ResourceType::listener}) self.of(type).answered = true;
  self.publish();
  return taken;
}

StoredSet AdsClient::stored() const {
  StoredSet set;
  set.node_id = impl_->node.id();
  for (ResourceType type : kResourceTypes) {
    for (const auto& [name, accepted] : impl_->active.of(type))
      set.types[index(type)].push_back({accepted->resource, accepted->version});
  }
  return set;
}

void AdsClient::on_open(TimePoint now) {
  Impl& self = *impl_;
  self.open = true;
  self.node_sent = self.brought_something = false;
  self.opened_at = now;
  self.pending.clear();
  for (TypeState& state : self.types) {
    state.nonce.clear();
    state.asked = false;
  }
  bool known = self.of(ResourceType::cluster).answered;
  self.ask(ResourceType::cluster);
  if (!known) {
    self.listeners_at = now + kFirstFetchTimeout;
    return;
  }
  if (!self.of(ResourceType::endpoints).names.empty()) self.ask(ResourceType::endpoints);
  self.ask_listeners();
  if (!self.of(ResourceType::route).names.empty()) self.ask(ResourceType::route);
}

Result<> AdsClient::on_message(std::string_view message, TimePoint now) {
  if (message.size() > kMaxMessageBytes) {
    return fail(ErrorCode::protocol, "an answer of {} bytes, at most {}", message.size(), kMaxMessageBytes);
  }
  DiscoveryResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return fail(ErrorCode::protocol, "{} bytes are not a DiscoveryResponse", message.size());
  }
  auto type = parse_type_url(response.type_url());
  if (!type || !impl_->of(*type).asked) {
    impl_->notes.push_back({Severity::warning,
                            {},
                            "ADS",
                            "",
                            fmt::format("an answer of type \"{}\" was not asked for; ignored", printable(response.type_url())),
                            ""});
    return {};
  }
  impl_->brought_something = true;
  impl_->respond(*type, response, now);
  return {};
}

void AdsClient::on_closed(TimePoint now) {
  Impl& self = *impl_;
  const bool brought = self.open && self.brought_something;
  const bool healthy = brought && now - self.opened_at >= kHealthyStream;
  self.open = false;
  self.pending.clear();
  self.listeners_at.reset();
  if (healthy) {
    self.failures = 0;
    self.retry_at = now;
    return;
  }
  // A server that answers but comes and goes is not kept waiting for long, nor is it overrun.
  if (brought) self.failures = std::min(self.failures, kShortStreamFailures);
  Milliseconds step = self.options.max_backoff;
  if (self.failures < 16) step = std::min(step, self.options.first_backoff * (1 << self.failures));
  ++self.failures;
  self.retry_at = now + step / 2 + std::chrono::duration_cast<Milliseconds>(step / 2 * std::clamp(self.random(), 0.0, 1.0));
}

std::vector<std::string> AdsClient::take_requests() {
  std::vector<std::string> requests;
  for (const Impl::Pending& what : std::exchange(impl_->pending, {})) requests.push_back(impl_->request(what));
  return requests;
}

std::optional<TimePoint> AdsClient::deadline() const {
  std::optional<TimePoint> first = impl_->listeners_at;
  for (ResourceType type : {ResourceType::cluster, ResourceType::listener}) {
    if (type == ResourceType::listener && !impl_->initial_clusters_warm) continue;  // waits for the clusters, not for a time
    for (const auto& [name, item] : impl_->of(type).items) {
      if (item.warming && item.warm_until && (!first || *item.warm_until < *first)) first = item.warm_until;
    }
  }
  return first;
}

void AdsClient::on_time(TimePoint now) {
  if (impl_->listeners_at && now >= *impl_->listeners_at) {
    impl_->initial_clusters_warm = true;  // the server has no clusters to tell: go on without
    impl_->ask_listeners();
  }
  impl_->settle(now);
  impl_->publish();
}

bool AdsClient::is_open() const { return impl_->open; }
TimePoint AdsClient::reconnect_at() const { return impl_->retry_at; }
bool AdsClient::is_ready() const { return impl_->ready; }
const std::string& AdsClient::version(ResourceType type) const { return impl_->of(type).version; }
const ActiveSet& AdsClient::active() const { return impl_->active; }
std::vector<Problem> AdsClient::take_notes() { return std::exchange(impl_->notes, {}); }

std::vector<ResourceState> AdsClient::states(ResourceType type) const {
  std::vector<ResourceState> states;
  for (const auto& [name, item] : impl_->of(type).items) {
    states.push_back({name, item.active, item.warming, item.rejected_version, item.rejected_why, item.rejected_at});
  }
  return states;
}

}  // namespace weir::xds
