// SPDX-License-Identifier: Apache-2.0
#include "proxy/identity.h"

#include <algorithm>

#include <google/protobuf/struct.pb.h>

#include "base/text.h"
#include "xds/messages.h"
#include "xds/node.h"
#include "xds/proto/core.pb.h"

namespace weir::proxy {

namespace {

using Labels = std::map<std::string, std::string>;
constexpr std::string_view kMeta = "ISTIO_META_";
constexpr std::string_view kMetaJson = "ISTIO_METAJSON_";

class Maker {
 public:
  Maker(const IdentityFlags& flags, const Host& host, std::vector<Problem>& problems)
      : flags_(flags), host_(host), problems_(problems) {}

  Identity run() {
    read_labels();
    xds::NodeIdentity node;
    node.type = flags_.type;
    node.name = first({flags_.name, env("POD_NAME"), env("ISTIO_META_NAME"), host_.hostname, "proxy"});
    node.ns = first({flags_.ns, env("POD_NAMESPACE"), env("ISTIO_META_NAMESPACE"), "default"});
    read_addresses(node);
    node.domain = domain(node.ns);
    node.labels = labels_;
    node.user_agent = "weir " WEIR_VERSION;
    const std::string app = first({label("app"), label("app.kubernetes.io/name"), env("ISTIO_META_WORKLOAD_NAME"), node.name});
    node.cluster = first({flags_.cluster, app + "." + node.ns});
    node.id = flags_.node_id.empty()
                  ? fmt::format("{}~{}~{}.{}~{}", node.type, node.ips.front().to_text(), node.name, node.ns, node.domain)
                  : flags_.node_id;
    auto message = std::make_shared<envoy::config::core::v3::Node>(xds::make_node(node));
    add_metadata(*message->mutable_metadata());
    if (auto parsed = xds::parse_node(*message); !parsed) error("node id", parsed.error().to_text(), "");
    return {message, node.id, workload(node, app)};
  }

 private:
  void error(std::string object, std::string message, std::string hint) {
    problems_.push_back({Severity::error, {}, std::move(object), "", std::move(message), std::move(hint)});
  }
  std::string env(const std::string& name) const { return host_.environment(name).value_or(""); }
  static std::string first(std::initializer_list<std::string> candidates) {
    for (const std::string& candidate : candidates)
      if (!candidate.empty()) return candidate;
    return {};
  }
  std::string label(const std::string& key) const {
    auto it = labels_.find(key);
    return it == labels_.end() ? "" : it->second;
  }

  /// The downward API's file, then ISTIO_METAJSON_LABELS, then flags: the later win.
  void read_labels() {
    for (std::string_view line : split(host_.pod_labels, '\n')) {
      const std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) continue;
      std::string_view value = trim(line.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      labels_[std::string(trim(line.substr(0, equals)))] = value;
    }
    if (auto text = host_.environment("ISTIO_METAJSON_LABELS")) {
      google::protobuf::Struct labels;
      if (auto read = xds::from_json(*text, labels); !read) {
        error("ISTIO_METAJSON_LABELS", read.error().to_text(), "write an object of strings, like {\"app\": \"reviews\"}");
      }
      for (const auto& [key, value] : labels.fields()) labels_[key] = value.string_value();
    }
    for (const std::string& text : flags_.labels) {
      const std::size_t equals = text.find('=');
      if (equals == std::string::npos || equals == 0) {
        error("flag --label", fmt::format("\"{}\" is no label", printable(text)), "write key=value");
      } else {
        labels_[text.substr(0, equals)] = text.substr(equals + 1);
      }
    }
  }

  void read_addresses(xds::NodeIdentity& node) {
    const std::string given = first({flags_.ip, env("INSTANCE_IP"), env("POD_IP")});
    if (!given.empty()) {
      if (auto ip = IpAddr::parse(given)) {
        node.ips.push_back(*ip);
      } else {
        error(flags_.ip.empty() ? "INSTANCE_IP" : "flag --ip", ip.error().to_text(), "give the address of the workload");
      }
    }
    std::vector<IpAddr> more = host_.addresses;
    if (auto text = host_.environment("ISTIO_META_INSTANCE_IPS"); text && !text->empty()) {
      more.clear();
      for (std::string_view part : split(*text, ',')) {
        auto ip = IpAddr::parse(trim(part));
        if (ip) more.push_back(*ip);
        if (!ip) error("ISTIO_META_INSTANCE_IPS", ip.error().to_text(), "write addresses with commas between");
      }
    }
    for (const IpAddr& ip : more)
      if (std::find(node.ips.begin(), node.ips.end(), ip) == node.ips.end()) node.ips.push_back(ip);
    if (node.ips.empty()) node.ips.push_back(IpAddr::loopback(Family::v4));
  }

  std::string domain(const std::string& ns) const {
    if (flags_.domain.empty()) return ns + ".svc.cluster.local";
    // Istio's --domain is the whole suffix, "$(POD_NAMESPACE).svc.cluster.local"; a mesh domain alone is what our agent calls so.
    if (flags_.domain.find(".svc.") != std::string::npos) return flags_.domain;
    return fmt::format("{}.svc.{}", ns, flags_.domain);
  }

  void add_metadata(google::protobuf::Struct& metadata) {
    auto& fields = *metadata.mutable_fields();
    auto set_default = [&](const char* key, const char* value) {
      if (fields.count(key) == 0) fields[key].set_string_value(value);
    };
    for (const auto& [name, value] : host_.istio_meta) {
      if (name == "ISTIO_METAJSON_LABELS" || name == "ISTIO_META_INSTANCE_IPS") continue;
      if (name.compare(0, kMetaJson.size(), kMetaJson) == 0) {
        google::protobuf::Struct more;
        if (auto read = xds::from_json(value, more); !read) {
          const std::string reason = read.error().to_text();  // the lines behind the first show the place
          error(name, reason.substr(0, reason.find('\n')), "write a JSON object");
        }
        for (const auto& [key, item] : more.fields()) fields[key] = item;
      } else if (name.compare(0, kMeta.size(), kMeta) == 0 && !value.empty()) {
        fields[name.substr(kMeta.size())].set_string_value(value);
      }
    }
    set_default("INTERCEPTION_MODE", "REDIRECT");
    if (const std::string account = env("SERVICE_ACCOUNT"); !account.empty()) set_default("SERVICE_ACCOUNT", account.c_str());
  }

  LocalWorkload workload(const xds::NodeIdentity& node, const std::string& app) const {
    LocalWorkload local;
    local.workload = first({env("ISTIO_META_WORKLOAD_NAME"), app});
    local.ns = node.ns;
    local.app = first({label("app"), "unknown"});
    local.version = first({label("version"), "unknown"});
    local.cluster = first({env("ISTIO_META_CLUSTER_ID"), "Kubernetes"});
    local.canonical_service =
        first({label("service.istio.io/canonical-name"), label("app.kubernetes.io/name"), label("app"), local.workload});
    local.canonical_revision =
        first({label("service.istio.io/canonical-revision"), label("app.kubernetes.io/version"), label("version"), "latest"});
    return local;
  }

  const IdentityFlags& flags_;
  const Host& host_;
  std::vector<Problem>& problems_;
  Labels labels_;
};

}  // namespace

Identity make_identity(const IdentityFlags& flags, const Host& host, std::vector<Problem>& problems) {
  return Maker(flags, host, problems).run();
}

}  // namespace weir::proxy
