// SPDX-License-Identifier: Apache-2.0
#include "ctl/mesh.h"

#include <algorithm>
#include <filesystem>

#include "agent/rule_set.h"
#include "agent/rule_source.h"
#include "base/text.h"
#include "capture/annotations.h"
#include "init/command_line.h"
#include "mesh-rules/resolve.h"
#include "xds/resource_set.h"

namespace weir::ctl {

namespace {

constexpr std::string_view kInject = "sidecar.istio.io/inject";

std::string place(const SourceRef& where) { return where.file.empty() ? "" : fmt::format(", {}:{}", where.file, where.line); }

/// Who the pod's proxy would say it is.
agent::ProxyIdentity identity_of(const mesh::Pod& pod) {
  agent::ProxyIdentity proxy{
      .type = "sidecar", .ips = pod.ips, .name = pod.meta.name(), .ns = pod.meta.ns(), .user_agent = "weir " WEIR_VERSION};
  proxy.labels = {pod.meta.labels.begin(), pod.meta.labels.end()};
  return proxy;
}

}  // namespace

Result<LoadedRules> load_rules(const RulesSource& source, const std::map<std::string, std::string>& extra) {
  agent::RuleTexts texts;
  for (std::string path : source.paths) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
      auto read = agent::read_directory(path);
      if (!read) return pass(read.error());
      texts.merge(*read);
    } else {
      auto text = agent::read_rule_file(path);
      if (!text) return fail(ErrorCode::environment, "{}", text.error().to_text());
      texts.insert_or_assign(path, std::move(text));
    }
  }
  for (const auto& [name, text] : extra) texts.insert_or_assign(name, text);
  std::optional<Result<std::string>> mesh_text;
  if (!source.mesh_config.empty()) {
    mesh_text = agent::read_rule_file(source.mesh_config);
    if (!*mesh_text) return fail(ErrorCode::environment, "{}", mesh_text->error().to_text());
  }
  agent::RuleSet set(source.domain);
  set.update(texts, source.mesh_config, mesh_text);
  return LoadedRules{set.store(), set.settings(), set.problems(), set.ignored()};
}

Result<capture::CapturePlan> make_plan(const std::vector<std::string>& flags, const mesh::Labels& annotations) {
  if (flags.empty()) {
    const capture::ParseOutcome outcome = capture::parse_annotations({annotations.begin(), annotations.end()});
    if (has_errors(outcome.problems)) return pass(to_error(outcome.problems));
    return capture::plan(outcome.parsed.policy);
  }
  // What was asked for here beats annotations.
  init::CommandLine line = init::parse_command_line(flags, {}, {});
  if (has_errors(line.problems)) return pass(to_error(line.problems), "weir-init's flags");
  return capture::plan(line.capture.policy);
}

Mesh::Mesh(LoadedRules rules, std::vector<std::string> capture_flags)
    : rules_(std::move(rules)), capture_flags_(std::move(capture_flags)) {
  for (const auto& pod : rules_.store->pods()) {
    if (pod->finished || pod->host_network) continue;
    for (const IpAddr& ip : pod->ips) pods_by_address_.emplace(ip, pod.get());
  }
  for (const auto& service : rules_.store->services())
    services_by_host_.emplace(mesh::service_host(service->meta.name(), service->meta.ns(), rules_.settings.domain),
                              service.get());
}

Result<const mesh::Pod*> Mesh::pod(const std::string& name) const {
  const std::size_t dot = name.rfind('.');
  const std::string ns = dot == std::string::npos ? "default" : name.substr(dot + 1), own = name.substr(0, dot);
  std::vector<std::string> names;
  for (const auto& pod : rules_.store->pods()) {
    if (pod->meta.name() == own && pod->meta.ns() == ns) return pod.get();
    names.push_back(pod->meta.name() + "." + pod->meta.ns());
  }
  const std::string_view near = nearest(name, std::vector<std::string_view>(names.begin(), names.end()));
  if (!near.empty()) return fail(ErrorCode::usage, "the rules have no Pod \"{}\"; did you mean {}?", printable(name), near);
  return fail(ErrorCode::usage, "the rules have no Pod \"{}\"; {}", printable(name),
              names.empty() ? "they have none at all"
                            : "they have " + join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(
                                                                                      std::min<std::size_t>(names.size(), 10))},
                                                  ", "));
}

