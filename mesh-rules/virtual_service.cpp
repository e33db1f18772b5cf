// SPDX-License-Identifier: Apache-2.0
// What a VirtualService must be in itself; what it needs from other objects is in validate.cpp.
#include "mesh-rules/virtual_service.h"

#include <algorithm>

#include "base/text.h"
#include "mesh-rules/kinds.h"
#include "mesh-rules/resolve.h"
#include "mesh-rules/syntax.h"
#include "mesh-rules/virtual_service_tables.h"

namespace weir::mesh {
namespace {

/// Envoy's limit of a name to match.
constexpr std::size_t kLongestName = 1024;

int line_of(const Node& node, std::string_view field) {
  const Node* found = node.find(field);
  return found != nullptr ? found->line : node.line;
}

/// Shares of several destinations: all zero would send nothing anywhere.
template <class Destinations>
void check_weights(Reader& reader, const Node& node, const Destinations& route) {
  if (route.size() < 2) return;
  std::uint64_t total = 0;
  for (const auto& destination : route) total += destination.weight.value_or(0);
  const Node* list = node.find("route");
  if (total == 0)
    reader.error_at("route", *list, fmt::format("all weights of {} destinations are 0", route.size()),
                    "give at least one a weight above 0");
  if (total > UINT32_MAX) reader.error_at("route", *list, fmt::format("the weights sum up to {}", total), "at most 4294967295");
}

/// A match that takes every request ends the list (Istio drops what follows).
bool takes_all(const HttpRoute& route) {
  if (route.match.empty()) return true;
  return std::any_of(route.match.begin(), route.match.end(), [](const HttpMatch& match) {
    bool any_path = !match.uri || (match.uri->kind == StringMatch::Kind::prefix && match.uri->text == "/") ||
                    (match.uri->kind == StringMatch::Kind::regex && match.uri->text == ".*");
    return any_path && !match.scheme && !match.method && !match.authority && match.headers.empty() &&
           match.without_headers.empty() && match.query_params.empty() && !match.port && match.source_labels.empty() &&
           match.source_namespace.empty() && match.gateways.empty();
  });
}

void check_actions(Reader& reader, const Node& node, const HttpRoute& route) {
  int actions = (node.find("route") != nullptr ? 1 : 0) + (route.redirect ? 1 : 0) + (route.direct_response ? 1 : 0);
  if (node.find("delegate") != nullptr) return;
  if (actions == 0) reader.error(node.line, "the route does nothing", "give it route, redirect or directResponse");
  if (actions > 1) reader.error(node.line, "only one of route, redirect and directResponse may be given");
  if (actions == 1 && node.find("route") != nullptr && route.route.empty() && node.find("route")->is_list()) {
    reader.error_at("route", *node.find("route"), "the list is empty", "give at least one destination");
  }
  if (!route.route.empty() || actions != 1) return;
  for (std::string_view field : {"rewrite", "timeout", "retries", "mirror", "mirrors"}) {
    if (const Node* found = node.find(field)) reader.error_at(field, *found, "has no meaning without route");
  }
}

}  // namespace

bool is_label(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  if (!alnum(text.front()) || !alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

void check_host(Reader& reader, int line, std::string_view host, bool allow_wildcard) {
  if (host.empty()) return reader.error(line, "the host is empty");
  std::string_view rest = host;
  if (is_wildcard(host)) {
    if (!allow_wildcard) return reader.error(line, fmt::format("\"{}\" is a wildcard", printable(host)), "name one host");
    rest.remove_prefix(host == "*" ? 1 : host.starts_with("*.") ? 2 : 0);
  }
  bool fine = rest.empty() || rest.size() <= 253;
  for (std::string_view part : split(rest, '.')) {
    fine = fine && (rest.empty() || (is_label(part) || (part.empty() && rest.ends_with('.'))));
  }
  if (!fine && !IpAddr::parse(host)) {
    reader.error(line, fmt::format("\"{}\" is not a host name", printable(host)),
                 "write reviews, reviews.default.svc.cluster.local or *.example.com");
  }
}

void check_export_to(Reader& reader, const Node& spec, const std::vector<std::string>& export_to) {
  const auto items = yaml::items_read(spec.find("exportTo"));
  for (std::size_t i = 0; i < export_to.size() && i < items.size(); ++i) {
    const std::string& to = export_to[i];
    if (to == "*" || to == "." || to == "~" || is_label(to)) continue;
    Reader::Step step(reader, "exportTo");
    reader.error(items[i]->line, fmt::format("\"{}\" is not a namespace", printable(to)), "use a name, \".\", \"*\" or \"~\"");
  }
}

void Table<Destination>::check(Reader& reader, const Node& node, Destination& out) {
  if (const Node* host = node.find("host"); host != nullptr && host->is_scalar()) {
    Reader::Step step(reader, "host");
    check_host(reader, host->line, out.host, false);
  }
  if (!out.subset.empty() && !is_label(out.subset)) {
    reader.error_at("subset", *node.find("subset"), fmt::format("\"{}\" is not a subset name", printable(out.subset)),
                    "letters, digits and dashes");
  }
}

void Table<HttpMatch>::check(Reader& reader, const Node& node, HttpMatch& out) {
  for (std::string_view field : {"headers", "withoutHeaders", "queryParams"}) {
    const Node* map = node.find(field);
    for (const yaml::Entry& entry : map != nullptr ? map->entries : std::vector<yaml::Entry>()) {
      Reader::Step step(reader, field);
      Reader::Step name(reader, entry.key);
      if (entry.key.starts_with("@request.auth")) {
        reader.error(entry.line, "matching on claims of a token is not supported yet, refused", "match on a header instead");
      } else if (entry.key.empty()) {
        reader.error(entry.line, "the name is empty");
      } else if (entry.key.size() > kLongestName) {
        reader.error(entry.line, fmt::format("the name has {} bytes", entry.key.size()), fmt::format("at most {}", kLongestName));
      } else if (field != "queryParams" && !is_header_name(std::string_view(entry.key).substr(entry.key[0] == ':' ? 1 : 0))) {
        reader.error(entry.line, fmt::format("\"{}\" is not a header name", printable(entry.key)));
      }
    }
  }
  auto presence_only = [](const std::optional<StringMatch>& match) {
    return match && match->kind == StringMatch::Kind::presence;
  };
  if (presence_only(out.uri)) out.uri.reset();
  if (presence_only(out.scheme)) out.scheme.reset();
  if (presence_only(out.method)) out.method.reset();
  if (presence_only(out.authority)) out.authority.reset();
}

void Table<HttpRoute>::mirror(Reader& reader, const Node& node, HttpRoute& out) {
  HttpMirror mirror;
  mirror.where = reader.ref(node);
  Decoder<Destination>::read(reader, node, mirror.destination);
  out.mirrors.insert(out.mirrors.begin(), std::move(mirror));
}

void Table<HttpRoute>::check(Reader& reader, const Node& node, HttpRoute& out) {
  check_actions(reader, node, out);
  check_weights(reader, node, out.route);
  check_duration(reader, node, "timeout", out.timeout);
  const Node* mirror = node.find("mirror");
  if (mirror != nullptr && node.find("mirrors") != nullptr)
    reader.error_at("mirrors", *node.find("mirrors"), "only one of mirror and mirrors may be given");
  const Node* percentage = node.find("mirrorPercentage");
  const Node* percent = node.find("mirrorPercent");
  double share = 100;
  if (percentage != nullptr) {
    Reader::Step step(reader, "mirrorPercentage");
    share = read_percentage(reader, *percentage);
  } else if (percent != nullptr) {
    Reader::Step step(reader, "mirrorPercent");
    share = read_whole_percentage(reader, *percent);
  }
  if (mirror != nullptr && !out.mirrors.empty()) out.mirrors.front().percentage = share;
  for (const HttpDestination& destination : out.route) {
    if (out.route.size() > 1 && !destination.weight) {
      reader.warning(destination.where.line,
                     fmt::format("destination {} has no weight and gets nothing", destination.destination.host), "add a weight");
    }
  }
}

void Table<TcpMatch>::check(Reader& reader, const Node& node, TcpMatch& out) {
  const auto items = yaml::items_read(node.find("destinationSubnets"));
  for (std::size_t i = 0; i < out.destination_subnets.size() && i < items.size(); ++i) {
    if (Cidr::parse(out.destination_subnets[i])) continue;
    Reader::Step step(reader, "destinationSubnets");
    Reader::Step item(reader, i);
    reader.error(items[i]->line, fmt::format("\"{}\" is not a subnet", printable(out.destination_subnets[i])),
                 "write 10.0.0.0/8 or fd00::/8");
  }
}

void Table<TlsMatch>::check(Reader& reader, const Node& node, TlsMatch& out) {
  Table<TcpMatch>::check(reader, node, out);
  const auto items = yaml::items_read(node.find("sniHosts"));
  for (std::size_t i = 0; i < out.sni_hosts.size() && i < items.size(); ++i) {
    Reader::Step step(reader, "sniHosts");
    Reader::Step item(reader, i);
    const std::string& name = out.sni_hosts[i];
    check_host(reader, items[i]->line, name, true);
    if (is_wildcard(name) && (!name.starts_with("*.") || name.size() < 3)) {
      reader.error(items[i]->line, fmt::format("\"{}\" cannot be matched", printable(name)),
                   "a wildcard is written *.example.com");
    }
  }
}

void Table<TcpRoute>::check(Reader& reader, const Node& node, TcpRoute& out) { check_weights(reader, node, out.route); }
void Table<TlsRoute>::check(Reader& reader, const Node& node, TlsRoute& out) { check_weights(reader, node, out.route); }

void Table<VirtualService>::check(Reader& reader, const Node& node, VirtualService& out) {
  const Node* hosts = node.find("hosts");
  if (hosts != nullptr && hosts->is_list() && hosts->items.empty())
    reader.error_at("hosts", *hosts, "the list is empty", "delegates are not supported yet");
  const auto items = yaml::items_read(hosts);
  for (std::size_t i = 0; i < out.hosts.size() && i < items.size(); ++i) {
    Reader::Step step(reader, "hosts");
    Reader::Step item(reader, i);
    check_host(reader, items[i]->line, out.hosts[i], true);
    if (out.hosts[i] == "*" && applies_to_mesh(out.gateways)) {
      reader.error(items[i]->line, "\"*\" cannot be used for the mesh", "name the hosts, or bind it to gateways only");
    }
    if (std::find(out.hosts.begin(), out.hosts.begin() + static_cast<std::ptrdiff_t>(i), out.hosts[i]) !=
        out.hosts.begin() + static_cast<std::ptrdiff_t>(i)) {
      reader.error(items[i]->line, fmt::format("\"{}\" is listed twice", out.hosts[i]));
    }
  }
  if (out.http.empty() && out.tls.empty() && out.tcp.empty())
    reader.error(line_of(node, "http"), "no routes", "give http, tls or tcp");
  for (std::size_t i = 0; i + 1 < out.http.size(); ++i) {
    if (!takes_all(out.http[i])) continue;
    Reader::Step step(reader, "http");
    Reader::Step item(reader, i + 1);
    reader.warning(out.http[i + 1].where.line,
                   fmt::format("never reached: the route of line {} takes every request", out.http[i].where.line),
                   "put it before that one");
    break;
  }
  check_export_to(reader, node, out.export_to);
  for (std::size_t i = 0; i < out.tls.size(); ++i) {
    for (const TlsMatch& match : out.tls[i].match) {
      for (const std::string& sni : match.sni_hosts) {
        bool listed = std::any_of(out.hosts.begin(), out.hosts.end(), [&](const std::string& host) { return covers(host, sni); });
        if (!listed)
          reader.error(match.where.line, fmt::format("server name \"{}\" is not among the hosts", printable(sni)),
                       "add it to spec.hosts");
      }
    }
  }
}

void read_object(Reader& reader, const Node& node, VirtualService& out) { read_whole(reader, node, out); }

void describe_virtual_service(std::string& out) { describe_rows<VirtualService>(out, "spec."); }

}  // namespace weir::mesh
