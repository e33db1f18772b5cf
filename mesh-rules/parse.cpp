// SPDX-License-Identifier: Apache-2.0
// From the text of a file to objects: which kind it is, whether we keep it, its metadata; the rest is the kind's reader.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "mesh-rules/kinds.h"

namespace weir::mesh {

struct MetaBlock {
  std::string name, ns;
  Labels labels, annotations;
};
template <>
struct Table<MetaBlock> : Rows<MetaBlock> {
  static constexpr Field<MetaBlock> rows[] = {
      required<&MetaBlock::name>("name", ""),
      acts<&MetaBlock::ns>("namespace", "default if absent"),
      acts<&MetaBlock::labels>("labels", ""),
      acts<&MetaBlock::annotations>("annotations", ""),
      quiet("creationTimestamp"),
      quiet("uid"),
      quiet("resourceVersion"),
      quiet("generation"),
      quiet("managedFields"),
      quiet("ownerReferences"),
      quiet("finalizers"),
      quiet("selfLink"),
      quiet("generateName"),
      quiet("deletionTimestamp"),
      quiet("deletionGracePeriodSeconds"),
  };
};

namespace {

enum class Fate : std::uint8_t { keep, ignore, warn, refuse };

struct KnownKind {
  std::string_view group;
  std::string_view name;
  Fate fate;
  Kind kind = Kind::service;
};

/// Kinds of Kubernetes and Istio. Kinds of other groups are ignored with a count.
constexpr std::array kKinds = {
    KnownKind{"", "Service", Fate::keep, Kind::service},
    KnownKind{"", "Endpoints", Fate::keep, Kind::endpoints},
    KnownKind{"", "Pod", Fate::keep, Kind::pod},
    KnownKind{"", "Namespace", Fate::ignore},
    KnownKind{"", "Node", Fate::ignore},
    KnownKind{"", "ConfigMap", Fate::ignore},
    KnownKind{"", "Secret", Fate::ignore},
    KnownKind{"", "ServiceAccount", Fate::ignore},
    KnownKind{"", "PersistentVolume", Fate::ignore},
    KnownKind{"", "PersistentVolumeClaim", Fate::ignore},
    KnownKind{"", "ReplicationController", Fate::ignore},
    KnownKind{"", "ResourceQuota", Fate::ignore},
    KnownKind{"", "LimitRange", Fate::ignore},
    KnownKind{"", "PodTemplate", Fate::ignore},
    KnownKind{"", "Event", Fate::ignore},
    KnownKind{"", "Binding", Fate::ignore},
    KnownKind{"discovery.k8s.io", "EndpointSlice", Fate::keep, Kind::endpoint_slice},
    KnownKind{"apps", "Deployment", Fate::ignore},
    KnownKind{"apps", "StatefulSet", Fate::ignore},
    KnownKind{"apps", "DaemonSet", Fate::ignore},
    KnownKind{"apps", "ReplicaSet", Fate::ignore},
    KnownKind{"apps", "ControllerRevision", Fate::ignore},
    KnownKind{"networking.istio.io", "VirtualService", Fate::keep, Kind::virtual_service},
    KnownKind{"networking.istio.io", "DestinationRule", Fate::keep, Kind::destination_rule},
    KnownKind{"networking.istio.io", "ServiceEntry", Fate::warn},
    KnownKind{"networking.istio.io", "Sidecar", Fate::warn},
    KnownKind{"networking.istio.io", "Gateway", Fate::warn},
    KnownKind{"networking.istio.io", "WorkloadEntry", Fate::warn},
    KnownKind{"networking.istio.io", "WorkloadGroup", Fate::warn},
    KnownKind{"networking.istio.io", "EnvoyFilter", Fate::warn},
    KnownKind{"networking.istio.io", "ProxyConfig", Fate::warn},
    KnownKind{"telemetry.istio.io", "Telemetry", Fate::warn},
    KnownKind{"extensions.istio.io", "WasmPlugin", Fate::warn},
    KnownKind{"security.istio.io", "AuthorizationPolicy", Fate::refuse},
    KnownKind{"security.istio.io", "RequestAuthentication", Fate::refuse},
    KnownKind{"security.istio.io", "PeerAuthentication", Fate::warn},  // STRICT: refused, see below
};

/// The versions under which a group's kinds are read.
std::vector<std::string_view> versions_of(std::string_view group) {
  if (group.empty() || group == "apps" || group == "discovery.k8s.io") return {"v1"};
  if (group == "security.istio.io") return {"v1", "v1beta1"};
  return {"v1", "v1beta1", "v1alpha3", "v1alpha1"};
}

bool is_ours(std::string_view group) {
  return group.empty() || group == "apps" || group == "discovery.k8s.io" || group.ends_with(".istio.io");
}

/// True if the text STRICT stands under some `mode` of the object: it would demand mutual TLS.
bool demands_tls(const Node& node) {
  for (const yaml::Entry& entry : node.entries) {
    if (entry.key == "mode" && entry.value->is_scalar() && entry.value->text == "STRICT") return true;
    if (demands_tls(*entry.value)) return true;
  }
  return std::any_of(node.items.begin(), node.items.end(), [](const yaml::NodePtr& item) { return demands_tls(*item); });
}

bool is_dns_name(std::string_view name, bool with_dots) {
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > (with_dots ? 253U : 63U) || !alnum(name.front()) || !alnum(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-' || (with_dots && c == '.'); }) &&
         name.find("..") == std::string_view::npos;
}

/// Names become parts of host and cluster names, so Kubernetes' rules for them are ours.
void check_names(Reader& reader, const Node& node, const ObjectKey& key) {
  const Node& metadata = *node.find("metadata");
  Reader::Step step(reader, "metadata");
  if (!is_dns_name(key.name, key.kind != Kind::service)) {
    reader.error_at("name", *metadata.find("name"), fmt::format("\"{}\" is not a name", printable(key.name)),
                    "use a-z, 0-9 and dashes");
  }
  if (!is_dns_name(key.ns, false)) {
    reader.error_at("namespace", *metadata.find("namespace"), fmt::format("\"{}\" is not a namespace", printable(key.ns)),
                    "use a-z, 0-9 and dashes");
  }
}

class FileParser {
 public:
  explicit FileParser(std::string_view file) { out_.file = file; }

  ParsedFile run(std::string_view text) {
    yaml::Documents documents = yaml::read(out_.file, text);
    out_.problems = std::move(documents.problems);
    out_.damaged = !out_.problems.empty();
    for (const yaml::NodePtr& document : documents.documents) read_document(*document);
    sort_problems(out_.problems);
    return std::move(out_);
  }

 private:
  void read_document(const Node& node) {
    if (node.is_map() && node.text_of("kind") == "List" && node.text_of("apiVersion") == "v1") {
      const Node* items = node.find("items");
      if (items == nullptr) return;
      for (const yaml::NodePtr& item : items->items) read_object_node(*item);
      return;
    }
    read_object_node(node);
  }

  void lost(int line, std::string message, std::string hint) {
    out_.damaged = true;
    out_.problems.push_back({Severity::error, {out_.file, line}, "", "", std::move(message), std::move(hint)});
  }

  void read_object_node(const Node& node) {
    if (!node.is_map())
      return lost(node.line, "not an object", "each document is a map with apiVersion, kind, metadata and spec");
    std::string kind(node.text_of("kind"));
    std::string api(node.text_of("apiVersion"));
    if (kind.empty()) return lost(node.line, "the field kind is missing", "e.g. kind: VirtualService");
    if (api.empty())
      return lost(node.line, fmt::format("{}: the field apiVersion is missing", printable(kind)), expected_api(kind));
    std::size_t slash = api.find('/');
    std::string_view group = slash == std::string::npos ? std::string_view() : std::string_view(api).substr(0, slash);
    std::string_view version = slash == std::string::npos ? std::string_view(api) : std::string_view(api).substr(slash + 1);
    auto known =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const KnownKind& k) { return k.group == group && k.name == kind; });
    if (known == kKinds.end()) return unknown_kind(node, kind, api, group);
    std::vector<std::string_view> versions = versions_of(group);
    if (known->fate != Fate::ignore && std::find(versions.begin(), versions.end(), version) == versions.end()) {
      return lost(node.find("apiVersion")->line, fmt::format("{}: apiVersion \"{}\" is not known", kind, printable(api)),
                  expected_api(kind));
    }
    switch (known->fate) {
      case Fate::keep: return keep(node, known->kind);
      case Fate::ignore: ++out_.ignored[kind]; return;
      case Fate::warn: return not_acted_on(node, kind, kind == "PeerAuthentication" && demands_tls(node));
      case Fate::refuse: return not_acted_on(node, kind, true);
    }
  }