const mesh::Pod* Mesh::pod_at(const IpAddr& address) const {
  auto found = pods_by_address_.find(address);
  return found == pods_by_address_.end() ? nullptr : found->second;
}

Result<Resolved> Mesh::resolve(const std::string& host, Port port, const std::string& ns, std::optional<Family> family) const {
  const std::string bare = host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
  if (auto ip = IpAddr::parse(bare)) return Resolved{{*ip, port}, ""};
  const std::string& domain = rules_.settings.domain;
  std::string name = to_lower(host);
  while (name.ends_with('.')) name.pop_back();
  // As a resolver with a pod's search list: name, name.ns, name.ns.svc, and the whole.
  const mesh::Service* service = nullptr;
  for (const std::string& whole : {name, fmt::format("{}.{}.svc.{}", name, ns, domain), fmt::format("{}.svc.{}", name, domain),
                                   fmt::format("{}.{}", name, domain)}) {
    auto found = services_by_host_.find(whole);
    if (found != services_by_host_.end() && service == nullptr) service = found->second;
  }
  if (service == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& [whole, other] : services_by_host_) names.push_back(other->meta.name());
    const std::string_view near = nearest(name, names);
    return fail(ErrorCode::usage, "the rules have no Service \"{}\" for a program in namespace {}; {}", printable(host), ns,
                near.empty() ? "give an address, and the name as -H Host=NAME" : fmt::format("did you mean {}?", near));
  }
  const std::string shown = service->meta.key.to_text() + place(service->meta.where);
  if (!service->external_name.empty())
    return fail(ErrorCode::usage, "{} is an alias of {}; give that host's address, and the name as -H Host={}", shown,
                printable(service->external_name), printable(host));
  std::vector<IpAddr> addresses = service->cluster_ips;
  if (service->headless)
    for (const auto& slice : rules_.store->endpoint_slices()) {
      if (slice->service != service->meta.name() || slice->meta.ns() != service->meta.ns()) continue;
      for (const mesh::Endpoint& endpoint : slice->group.endpoints)
        if (endpoint.ready) addresses.insert(addresses.end(), endpoint.addresses.begin(), endpoint.addresses.end());
    }
  std::stable_sort(addresses.begin(), addresses.end(), [](const IpAddr& a, const IpAddr& b) { return a.is_v4() && !b.is_v4(); });
  for (const IpAddr& ip : addresses)
    if (!family || ip.family() == *family) return Resolved{{ip, port}, shown};
  return fail(ErrorCode::usage, "{} has no{} address", shown, family ? fmt::format(" {}", to_text(*family)) : "");
}

const ProxyView& Mesh::view(const mesh::Pod& pod) {
  auto& view = views_[&pod];
  if (!view) view = compile(agent::translate(*rules_.store, rules_.settings, identity_of(pod)));
  return *view;
}

const std::vector<agent::LeftOut>& Mesh::left_out(const mesh::Pod& pod, const std::string& rule, Port port) {
  const auto key = std::tuple(&pod, rule, port);
  auto found = left_out_.find(key);
  if (found == left_out_.end())
    found = left_out_.emplace(key, agent::left_out(*rules_.store, rules_.settings, identity_of(pod), rule, port)).first;
  return found->second;
}

Result<const capture::CapturePlan*> Mesh::plan_of(const mesh::Pod* pod, const mesh::Labels& annotations) {
  auto found = plans_.find(pod);
  if (found == plans_.end()) found = plans_.emplace(pod, make_plan(capture_flags_, annotations)).first;
  if (!found->second) return pod == nullptr ? pass(found->second.error()) : pass(found->second.error(), pod->meta.key.to_text());
  return &*found->second;
}

Result<const capture::CapturePlan*> Mesh::plan(const mesh::Pod& pod) { return plan_of(&pod, pod.meta.annotations); }
Result<const capture::CapturePlan*> Mesh::default_plan() { return plan_of(nullptr, {}); }

bool Mesh::is_enrolled(const mesh::Pod& pod) {
  for (const mesh::Labels* texts : {&pod.meta.labels, &pod.meta.annotations})
    if (auto found = texts->find(std::string(kInject)); found != texts->end() && found->second == "false") return false;
  return !pod.host_network;
}

}  // namespace weir::ctl
