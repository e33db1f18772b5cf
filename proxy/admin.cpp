// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin.h"

#include <algorithm>

#include "base/text.h"
#include "routing/name_filter.h"

namespace weir::proxy {

struct Admin::Page {
  std::string_view path;
  bool changes;  ///< POST only
  std::string_view help;
  void (Admin::*handler)(const HttpRequest&, const HttpServer::Respond&);
};

const std::vector<Admin::Page>& Admin::pages() {
  static const std::vector<Page> kPages = {
      {"/", false, "this list", &Admin::help},
      {"/certs", false, "certificates (none: TLS is not implemented)", &Admin::certs},
      {"/clusters", false, "upstream clusters and endpoints; ?format=json", &Admin::clusters},
      {"/config_dump", false, "configuration; ?resource=, ?name_regex=, ?include_eds", &Admin::config_dump},
      {"/drain_listeners", true, "stop accepting; ?graceful, ?inboundonly", &Admin::drain_listeners},
      {"/help", false, "this list", &Admin::help},
      {"/listeners", false, "listeners; ?format=json", &Admin::listeners},
      {"/logging", true, "?level=debug|info|warn|error sets the level", &Admin::logging},
      {"/quitquitquit", true, "end the proxy at once", &Admin::quit},
      {"/ready", false, "200 if configured and not draining, else 503", &Admin::ready},
      {"/server_info", false, "version, state, uptime, node", &Admin::server_info},
      {"/stats", false, "counters; ?filter=REGEX, ?usedonly, ?format=json|prometheus", &Admin::stats},
      {"/stats/prometheus", false, "counters for Prometheus; ?filter=REGEX, ?usedonly", &Admin::stats_prometheus},
  };
  return kPages;
}

namespace {

void refuse(const HttpServer::Respond& respond, std::uint16_t status, std::string text) {
  respond({.status = status, .body = std::move(text)});
}

bool is_set(const HttpRequest& request, std::string_view name) {
  auto value = request.parameter(name);
  return value && *value != "false" && *value != "0";
}

}  // namespace

std::string_view to_text(ServerState state) {
  switch (state) {
    case ServerState::live: return "LIVE";
    case ServerState::draining: return "DRAINING";
    case ServerState::initializing: break;
  }
  return "INITIALIZING";
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost") return true;
  auto ip = IpAddr::parse(host);
  return ip && ip->is_loopback();
}

void Admin::handle(const HttpRequest& request, const HttpServer::Respond& respond) {
  if (!request.peer.ip.unmapped().is_loopback()) return refuse(respond, 403, "only loopback may ask here\n");
  // HTTP/1.0 has no Host and no browser sends it.
  if (!request.host.empty() && !is_loopback_host(request.host))
    return refuse(
        respond, 403,
        fmt::format("Host \"{}\" is not this interface; ask http://localhost or a loopback address\n", printable(request.host)));
  auto page = std::find_if(pages().begin(), pages().end(), [&](const Page& each) { return each.path == request.path; });
  if (page == pages().end())
    return refuse(respond, 404, fmt::format("{}: no such page; /help lists all\n", printable(request.path)));
  const bool is_read = request.method == "GET" || request.method == "HEAD";
  if (page->changes ? request.method != "POST" : !is_read)
    return respond({.status = 405,
                    .body = fmt::format("{} {} only\n", page->path, page->changes ? "is changed by POST" : "is read by GET"),
                    .allow = page->changes ? "POST" : "GET, HEAD"});
  (this->*page->handler)(request, respond);
}

void Admin::help(const HttpRequest&, const HttpServer::Respond& respond) {
  std::string out = "weir-proxy's admin interface:\n";
  for (const Page& page : pages()) out += fmt::format("  {}{}: {}\n", page.path, page.changes ? " (POST)" : "", page.help);
  respond({.body = std::move(out)});
}

void Admin::ready(const HttpRequest&, const HttpServer::Respond& respond) {
  const ServerState state = hooks_.state();
  respond({.status = static_cast<std::uint16_t>(state == ServerState::live ? 200 : 503),
           .body = fmt::format("{}\n", to_text(state))});
}

void Admin::config_dump(const HttpRequest& request, const HttpServer::Respond& respond) {
  if (request.parameter("mask")) return refuse(respond, 400, "mask is not implemented; use resource and name_regex\n");
  DumpQuery query;
  query.resource = request.parameter("resource").value_or("");
  query.name_regex = request.parameter("name_regex").value_or("");
  query.include_eds = is_set(request, "include_eds");
  auto dump = hooks_.dump(query);
  if (!dump) return refuse(respond, 400, dump.error().to_text() + "\n");
  respond({.body = std::move(*dump), .content_type = kJsonType});
}

void Admin::clusters(const HttpRequest& request, const HttpServer::Respond& respond) {
  const bool json = request.parameter("format") == "json";
  hooks_.figures([json, respond, config = hooks_.config()](const std::vector<ClusterFigures>& figures) {
    if (json) {
      respond({.body = clusters_json(*config, figures), .content_type = kJsonType});
    } else {
      respond({.body = clusters_text(*config, figures)});
    }
  });
}

void Admin::listeners(const HttpRequest& request, const HttpServer::Respond& respond) {
  if (request.parameter("format") == "json")
    return respond({.body = listeners_json(*hooks_.config()), .content_type = kJsonType});
  respond({.body = listeners_text(*hooks_.config())});
}

void Admin::stats(const HttpRequest& request, const HttpServer::Respond& respond) {
  const std::string_view format = request.parameter("format").value_or("text");
  if (format == "prometheus") return stats_prometheus(request, respond);
  if (format != "text" && format != "json")
    return refuse(respond, 400, fmt::format("format {} is unknown; use text, json or prometheus\n", printable(format)));
  auto wanted = routing::compile_name_filter(request.parameter("filter").value_or(""), false);
  if (!wanted) return refuse(respond, 400, wanted.error().to_text() + "\n");
  const StatsFilter filter{is_set(request, "usedonly"), *wanted};
  if (format == "json") return respond({.body = stats_json(hooks_.samples(), filter), .content_type = kJsonType});
  respond({.body = stats_text(hooks_.samples(), filter)});
}

void Admin::stats_prometheus(const HttpRequest& request, const HttpServer::Respond& respond) {
  auto wanted = routing::compile_name_filter(request.parameter("filter").value_or(""), false);
  if (!wanted) return refuse(respond, 400, wanted.error().to_text() + "\n");
  respond({.body = prometheus({is_set(request, "usedonly"), *wanted}), .content_type = kPrometheusType});
}

std::string Admin::prometheus(const StatsFilter& filter) const {
  const IstioMetrics istio = hooks_.istio();  // first: samples() forgets what nobody holds
  return prometheus_text(hooks_.samples(), istio, filter);
}

void Admin::server_info(const HttpRequest&, const HttpServer::Respond& respond) {
  respond({.body = hooks_.server_info(), .content_type = kJsonType});
}

void Admin::certs(const HttpRequest&, const HttpServer::Respond& respond) {
  respond({.body = "{\n  \"certificates\": []\n}\n", .content_type = kJsonType});
}

void Admin::logging(const HttpRequest& request, const HttpServer::Respond& respond) {
  for (const auto& [name, value] : request.query)
    if (name != "level") return refuse(respond, 400, fmt::format("parameter {} is unknown; use level\n", printable(name)));
  if (auto level = request.parameter("level"))
    if (auto set = hooks_.set_log_level(*level); !set) return refuse(respond, 400, set.error().to_text() + "\n");
  respond({.body = fmt::format("level: {}\n", hooks_.log_level())});
}

void Admin::drain_listeners(const HttpRequest& request, const HttpServer::Respond& respond) {
  hooks_.drain(is_set(request, "inboundonly"), is_set(request, "graceful"));
  respond({.body = "OK\n"});
}

void Admin::quit(const HttpRequest&, const HttpServer::Respond& respond) {
  respond({.body = "OK\n"});
  hooks_.quit();
}

}  // namespace weir::proxy
