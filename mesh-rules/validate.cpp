// SPDX-License-Identifier: Apache-2.0
// What is wrong between objects. Warnings all: Istio sends such rules too, and the request gets 503.
#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "mesh-rules/resolve.h"
#include "mesh-rules/store.h"

namespace weir::mesh {
namespace {

class Validator {
 public:
  Validator(const Store& store, std::string_view domain) : store_(store), domain_(domain) {
    for (const auto& service : store.services())
      services_[service_host(service->meta.name(), service->meta.ns(), domain)] = service.get();
    for (const auto& rule : store.destination_rules()) {
      std::string host = full_host(rule->host, rule->meta.ns(), domain);
      for (const Subset& subset : rule->subsets) subsets_[host].insert(subset.name);
      if (is_wildcard(host)) wildcard_rules_.push_back(host);
    }
  }

  std::vector<Problem> run() {
    for (const auto& service : store_.services()) check(*service);
    for (const auto& service : store_.virtual_services()) check(*service);
    for (const auto& rule : store_.destination_rules()) check(*rule);
    check_shared_hosts();
    sort_problems(problems_);
    return std::move(problems_);
  }

 private:
  void warn(const Meta& meta, const SourceRef& where, std::string path, std::string message, std::string hint) {
    problems_.push_back({Severity::warning, where, meta.key.to_text(), std::move(path), std::move(message), std::move(hint)});
  }

  std::string did_you_mean(std::string_view host, std::string_view otherwise) const {
    std::vector<std::string_view> hosts;
    for (const auto& [known, service] : services_) hosts.push_back(known);
    std::string_view near = nearest(host, hosts);
    return near.empty() ? std::string(otherwise) : fmt::format("did you mean {}?", near);
  }

  void check(const Meta& meta, const Destination& destination, const std::string& path) {
    std::string host = full_host(destination.host, meta.ns(), domain_);
    auto found = services_.find(host);
    if (found == services_.end()) {
      return warn(meta, destination.where, path + ".host", fmt::format("no Service {} is known: requests get 503", host),
                  did_you_mean(host, "add the Service, or correct the host"));
    }
    const std::vector<ServicePort>& ports = found->second->ports;
    if (destination.port &&
        std::none_of(ports.begin(), ports.end(), [&](const ServicePort& p) { return p.port == *destination.port; })) {
      warn(meta, destination.where, path + ".port",
           fmt::format("Service {} has no port {}: requests get 503", host, *destination.port), "use one of its ports");
    }
    if (destination.subset.empty()) return;
    auto subsets = subsets_.find(host);
    if (subsets != subsets_.end() && subsets->second.contains(destination.subset)) return;
    bool by_wildcard = std::any_of(wildcard_rules_.begin(), wildcard_rules_.end(), [&](const std::string& rule) {
      return covers(rule, host) && subsets_[rule].contains(destination.subset);
    });
    if (by_wildcard) return;
    std::vector<std::string_view> names;
    if (subsets != subsets_.end()) names.assign(subsets->second.begin(), subsets->second.end());
    std::string_view near = nearest(destination.subset, names);
    warn(meta, destination.where, path + ".subset",
         fmt::format("no DestinationRule defines subset \"{}\" of {}: requests get 503", destination.subset, host),
         near.empty() ? "add it to a DestinationRule" : fmt::format("did you mean {}?", near));
  }

  /// Without an API server nobody gives a Service its address.
  void check(const Service& service) {
    if (!service.cluster_ips.empty() || service.headless || !service.external_name.empty()) return;
    warn(service.meta, service.meta.where, "spec.clusterIP", "there is no address: only HTTP by the Service's name is routed",
         "give it a clusterIP, or None for a headless one");
  }

  void check(const VirtualService& service) {
    for (std::size_t i = 0; i < service.http.size(); ++i) {
      const HttpRoute& route = service.http[i];
      for (std::size_t k = 0; k < route.route.size(); ++k) {
        check(service.meta, route.route[k].destination, fmt::format("spec.http[{}].route[{}].destination", i, k));
      }
      for (const HttpMirror& mirror : route.mirrors)
        check(service.meta, mirror.destination, fmt::format("spec.http[{}].mirror", i));
    }
    check_l4(service.meta, service.tcp, "tcp");
    check_l4(service.meta, service.tls, "tls");
  }

  template <class Routes>
  void check_l4(const Meta& meta, const Routes& routes, std::string_view field) {
    for (std::size_t i = 0; i < routes.size(); ++i) {
      for (std::size_t k = 0; k < routes[i].route.size(); ++k) {
        check(meta, routes[i].route[k].destination, fmt::format("spec.{}[{}].route[{}].destination", field, i, k));
      }
    }
  }

  void check(const DestinationRule& rule) {
    std::string host = full_host(rule.host, rule.meta.ns(), domain_);
    if (is_wildcard(host)) {
      bool any = std::any_of(services_.begin(), services_.end(), [&](const auto& entry) { return covers(host, entry.first); });
      if (!any) warn(rule.meta, rule.host_where, "spec.host", fmt::format("no Service fits {}", host), "the rule has no effect");
      return;
    }
    if (!services_.contains(host)) {
      warn(rule.meta, rule.host_where, "spec.host", fmt::format("no Service {} is known: the rule has no effect", host),
           did_you_mean(host, "add the Service, or correct the host"));
    }
  }

  /// In sidecars the first VirtualService of a host counts; they are not merged.
  void check_shared_hosts() {
    std::map<std::string, const VirtualService*> first;
    for (const auto& service : store_.virtual_services()) {
      if (!applies_to_mesh(service->gateways)) continue;
      for (const std::string& written : service->hosts) {
        std::string host = full_host(written, service->meta.ns(), domain_);
        auto [at, fresh] = first.emplace(host, service.get());
        if (fresh || !visible(at->second->export_to, at->second->meta.ns(), service->meta.ns())) continue;
        warn(service->meta, service->meta.where, "spec.hosts",
             fmt::format("{} has rules already, in {} ({}:{}), which count", host, at->second->meta.key.to_text(),
                         at->second->meta.where.file, at->second->meta.where.line),
             "put both into one VirtualService");
      }
    }
  }

  const Store& store_;
  std::string domain_;
  std::map<std::string, const Service*> services_;
  std::map<std::string, std::set<std::string>> subsets_;
  std::vector<std::string> wildcard_rules_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> validate(const Store& store, std::string_view domain) { return Validator(store, domain).run(); }

}  // namespace weir::mesh