  static std::string expected_api(std::string_view kind) {
    for (const KnownKind& known : kKinds) {
      if (known.name != kind) continue;
      std::string_view version = versions_of(known.group).front();
      return fmt::format("use {}{}{}", known.group, known.group.empty() ? "" : "/", version);
    }
    return "";
  }

  void unknown_kind(const Node& node, const std::string& kind, const std::string& api, std::string_view group) {
    bool is_kept_elsewhere =
        std::any_of(kKinds.begin(), kKinds.end(), [&](const KnownKind& k) { return k.name == kind && k.fate != Fate::ignore; });
    // A Gateway of the Gateway API and the like: another group's kind may bear the name of one of ours.
    if (!is_ours(group) && (!is_kept_elsewhere || group.find('.') != std::string_view::npos) && !group.ends_with("istio.io")) {
      ++out_.ignored[kind];
      return;
    }
    if (is_kept_elsewhere) {
      return lost(node.find("apiVersion")->line, fmt::format("{}: apiVersion \"{}\" is not known", kind, printable(api)),
                  expected_api(kind));
    }
    std::vector<std::string_view> names;
    for (const KnownKind& k : kKinds) names.push_back(k.name);
    std::string_view near = nearest(kind, names);
    lost(node.find("kind")->line, fmt::format("unknown kind \"{}\" in apiVersion \"{}\"", printable(kind), printable(api)),
         near.empty() ? "" : fmt::format("did you mean {}?", near));
  }

