// SPDX-License-Identifier: Apache-2.0
// Private to the room: the fields of a VirtualService. To add a match or an action: a member in virtual_service.h, a row here.
#pragma once

#include "mesh-rules/codec.h"

namespace weir::mesh {

inline void read_port_number(Reader& r, const Node& n, std::optional<std::uint32_t>& out) {
  Port port = 0;
  Decoder<Port>::read(r, n, port);
  if (port != 0) out = port;
}

/// Durations below 1ms are refused, as in Istio.
void check_duration(Reader& reader, const Node& node, std::string_view field, const std::optional<Nanoseconds>& value);
/// `{value: 12.5}` and the older whole number.
double read_percentage(Reader& reader, const Node& node);
double read_whole_percentage(Reader& reader, const Node& node);

/// `port: {number: 80}`
struct PortSelector {
  Port number = 0;
};
template <>
struct Table<PortSelector> : Rows<PortSelector> {
  static constexpr Field<PortSelector> rows[] = {required<&PortSelector::number>("number", "port number")};
};

template <>
struct Table<Destination> : Rows<Destination> {
  static void port(Reader& r, const Node& n, Destination& out) {
    PortSelector selector;
    read_table(r, n, selector);
    if (selector.number != 0) out.port = selector.number;
  }
  static constexpr Field<Destination> rows[] = {
      required<&Destination::host>("host", "service, short or full name"),
      acts<&Destination::subset>("subset", "a subset of the host's DestinationRule"),
      custom("port", port, "{number}; may be left out if the service has one port"),
  };
  static void check(Reader& reader, const Node& node, Destination& out);
};

template <>
struct Table<HttpMatch> : Rows<HttpMatch> {
  static void port(Reader& r, const Node& n, HttpMatch& out) { read_port_number(r, n, out.port); }
  static constexpr Field<HttpMatch> rows[] = {
      acts<&HttpMatch::name>("name", "joined to the route's name in logs"),
      acts<&HttpMatch::uri>("uri", "exact, prefix or regex of the path"),
      acts<&HttpMatch::scheme>("scheme", "exact, prefix or regex"),
      acts<&HttpMatch::method>("method", "exact, prefix or regex"),
      acts<&HttpMatch::authority>("authority", "exact, prefix or regex of Host as sent, case-sensitive"),
      acts<&HttpMatch::headers>("headers", "name → exact, prefix, regex; {} = presence"),
      custom("port", port, "port the request was addressed to"),
      acts<&HttpMatch::source_labels>("sourceLabels", "labels that the caller's Pod must have"),
      acts<&HttpMatch::gateways>("gateways", "only \"mesh\" has an effect on sidecars"),
      acts<&HttpMatch::query_params>("queryParams", "name → exact, prefix, regex; first value counts"),
      acts<&HttpMatch::ignore_uri_case>("ignoreUriCase", "for exact and prefix uri"),
      acts<&HttpMatch::without_headers>("withoutHeaders", "the header must not match"),
      acts<&HttpMatch::source_namespace>("sourceNamespace", "namespace of the caller"),
      acts<&HttpMatch::stat_prefix>("statPrefix", "prefix of the route's statistics"),
  };
  static void check(Reader& reader, const Node& node, HttpMatch& out);
};

template <>
struct Table<HeaderOperations> : Rows<HeaderOperations> {
  static constexpr Field<HeaderOperations> rows[] = {
      acts<&HeaderOperations::set>("set", "overwrite"),
      acts<&HeaderOperations::add>("add", "append"),
      acts<&HeaderOperations::remove>("remove", "remove"),
  };
  static void check(Reader& reader, const Node& node, HeaderOperations& out);
};

template <>
struct Table<Headers> : Rows<Headers> {
  static constexpr Field<Headers> rows[] = {
      acts<&Headers::request>("request", "before forwarding"),
      acts<&Headers::response>("response", "before answering"),
  };
};

template <>
struct Table<HttpDestination> : Rows<HttpDestination> {
  static constexpr Field<HttpDestination> rows[] = {
      required<&HttpDestination::destination>("destination", "where to"),
      acts<&HttpDestination::weight>("weight", "relative share"),
      acts<&HttpDestination::headers>("headers", "changes for this destination only"),
  };
};

template <>
struct Table<HttpRedirect> : Rows<HttpRedirect> {
  static void port(Reader& r, const Node& n, HttpRedirect& out) { read_port_number(r, n, out.port); }
  static void derive(Reader& r, const Node& n, HttpRedirect& out) {
    using enum HttpRedirect::DerivePort;
    read_word(r, n, out.derive_port,
              {{"FROM_PROTOCOL_DEFAULT", from_protocol_default}, {"FROM_REQUEST_PORT", from_request_port}});
  }
  static constexpr Field<HttpRedirect> rows[] = {
      acts<&HttpRedirect::uri>("uri", "replaces the path"),
      acts<&HttpRedirect::authority>("authority", "replaces the host"),
      custom("port", port, "replaces the port"),
      custom("derivePort", derive, "FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT"),
      acts<&HttpRedirect::scheme>("scheme", "replaces the scheme"),
      acts<&HttpRedirect::code>("redirectCode", "301, 302, 303, 307 or 308"),
  };
  static void check(Reader& reader, const Node& node, HttpRedirect& out);
};

template <>
struct Table<DirectResponse> : Rows<DirectResponse> {
  static void body(Reader& r, const Node& n, DirectResponse& out);
  static constexpr Field<DirectResponse> rows[] = {
      required<&DirectResponse::status>("status", "200 to 599"),
      custom("body", body, "{string} or {bytes}, at most 1 MiB"),
  };
  static void check(Reader& reader, const Node& node, DirectResponse& out);
};

template <>
struct Table<RegexRewrite> : Rows<RegexRewrite> {
  static constexpr Field<RegexRewrite> rows[] = {
      required<&RegexRewrite::match>("match", "RE2"),
      required<&RegexRewrite::rewrite>("rewrite", "text with \\1 … groups"),
  };
  static void check(Reader& reader, const Node& node, RegexRewrite& out);
};

template <>
struct Table<HttpRewrite> : Rows<HttpRewrite> {
  static constexpr Field<HttpRewrite> rows[] = {
      acts<&HttpRewrite::uri>("uri", "replaces the matched prefix, or the path"),
      acts<&HttpRewrite::authority>("authority", "replaces Host"),
      acts<&HttpRewrite::uri_regex>("uriRegexRewrite", "RE2 replacement in the path"),
  };
  static void check(Reader& reader, const Node& node, HttpRewrite& out);
};

template <>
struct Table<HttpRetry> : Rows<HttpRetry> {
  static constexpr Field<HttpRetry> rows[] = {
      acts<&HttpRetry::attempts>("attempts", "0 = off"),
      acts<&HttpRetry::per_try_timeout>("perTryTimeout", "at least 1ms"),
      acts<&HttpRetry::retry_on>("retryOn", "Envoy's words and status codes, by commas"),
      not_yet("retryRemoteLocalities"),
      acts<&HttpRetry::ignore_previous_hosts>("retryIgnorePreviousHosts", "avoid hosts that failed already"),
      acts<&HttpRetry::backoff>("backoff", "first interval, 25ms if absent"),
  };
  static void check(Reader& reader, const Node& node, HttpRetry& out);
};

/// `percentage: {value: 50.0}`
struct Percentage {
  double value = 0;
};
template <>
struct Table<Percentage> : Rows<Percentage> {
  static constexpr Field<Percentage> rows[] = {acts<&Percentage::value>("value", "0 to 100")};
  static void check(Reader& reader, const Node& node, Percentage& out);
};

template <>
struct Table<FaultDelay> : Rows<FaultDelay> {
  static void percentage(Reader& r, const Node& n, FaultDelay& out);
  static void percent(Reader& r, const Node& n, FaultDelay& out);
  static constexpr Field<FaultDelay> rows[] = {
      required<&FaultDelay::fixed_delay>("fixedDelay", "at least 1ms"),
      custom("percentage", percentage, "{value}; absent = 0, as in Istio"),
      custom("percent", percent, "older form of percentage"),
      not_yet("exponentialDelay"),
  };
  static void check(Reader& reader, const Node& node, FaultDelay& out);
};

template <>
struct Table<FaultAbort> : Rows<FaultAbort> {
  static void percentage(Reader& r, const Node& n, FaultAbort& out);
  static constexpr Field<FaultAbort> rows[] = {
      acts<&FaultAbort::http_status>("httpStatus", "200 to 599"),
      acts<&FaultAbort::grpc_status>("grpcStatus", "name or number"),
      not_yet("http2Error"),
      custom("percentage", percentage, "{value}; absent = 0, as in Istio"),
  };
  static void check(Reader& reader, const Node& node, FaultAbort& out);
};

template <>
struct Table<HttpFault> : Rows<HttpFault> {
  static constexpr Field<HttpFault> rows[] = {
      acts<&HttpFault::delay>("delay", "before forwarding"),
      acts<&HttpFault::abort>("abort", "instead of forwarding"),
  };
};

template <>
struct Table<HttpMirror> : Rows<HttpMirror> {
  static void percentage(Reader& r, const Node& n, HttpMirror& out);
  static constexpr Field<HttpMirror> rows[] = {
      required<&HttpMirror::destination>("destination", "gets a copy, its answer is dropped"),
      custom("percentage", percentage, "{value}; absent = 100"),
  };
};

template <>
struct Table<CorsPolicy> : Rows<CorsPolicy> {
  static void old_origins(Reader& r, const Node& n, CorsPolicy& out);
  static void unmatched(Reader& r, const Node& n, CorsPolicy& out) {
    read_word(r, n, out.forward_unmatched_preflights, {{"UNSPECIFIED", true}, {"FORWARD", true}, {"IGNORE", false}});
  }
  static constexpr Field<CorsPolicy> rows[] = {
      acts<&CorsPolicy::allow_origins>("allowOrigins", "exact, prefix or regex"),
      custom("allowOrigin", old_origins, "older form, exact"),
      acts<&CorsPolicy::allow_methods>("allowMethods", ""),
      acts<&CorsPolicy::allow_headers>("allowHeaders", ""),
      acts<&CorsPolicy::expose_headers>("exposeHeaders", ""),
      acts<&CorsPolicy::max_age>("maxAge", "whole seconds"),
      acts<&CorsPolicy::allow_credentials>("allowCredentials", ""),
      custom("unmatchedPreflights", unmatched, "FORWARD (default) or IGNORE"),
  };
};

template <>
struct Table<HttpRoute> : Rows<HttpRoute> {
  static void mirror(Reader& r, const Node& n, HttpRoute& out);
  static void mirror_share(Reader&, const Node&, HttpRoute&) {}  // read with `mirror`, in check()
  static constexpr Field<HttpRoute> rows[] = {
      acts<&HttpRoute::name>("name", "shown in logs"),
      acts<&HttpRoute::match>("match", "any of them; absent = every request"),
      acts<&HttpRoute::route>("route", "one destination, or several by weight"),
      acts<&HttpRoute::redirect>("redirect", "answers with a redirection"),
      acts<&HttpRoute::direct_response>("directResponse", "answers at once"),
      refused("delegate", "write the routes into this VirtualService"),
      acts<&HttpRoute::rewrite>("rewrite", "before forwarding"),
      acts<&HttpRoute::timeout>("timeout", "at least 1ms; absent = none"),
      acts<&HttpRoute::retries>("retries", "absent = 2, for failures before the request was processed"),
      acts<&HttpRoute::fault>("fault", "delay and abort"),
      custom("mirror", mirror, "destination of a copy"),
      acts<&HttpRoute::mirrors>("mirrors", "several, each with its percentage"),
      custom("mirrorPercentage", mirror_share, "{value}; absent = 100"),
      custom("mirrorPercent", mirror_share, "older form"),
      acts<&HttpRoute::cors>("corsPolicy", "answers preflights"),
      acts<&HttpRoute::headers>("headers", "changes for all destinations"),
  };
  static void check(Reader& reader, const Node& node, HttpRoute& out);
};

template <>
struct Table<RouteDestination> : Rows<RouteDestination> {
  static constexpr Field<RouteDestination> rows[] = {
      required<&RouteDestination::destination>("destination", "where to"),
      acts<&RouteDestination::weight>("weight", "relative share"),
  };
};

template <>
struct Table<TcpMatch> : Rows<TcpMatch> {
  static void port(Reader& r, const Node& n, TcpMatch& out) { read_port_number(r, n, out.port); }
  static constexpr Field<TcpMatch> rows[] = {
      acts<&TcpMatch::destination_subnets>("destinationSubnets", "original destination in one of them"),
      custom("port", port, "original port"),
      acts<&TcpMatch::source_labels>("sourceLabels", "labels that the caller's Pod must have"),
      acts<&TcpMatch::gateways>("gateways", "only \"mesh\" has an effect on sidecars"),
      acts<&TcpMatch::source_namespace>("sourceNamespace", "namespace of the caller"),
      not_yet("sourceSubnet"),
  };
  static void check(Reader& reader, const Node& node, TcpMatch& out);
};

template <>
struct Table<TlsMatch> : Rows<TlsMatch> {
  static void port(Reader& r, const Node& n, TlsMatch& out) { read_port_number(r, n, out.port); }
  static constexpr Field<TlsMatch> rows[] = {
      required<&TlsMatch::sni_hosts>("sniHosts", "server names; must be among the hosts"),
      acts<&TlsMatch::destination_subnets>("destinationSubnets", "original destination in one of them"),
      custom("port", port, "original port"),
      acts<&TlsMatch::source_labels>("sourceLabels", "labels that the caller's Pod must have"),
      acts<&TlsMatch::gateways>("gateways", "only \"mesh\" has an effect on sidecars"),
      acts<&TlsMatch::source_namespace>("sourceNamespace", "namespace of the caller"),
  };
  static void check(Reader& reader, const Node& node, TlsMatch& out);
};

template <>
struct Table<TcpRoute> : Rows<TcpRoute> {
  static constexpr Field<TcpRoute> rows[] = {
      acts<&TcpRoute::match>("match", "any of them; absent = every connection"),
      required<&TcpRoute::route>("route", "one destination, or several by weight"),
  };
  static void check(Reader& reader, const Node& node, TcpRoute& out);
};

template <>
struct Table<TlsRoute> : Rows<TlsRoute> {
  static constexpr Field<TlsRoute> rows[] = {
      required<&TlsRoute::match>("match", "any of them"),
      required<&TlsRoute::route>("route", "one destination, or several by weight"),
  };
  static void check(Reader& reader, const Node& node, TlsRoute& out);
};

template <>
struct Table<VirtualService> : Rows<VirtualService> {
  static constexpr Field<VirtualService> rows[] = {
      required<&VirtualService::hosts>("hosts", "to which calls it applies"),
      acts<&VirtualService::gateways>("gateways", "absent or \"mesh\": sidecars"),
      acts<&VirtualService::http>("http", "first match wins"),
      acts<&VirtualService::tls>("tls", "by server name"),
      acts<&VirtualService::tcp>("tcp", "first match wins"),
      acts<&VirtualService::export_to>("exportTo", "namespaces, \".\", \"*\" or \"~\""),
  };
  static void check(Reader& reader, const Node& node, VirtualService& out);
};

}  // namespace weir::mesh
