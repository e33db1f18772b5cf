// SPDX-License-Identifier: Apache-2.0
#include "ctl/explain.h"

#include <algorithm>

#include "base/text.h"
#include "base/well_known.h"
#include "init/program.h"

namespace weir::ctl {

namespace {

/// The address from which `addresses` would speak to `to`.
SocketAddr source_for(const std::vector<IpAddr>& addresses, const IpAddr& to) {
  for (const IpAddr& ip : addresses)
    if (ip.family() == to.family()) return {ip, 0};
  return {IpAddr::any(to.family()), 0};
}

CaptureStep to_step(const capture::Judgement& judgement) {
  CaptureStep step{.verdict = std::string(capture::name(judgement.outcome)), .chain = {}, .match = {}, .why = judgement.why};
  if (judgement.port != 0) step.verdict += fmt::format(" {}", judgement.port);
  if (judgement.step != nullptr) {
    step.chain = capture::name(judgement.step->chain);
    step.match = capture::to_text(judgement.step->match);
  }
  return step;
}

bool is_proxied(const capture::Judgement& judgement) {
  return judgement.outcome == capture::Outcome::outbound || judgement.outcome == capture::Outcome::inbound;
}

/// As curl writes Host: without the default port.
std::string authority_of(const Question& question) {
  std::string host = question.host;
  if (host.find(':') != std::string::npos && !host.starts_with('[')) host = "[" + host + "]";
  return question.port == 80 ? host : fmt::format("{}:{}", host, question.port);
}

Call call_of(const Question& question) {
  Call call{question.protocol, question.server_name, question.method, question.path, authority_of(question), {}};
  for (const auto& header : question.headers) {
    if (equals_ignore_case(header.first, "host"))
      call.authority = header.second;
    else
      call.headers.push_back(header);
  }
  return call;
}

/// A dump has no Services, but routes and listeners know their names and addresses: virtual hosts list both; a TCP listener has
/// the address, its cluster the name.
std::optional<Resolved> find_in(const ProxyView& view, const Question& question) {
  auto fits = [&](const IpAddr& ip) { return !ip.is_unspecified() && (!question.family || ip.family() == *question.family); };
  for (const auto& [table_name, table] : view.routes)
    for (const routing::VirtualHost& host : table->virtual_hosts()) {
      auto has = [&](const std::string& domain) { return equals_ignore_case(domain, question.host); };
      if (std::none_of(host.domains.begin(), host.domains.end(), has)) continue;
      for (const std::string& domain : host.domains) {
        auto ip = IpAddr::parse(domain.starts_with('[') ? domain.substr(1, domain.size() - 2) : domain);
        if (ip && fits(*ip)) return Resolved{{*ip, question.port}, "virtual host " + host.name};
      }
    }
  for (const auto& listener : view.listeners->all()) {
    if (listener->bind_to_port || listener->address.port != question.port) continue;
    for (const auto& chain : listener->chains) {
      const auto* tcp = std::get_if<routing::TcpManager>(&chain.manager);
      const ClusterView* cluster = tcp != nullptr ? view.cluster(tcp->clusters.front().cluster) : nullptr;
      if (cluster == nullptr || (cluster->host() != question.host && !cluster->host().starts_with(question.host + "."))) continue;
      std::vector<SocketAddr> addresses = listener->additional;
      addresses.insert(addresses.begin(), listener->address);
      for (const SocketAddr& address : addresses)
        if (fits(address.ip)) return Resolved{address, "listener " + listener->name};
    }
  }
  return std::nullopt;
}

class Explainer {
 public:
  Explainer(const Question& question, Mesh& mesh) : mesh_(mesh) { out_.question = question; }

  Result<Explanation> run(const Caller* dumped) {
    const Question& question = out_.question;
    std::string ns = "default";
    const capture::CapturePlan* plan = nullptr;
    if (!question.from.empty() || dumped == nullptr) {
      auto pod = mesh_.pod(question.from);
      if (pod) {
        caller_ = *pod;
        ns = caller_->meta.ns();
      } else if (dumped == nullptr) {
        return pass(pod.error());
      }
    }
    if (dumped != nullptr) {
      view_ = dumped->view;
      addresses_ = dumped->addresses;
      if (auto dot = dumped->name.rfind('.'); dot != std::string::npos) ns = dumped->name.substr(dot + 1);
    } else {
      addresses_ = caller_->ips;
    }
    auto resolved = mesh_.resolve(question.host, question.port, ns, question.family);
    if (!resolved && view_ != nullptr) {
      if (auto found = find_in(*view_, question)) resolved = *found;
    }
    if (!resolved) return pass(resolved.error());
    out_.destination = resolved->address;
    out_.service = resolved->service;
    if (caller_ != nullptr) {
      auto made = mesh_.plan(*caller_);
      if (!made) return pass(made.error());
      plan = *made;
    } else {
      auto made = mesh_.default_plan();
      if (!made) return pass(made.error());
      plan = *made;
    }
    leave(*plan);
    return std::move(out_);
  }

