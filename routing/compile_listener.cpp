// SPDX-License-Identifier: Apache-2.0
#include "routing/compile_listener.h"

#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_chain.h"
#include "routing/compile_route.h"
#include "routing/unpack.h"
#include "xds/proto/http_inspector.pb.h"
#include "xds/proto/original_dst.pb.h"
#include "xds/proto/original_src.pb.h"
#include "xds/proto/tls_inspector.pb.h"

namespace weir::routing {

namespace {

namespace filters = envoy::extensions::filters::listener;
using Predicate = listener_v3::ListenerFilterChainMatchPredicate;

void add_ports(const Predicate& predicate, const std::string& path, CompileContext& context, PortSet& ports) {
  switch (predicate.rule_case()) {
    case Predicate::kOrMatch:
      for (int i = 0; i < predicate.or_match().rules_size(); ++i) {
        add_ports(predicate.or_match().rules(i), fmt::format("{}.or_match.rules[{}]", path, i), context, ports);
      }
      break;
    case Predicate::kAnyMatch:
      if (predicate.any_match()) ports.add(PortRange{0, 65535});
      break;
    case Predicate::kDestinationPortRange: {
      int first = predicate.destination_port_range().start(), end = predicate.destination_port_range().end();
      if (first < 0 || end > 65536 || first >= end) {
        context.error(path + ".destination_port_range", fmt::format("[{}, {}) is no range of ports", first, end));
        break;
      }
      ports.add(PortRange{static_cast<Port>(first), static_cast<Port>(end - 1)});  // the end is excluded
      break;
    }
    default:
      context.not_supported("filter_disabled", path, "only or_match, any_match and destination_port_range are implemented");
  }
}

void compile_listener_filter(const listener_v3::ListenerFilter& filter, const std::string& path, CompileContext& context,
                             Listener& listener) {
  const google::protobuf::Any& any = filter.typed_config();
  if (any.Is<filters::http_inspector::v3::HttpInspector>()) {
    listener.detect_http = true;
    if (filter.has_filter_disabled()) {
      add_ports(filter.filter_disabled(), path + ".filter_disabled", context, listener.detect_http_off);
    }
  } else if (any.Is<filters::tls_inspector::v3::TlsInspector>()) {
    unpack<filters::tls_inspector::v3::TlsInspector>(any, path + ".typed_config", context);
    listener.detect_tls = true;
    if (filter.has_filter_disabled()) {
      add_ports(filter.filter_disabled(), path + ".filter_disabled", context, listener.detect_tls_off);
    }
  } else if (any.Is<filters::original_src::v3::OriginalSrc>()) {
    listener.original_src_mark = unpack<filters::original_src::v3::OriginalSrc>(any, path + ".typed_config", context).mark();
    if (filter.has_filter_disabled())
      context.error(path + ".filter_disabled", "the client's address is kept on every connection of a listener or on none");
  } else if (!any.Is<filters::original_dst::v3::OriginalDst>()) {  // which is asked of every socket anyway
    std::string title = filter_title(filter.name(), any);
    std::string reason = guard_reason(any.type_url(), filter.name());
    context.error(path, reason.empty() ? fmt::format("listener filter {} is not implemented", title) : reason);
  }
}

void compile_addresses(const listener_v3::Listener& config, CompileContext& context, Listener& listener) {
  listener.address = to_socket_addr(config.address(), "address", context);
  for (int i = 0; i < config.additional_addresses_size(); ++i) {
    std::string here = fmt::format("additional_addresses[{}].address", i);
    listener.additional.push_back(to_socket_addr(config.additional_addresses(i).address(), here, context));
  }
}

std::string criteria_text(const ChainMatch& match) {
  std::string text = match.destination_port ? fmt::format("{}", *match.destination_port) : "";
  auto add = [&](const auto& items, auto&& to_text_of) {
    std::vector<std::string> texts;
    texts.reserve(items.size());
    for (const auto& item : items) texts.push_back(to_text_of(item));
    std::sort(texts.begin(), texts.end());
    text += '|' + join(texts, ",");
  };
  auto cidr = [](const Cidr& item) { return item.to_text(); };
  auto same = [](const std::string& item) { return item; };
  add(match.prefixes, cidr);
  add(match.server_names, same);
  text += '|' + match.transport_protocol;
  add(match.application_protocols, same);
  add(match.source_prefixes, cidr);
  return text;
}

void compile_chains(const listener_v3::Listener& config, CompileContext& context, Listener& listener) {
  std::map<std::string, int> seen;
  for (int i = 0; i < config.filter_chains_size(); ++i) {
    std::string here = fmt::format("filter_chains[{}]", i);
    listener.chains.push_back(compile_chain(config.filter_chains(i), here, context));
    auto [first, is_new] = seen.emplace(criteria_text(listener.chains.back().match), i);
    if (!is_new) context.error(here + ".filter_chain_match", fmt::format("it equals that of filter_chains[{}]", first->second));
  }
  if (config.has_default_filter_chain()) {
    listener.default_chain = compile_chain(config.default_filter_chain(), "default_filter_chain", context);
  }
  if (config.filter_chains().empty() && !config.has_default_filter_chain()) {
    context.error("filter_chains", "the listener has no filter chain");
  }
}

}  // namespace

SocketAddr to_socket_addr(const envoy::config::core::v3::Address& address, const std::string& path, CompileContext& context) {
  const auto& socket = address.socket_address();
  if (!address.has_socket_address()) {
    if (address.address_case() == envoy::config::core::v3::Address::ADDRESS_NOT_SET) context.error(path, "there is no address");
    return {};  // the audit refuses the other kinds
  }
  if (socket.protocol() != envoy::config::core::v3::SocketAddress::TCP) context.error(path, "only TCP is listened on");
  auto ip = IpAddr::parse(socket.address());
  if (!ip) context.error(path + ".socket_address.address", ip.error().message());
  if (socket.port_value() > 65535) {
    context.error(path + ".socket_address.port_value", fmt::format("port {} is too large", socket.port_value()),
                  "use 0 to 65535");
  }
  return {ip.value_or(IpAddr{}), static_cast<Port>(socket.port_value())};
}

Result<std::shared_ptr<const Listener>> compile_listener(const envoy::config::listener::v3::Listener& config,
                                                         std::vector<Problem>& unsupported) {
  CompileContext context(fmt::format("Listener \"{}\"", printable(config.name())), unsupported);
  audit_fields(config, "", context);
  auto listener = std::make_shared<Listener>();
  listener->name = config.name();
  compile_addresses(config, context, *listener);
  listener->bind_to_port = config.has_bind_to_port()                   ? config.bind_to_port().value()
                           : config.deprecated_v1().has_bind_to_port() ? config.deprecated_v1().bind_to_port().value()
                                                                       : true;
  listener->use_original_dst = config.use_original_dst().value();
  listener->transparent = config.transparent().value();
  if (config.traffic_direction() == envoy::config::core::v3::INBOUND) listener->direction = Direction::inbound;
  if (config.traffic_direction() == envoy::config::core::v3::OUTBOUND) listener->direction = Direction::outbound;
  for (int i = 0; i < config.listener_filters_size(); ++i) {
    compile_listener_filter(config.listener_filters(i), fmt::format("listener_filters[{}]", i), context, *listener);
  }
  if (config.has_listener_filters_timeout()) {
    listener->detect_timeout = to_milliseconds(config.listener_filters_timeout(), "listener_filters_timeout", context);
  }
  listener->continue_on_detect_timeout = config.continue_on_listener_filters_timeout();
  listener->access_logs = compile_logs(config.access_log(), "access_log", context);
  compile_chains(config, context, *listener);
  if (context.failed()) return tl::unexpected(context.to_error());
  return std::shared_ptr<const Listener>(std::move(listener));
}

}  // namespace weir::routing