  void not_acted_on(const Node& node, const std::string& kind, bool is_door) {
    const Node* metadata = node.find("metadata");
    std::string_view name = metadata != nullptr ? metadata->text_of("name") : "";
    std::string_view ns = metadata != nullptr ? metadata->text_of("namespace") : "";
    std::string object = fmt::format("{} {}/{}", kind, ns.empty() ? "default" : ns, name);
    if (is_door) {
      out_.problems.push_back({Severity::error,
                               {out_.file, node.line},
                               object,
                               "",
                               "not supported yet, refused",
                               "it would guard a door that stays open; the other objects are in force"});
    } else {
      out_.problems.push_back({Severity::warning, {out_.file, node.line}, object, "", "not supported yet, ignored", ""});
    }
  }

  void keep(const Node& node, Kind kind) {
    const Node* metadata = node.find("metadata");
    Meta meta;
    meta.where = {out_.file, node.line};
    meta.key.kind = kind;
    MetaBlock block;
    block.ns = "default";
    // The name comes first, so that every problem of the object can say whose it is.
    meta.key.name = metadata != nullptr ? metadata->text_of("name") : "";
    meta.key.ns = metadata != nullptr && !metadata->text_of("namespace").empty() ? metadata->text_of("namespace") : "default";
    if (meta.key.name.empty())
      return lost(node.line, fmt::format("{}: metadata.name is missing", to_text(kind)), "every object needs a name");
    Reader reader(out_.file, meta.key.to_text(), out_.problems);
    check_names(reader, node, meta.key);
    {
      Reader::Step step(reader, "metadata");
      read_table(reader, *metadata, block);
    }
    meta.labels = std::move(block.labels);
    meta.annotations = std::move(block.annotations);
    for (const yaml::Duplicate& duplicate : yaml::duplicates(node)) {
      Reader::Step step(reader, duplicate.path);
      reader.error(duplicate.line, fmt::format("the key is given already in line {}", duplicate.first_line),
                   "remove one of them");
    }
    switch (kind) {
      case Kind::service: return finish<Service>(reader, node, std::move(meta));
      case Kind::endpoint_slice: return finish<EndpointSlice>(reader, node, std::move(meta));
      case Kind::endpoints: return finish<Endpoints>(reader, node, std::move(meta));
      case Kind::pod: return finish<Pod>(reader, node, std::move(meta));
      case Kind::virtual_service: return finish<VirtualService>(reader, node, std::move(meta));
      case Kind::destination_rule: return finish<DestinationRule>(reader, node, std::move(meta));
    }
  }

  template <class T>
  void finish(Reader& reader, const Node& node, Meta meta) {
    auto object = std::make_shared<T>();
    object->meta = std::move(meta);
    read_object(reader, node, *object);
    if (reader.has_errors()) {
      out_.broken.push_back(object->meta.key);
    } else {
      out_.objects.emplace_back(std::shared_ptr<const T>(std::move(object)));
    }
  }

  ParsedFile out_;
};

}  // namespace

ParsedFile parse(std::string_view file, std::string_view text) { return FileParser(file).run(text); }

ParsedFile unreadable(std::string_view file, const Error& error) {
  ParsedFile out;
  out.file = file;
  out.damaged = true;
  out.problems.push_back(
      {Severity::error, {std::string(file), 0}, "", "", error.to_text(), "what it said before stays in force"});
  return out;
}

}  // namespace weir::mesh
