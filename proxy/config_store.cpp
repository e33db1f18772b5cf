// SPDX-License-Identifier: Apache-2.0
#include "proxy/config_store.h"

#include "base/text.h"
#include "proxy/cluster_compile.h"
#include "proxy/proto_time.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/proto/cluster.pb.h"
#include "xds/proto/endpoint.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/route.pb.h"

namespace weir::proxy {

namespace {

using xds::ResourceType;

template <class T>
std::shared_ptr<const T> as(const xds::Accepted& accepted) {
  return std::static_pointer_cast<const T>(accepted.compiled);
}

/// The route tables that a listener waits for.
std::vector<std::string> rds_names(const routing::Listener& listener) {
  std::set<std::string> names;
  auto add = [&](const routing::FilterChain& chain) {
    const auto* http = std::get_if<routing::HttpManager>(&chain.manager);
    if (http != nullptr && !http->rds_name.empty()) names.insert(http->rds_name);
  };
  for (const routing::FilterChain& chain : listener.chains) add(chain);
  if (listener.default_chain) add(*listener.default_chain);
  return {names.begin(), names.end()};
}

/// "filters[3].x[0]" → "filters[].x[]": one kind of problem, however many resources have it.
std::string without_indices(std::string_view path) {
  std::string out;
  bool inside = false;
  for (char c : path) {
    if (c == ']') inside = false;
    if (!inside) out += c;
    if (c == '[') inside = true;
  }
  return out;
}

void move_problems(std::vector<Problem>& from, std::string_view prefix, const std::string& object, std::vector<Problem>& into) {
  for (Problem& problem : from) {
    if (problem.object.empty()) problem.object = object;
    problem.path = problem.path.empty() ? std::string(prefix) : fmt::format("{}.{}", prefix, problem.path);
    into.push_back(std::move(problem));
  }
  from.clear();
}

std::string object_name(ResourceType type, std::string_view name) {
  switch (type) {
    case ResourceType::cluster: return fmt::format("Cluster \"{}\"", printable(name));
    case ResourceType::endpoints: return fmt::format("ClusterLoadAssignment \"{}\"", printable(name));
    case ResourceType::listener: return fmt::format("Listener \"{}\"", printable(name));
    case ResourceType::route: break;
  }
  return fmt::format("RouteConfiguration \"{}\"", printable(name));
}

/// A library's error as a problem that has no path of its own.
void add_error(const Error& error, const std::string& object, std::vector<Problem>& problems) {
  problems.push_back({Severity::error, {}, object, "", error.to_text(), ""});
}

}  // namespace

ConfigStore::ConfigStore(Hooks hooks) : hooks_(std::move(hooks)) {
  auto empty = std::make_shared<Config>();
  empty->listeners = std::make_shared<const routing::ListenerTable>(std::vector<std::shared_ptr<const routing::Listener>>());
  config_ = std::move(empty);
}

template <class Function>
xds::Compiled ConfigStore::compile_with(ResourceType type, const std::string& name, std::vector<Problem>& problems,
                                        Function function) {
  std::vector<Problem> found;
  xds::Compiled compiled = function(found);
  std::vector<Problem> warnings;
  for (Problem& problem : found) (problem.severity == Severity::error ? problems : warnings).push_back(problem);
  if (has_errors(problems)) return {};
  for (const Problem& warning : warnings) {
    const std::string kind = fmt::format("{} {} {}", xds::short_name(type), without_indices(warning.path), warning.message);
    if (told_.insert(kind).second) news_.push_back(warning);
  }
  auto key = std::make_pair(type, name);
  if (warnings.empty()) {
    unsupported_.erase(key);
  } else {
    unsupported_[key] = std::move(warnings);
  }
  return compiled;
}

xds::Compiled ConfigStore::compile(ResourceType type, const google::protobuf::Message& message, std::vector<Problem>& problems) {
  const std::string& name = xds::resource_name(type, message);
  return compile_with(type, name, problems, [&](std::vector<Problem>& found) -> xds::Compiled {
    xds::Compiled compiled;
    const std::string object = object_name(type, name);
    switch (type) {
      case ResourceType::cluster: {
        const auto& config = static_cast<const envoy::config::cluster::v3::Cluster&>(message);
        auto cluster = compile_cluster(config, found);
        if (!cluster) return compiled;
        if (cluster->type == ClusterType::eds) compiled.needs = {cluster->eds_service_name};
        const auto& source = config.eds_cluster_config().eds_config();
        if (source.has_initial_fetch_timeout())
          if (auto limit = to_milliseconds(source.initial_fetch_timeout())) compiled.fetch_timeout = *limit;
        compiled.value = std::move(cluster);
        break;
      }
      case ResourceType::endpoints:
        compiled.value =
            compile_endpoints(static_cast<const envoy::config::endpoint::v3::ClusterLoadAssignment&>(message), found);
        break;
      case ResourceType::listener: {
        auto listener = routing::compile_listener(static_cast<const envoy::config::listener::v3::Listener&>(message), found);
        if (!listener) {
          add_error(listener.error(), object, found);
          return compiled;
        }
        if (hooks_.check_listener) hooks_.check_listener(*listener, found);
        compiled.needs = rds_names(**listener);
        compiled.value = *listener;
        break;
      }
      case ResourceType::route: {
        auto table =
            routing::RouteTable::compile(static_cast<const envoy::config::route::v3::RouteConfiguration&>(message), found);
        if (!table) {
          add_error(table.error(), object, found);
          return compiled;
        }
        compiled.value = *table;
        break;
      }
    }
    return compiled;
  });
}

std::vector<Problem> ConfigStore::set_static(const envoy::config::bootstrap::v3::Bootstrap_StaticResources& resources) {
  std::vector<Problem> errors;
  std::vector<std::shared_ptr<const Cluster>> clusters;
  std::vector<std::shared_ptr<const routing::Listener>> listeners;
  auto compile_one = [&](ResourceType type, const google::protobuf::Message& message, const std::string& prefix) {
    std::vector<Problem> found;
    xds::Compiled compiled = compile(type, message, found);
    if (!has_errors(found) && !compiled.needs.empty())
      found.push_back({Severity::error,
                       {},
                       "",
                       type == ResourceType::cluster ? "type" : "filter_chains",
                       type == ResourceType::cluster ? "EDS needs ADS, which static resources do not wait for"
                                                     : "rds needs ADS, which static resources do not wait for",
                       type == ResourceType::cluster ? "use STATIC with load_assignment" : "use route_config"});
    move_problems(found, prefix, object_name(type, xds::resource_name(type, message)), errors);
    return compiled.value;
  };
  for (int i = 0; i < resources.clusters_size(); ++i)
    clusters.push_back(std::static_pointer_cast<const Cluster>(
        compile_one(ResourceType::cluster, resources.clusters(i), fmt::format("clusters[{}]", i))));
  for (int i = 0; i < resources.listeners_size(); ++i)
    listeners.push_back(std::static_pointer_cast<const routing::Listener>(
        compile_one(ResourceType::listener, resources.listeners(i), fmt::format("listeners[{}]", i))));
  if (!errors.empty()) return errors;
  static_clusters_ = std::move(clusters);
  static_listeners_ = std::move(listeners);
  if (!static_clusters_.empty() || !static_listeners_.empty()) build();
  return {};
}

void ConfigStore::publish(const xds::ActiveSet& active, const std::array<bool, xds::kTypeCount>& changed) {
  // Only what changed is copied: the maps hold pointers.
  for (ResourceType type : xds::kResourceTypes)
    if (changed[xds::index(type)]) active_.types[xds::index(type)] = active.of(type);
  std::erase_if(unsupported_, [&](const auto& entry) {
    const ResourceType type = entry.first.first;
    const std::string& name = entry.first.second;
    const bool is_static = std::any_of(static_clusters_.begin(), static_clusters_.end(),
                                       [&](const auto& cluster) { return cluster->name == name; }) ||
                           std::any_of(static_listeners_.begin(), static_listeners_.end(),
                                       [&](const auto& listener) { return listener->name == name; });
    return changed[xds::index(type)] && !is_static && active_.of(type).find(name) == active_.of(type).end();
  });
  build();
}

void ConfigStore::build() {
  auto next = std::make_shared<Config>();
  next->generation = ++generation_;

  std::map<std::string, Joined> joined;
  for (const auto& [name, accepted] : active_.of(ResourceType::cluster)) {
    Joined join{as<Cluster>(*accepted), nullptr, nullptr};
    if (join.bare->type == ClusterType::eds) {
      auto it = active_.of(ResourceType::endpoints).find(join.bare->eds_service_name);
      if (it != active_.of(ResourceType::endpoints).end()) join.endpoints = as<EndpointSet>(*it->second);
    }
    auto former = joined_.find(name);
    if (former != joined_.end() && former->second.bare == join.bare && former->second.endpoints == join.endpoints) {
      join.result = former->second.result;
    } else if (join.endpoints) {
      auto whole = std::make_shared<Cluster>(*join.bare);
      whole->endpoints = join.endpoints;
      join.result = std::move(whole);
    } else {
      join.result = join.bare;
    }
    next->clusters[name] = join.result;
    joined.emplace(name, std::move(join));
  }
  joined_ = std::move(joined);
  for (const auto& cluster : static_clusters_) next->clusters[cluster->name] = cluster;

  for (const auto& [name, accepted] : active_.of(ResourceType::route)) next->routes[name] = as<routing::RouteTable>(*accepted);

  std::vector<std::shared_ptr<const routing::Listener>> listeners = static_listeners_;
  for (const auto& [name, accepted] : active_.of(ResourceType::listener)) {
    const bool taken = std::any_of(static_listeners_.begin(), static_listeners_.end(),
                                   [&name = name](const auto& listener) { return listener->name == name; });
    if (!taken) listeners.push_back(as<routing::Listener>(*accepted));
  }
  next->listeners = listeners == config_->listeners->all() ? config_->listeners
                                                           : std::make_shared<const routing::ListenerTable>(std::move(listeners));

  config_ = std::move(next);
  if (hooks_.publish) hooks_.publish(config_);
}

std::vector<Problem> ConfigStore::unsupported() const {
  std::vector<Problem> all;
  for (const auto& [key, problems] : unsupported_)
    for (Problem problem : problems) {
      if (problem.object.empty()) problem.object = object_name(key.first, key.second);
      all.push_back(std::move(problem));
    }
  return all;
}

std::vector<Problem> ConfigStore::take_new_warnings() { return std::exchange(news_, {}); }

}  // namespace weir::proxy
