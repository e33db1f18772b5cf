// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/mesh_config.h"

#include <boost/json/value.hpp>

#include "base/json.h"
#include "mesh-rules/kinds.h"
#include "mesh-rules/syntax.h"

namespace weir::mesh {
namespace {

/// "" if a proxy can compile the format; a proxy would refuse the whole listener otherwise.
std::string check_log_format(const MeshConfig& config) {
  if (config.log_encoding == MeshConfig::LogEncoding::text) return check_format(config.access_log_format);
  Result<boost::json::value> json = parse_json(config.access_log_format);
  if (!json) return json.error().to_text();
  if (!json->is_object()) return "the encoding is JSON, so this must be a JSON object";
  for (const auto& [key, value] : json->as_object()) {
    if (!value.is_string()) return fmt::format("\"{}\" must be a text of operators", std::string(key));
    if (std::string problem = check_format(value.as_string()); !problem.empty()) return problem;
  }
  return "";
}

}  // namespace

struct OutboundTrafficPolicy {
  MeshConfig::OutboundPolicy mode = MeshConfig::OutboundPolicy::allow_any;
};
template <>
struct Table<OutboundTrafficPolicy> : Rows<OutboundTrafficPolicy> {
  static void read_mode(Reader& r, const Node& n, OutboundTrafficPolicy& out) {
    using enum MeshConfig::OutboundPolicy;
    read_word(r, n, out.mode, {{"ALLOW_ANY", allow_any}, {"REGISTRY_ONLY", registry_only}});
  }
  static constexpr Field<OutboundTrafficPolicy> rows[] = {custom("mode", read_mode, "ALLOW_ANY or REGISTRY_ONLY")};
};

template <>
struct Table<MeshConfig> : Rows<MeshConfig> {
  static void outbound(Reader& r, const Node& n, MeshConfig& out) {
    OutboundTrafficPolicy policy;
    read_table(r, n, policy);
    out.outbound = policy.mode;
  }
  static void encoding(Reader& r, const Node& n, MeshConfig& out) {
    using enum MeshConfig::LogEncoding;
    read_word(r, n, out.log_encoding, {{"TEXT", text}, {"JSON", json}});
  }
  static constexpr Field<MeshConfig> rows[] = {
      {"outboundTrafficPolicy", Use::acts, false, "", outbound,
       [](std::string& out, const std::string& p) { describe_rows<OutboundTrafficPolicy>(out, p + "."); }},
      acts<&MeshConfig::access_log_file>("accessLogFile", "a path such as /dev/stdout; empty = off"),
      custom("accessLogEncoding", encoding, "TEXT or JSON"),
      acts<&MeshConfig::access_log_format>("accessLogFormat", "Envoy's operators; empty = the default"),
      acts<&MeshConfig::connect_timeout>("connectTimeout", "10s if absent"),
      not_yet("protocolDetectionTimeout"),
      not_yet("tcpKeepalive"),
      not_yet("ingressClass"),
      not_yet("ingressService"),
      not_yet("ingressControllerMode"),
      not_yet("ingressSelector"),
      not_yet("enableTracing"),
      not_yet("defaultConfig"),
      not_yet("rootNamespace"),
      not_yet("trustDomain"),
      not_yet("trustDomainAliases"),
      not_yet("defaultServiceExportTo"),
      not_yet("defaultVirtualServiceExportTo"),
      not_yet("defaultDestinationRuleExportTo"),
      not_yet("localityLbSetting"),
      not_yet("enableAutoMtls"),
      not_yet("inboundTrafficPolicy"),
      not_yet("extensionProviders"),
      not_yet("defaultProviders"),
      not_yet("discoverySelectors"),
      not_yet("pathNormalization"),
      not_yet("defaultHttpRetryPolicy"),
      not_yet("meshMTLS"),
      not_yet("tlsDefaults"),
      not_yet("caCertificates"),
      not_yet("certificates"),
      not_yet("dnsRefreshRate"),
      not_yet("h2UpgradePolicy"),
      not_yet("disableEnvoyListenerLog"),
      not_yet("enableEnvoyAccessLogService"),
      not_yet("enablePrometheusMerge"),
      not_yet("outboundClusterStatName"),
      not_yet("inboundClusterStatName"),
      not_yet("verifyCertificateAtClient"),
      not_yet("serviceSettings"),
      not_yet("configSources"),
      not_yet("proxyListenPort"),
      not_yet("proxyInboundListenPort"),
      not_yet("proxyHttpPort"),
      not_yet("thriftConfig"),
      not_yet("mixerCheckServer"),
      not_yet("defaultTrafficPolicy"),
  };
  static void check(Reader& reader, const Node& node, MeshConfig& out) {
    const Node* timeout = node.find("connectTimeout");
    if (timeout != nullptr && out.connect_timeout < std::chrono::milliseconds(1)) {
      reader.error_at("connectTimeout", *timeout, "too short", "use at least 1ms");
    }
    const Node* format = node.find("accessLogFormat");
    if (format != nullptr && !out.access_log_format.empty()) {
      std::string problem = check_log_format(out);
      if (!problem.empty())
        reader.error_at("accessLogFormat", *format, std::move(problem), "use Envoy's operators; %% is a percent sign");
    }
    const Node* log = node.find("accessLogFile");
    if (log != nullptr && !out.access_log_file.empty() && out.access_log_file[0] != '/') {
      reader.error_at("accessLogFile", *log, fmt::format("\"{}\" is not an absolute path", out.access_log_file),
                      "write /dev/stdout, /dev/stderr or a file");
    }
  }
};

ParsedMeshConfig parse_mesh_config(std::string_view file, std::string_view text) {
  ParsedMeshConfig out;
  yaml::Documents documents = yaml::read(file, text);
  out.problems = std::move(documents.problems);
  if (documents.documents.empty()) return out;
  const Node& root = *documents.documents.front();
  Reader reader(file, "MeshConfig", out.problems);
  if (documents.documents.size() > 1)
    reader.error(documents.documents[1]->line, "a second document", "a MeshConfig is one document");
  for (const yaml::Duplicate& duplicate : yaml::duplicates(root)) {
    Reader::Step step(reader, duplicate.path);
    reader.error(duplicate.line, fmt::format("the key is given already in line {}", duplicate.first_line), "remove one of them");
  }
  read_table(reader, root, out.config);
  sort_problems(out.problems);
  return out;
}

void describe_mesh_config(std::string& out) { describe_rows<MeshConfig>(out, ""); }

}  // namespace weir::mesh