 private:
  /// The caller's side.
  void leave(const capture::CapturePlan& plan) {
    const SocketAddr& to = out_.destination;
    if (caller_ != nullptr && !Mesh::is_enrolled(*caller_)) {
      out_.capture = {"direct", "", "",
                      "this pod is not enrolled: sidecar.istio.io/inject is false, or it uses the host's network"};
      return reach(to, call_of(out_.question), false);
    }
    const init::Question asked{.uid = out_.question.uid, .gid = out_.question.uid, .to = to};
    const capture::Judgement judgement = capture::judge(plan, init::packet_of(asked, addresses_));
    out_.capture = to_step(judgement);
    if (judgement.outcome == capture::Outcome::direct) return reach(to, call_of(out_.question), false);
    if (!is_proxied(judgement)) return;
    Call sent;
    const ProxyView& view = view_ != nullptr ? *view_ : mesh_.view(*caller_);
    out_.proxy = walk(view, judgement.port, to, source_for(addresses_, to.ip), call_of(out_.question), sent);
    if (view_ == nullptr) add_left_out(*out_.proxy);
    if (out_.proxy->answer.by_proxy) return;
    for (const ClusterChoice& cluster : out_.proxy->clusters)
      for (const EndpointView& endpoint : cluster.endpoints) reach(endpoint.address, sent, true);
  }

  /// Routes that the rule has, but this proxy does not get: whoever looks for one of them shall not look in vain.
  void add_left_out(ProxyStep& step) {
    if (!step.is_http || !step.rule.rule.starts_with("VirtualService ")) return;
    for (const agent::LeftOut& route : mesh_.left_out(*caller_, step.rule.rule, out_.destination.port)) {
      if (route.where.line > step.rule.line) break;
      std::string name = route.route.empty() ? "a route" : fmt::format("route \"{}\"", printable(route.route));
      step.passed.push_back({fmt::format("{} ({}, {}:{})", name, step.rule.rule, route.where.file, route.where.line),
                             "this proxy does not get it: " + route.why});
    }
  }

  /// The server's side, once for each address.
  void reach(const SocketAddr& address, const Call& call, bool by_proxy) {
    if (std::any_of(out_.servers.begin(), out_.servers.end(), [&](const ServerStep& step) { return step.address == address; }))
      return;
    ServerStep& step = out_.servers.emplace_back();
    step.address = address;
    const mesh::Pod* pod = mesh_.pod_at(address.ip);
    if (pod == nullptr) {
      step.note = mesh_.rules().store->pods().empty() ? "a dump tells of one proxy only; add --rules to know who has this address"
                  : out_.service.empty() || address != out_.destination
                      ? "no Pod of the rules has this address"
                      : "a Service's address: the node chooses one of its endpoints";
      return;
    }
    step.pod = pod->meta.name() + "." + pod->meta.ns();
    if (!Mesh::is_enrolled(*pod)) {
      step.note = "this pod is not enrolled: the program itself answers";
      return;
    }
    auto plan = mesh_.plan(*pod);
    if (!plan) {
      step.note = plan.error().to_text();
      return;
    }
    const bool is_self = caller_ == pod;
    init::Question asked{.from_outside = !is_self, .to = address};
    asked.uid = asked.gid = is_self && by_proxy ? well_known::kProxyUid : out_.question.uid;
    capture::Packet packet = init::packet_of(asked, pod->ips);
    const SocketAddr source = source_for(addresses_, address.ip);
    packet.source = source.ip;
    const capture::Judgement judgement = capture::judge(**plan, packet);
    step.capture = to_step(judgement);
    Call ignored;
    if (is_proxied(judgement)) step.proxy = walk(mesh_.view(*pod), judgement.port, address, source, call, ignored);
  }

  Mesh& mesh_;
  Explanation out_;
  const mesh::Pod* caller_ = nullptr;
  const ProxyView* view_ = nullptr;
  std::vector<IpAddr> addresses_;
};

}  // namespace

Result<Explanation> explain(const Question& question, Mesh& mesh, const Caller* caller) {
  return Explainer(question, mesh).run(caller);
}

}  // namespace weir::ctl
