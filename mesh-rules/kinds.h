// SPDX-License-Identifier: Apache-2.0
// Private to the room: one reader per kind. Each takes the whole object's node; `meta` is read already.
#pragma once

#include "mesh-rules/codec.h"
#include "mesh-rules/store.h"

namespace weir::mesh {

void read_object(Reader& reader, const Node& node, VirtualService& out);
void read_object(Reader& reader, const Node& node, DestinationRule& out);
void read_object(Reader& reader, const Node& node, Service& out);
void read_object(Reader& reader, const Node& node, EndpointSlice& out);
void read_object(Reader& reader, const Node& node, Endpoints& out);
void read_object(Reader& reader, const Node& node, Pod& out);

/// The object around a spec: everything but the spec is read elsewhere.
template <class T>
struct Whole {
  T object;
};
template <class T>
struct Table<Whole<T>> : Rows<Whole<T>> {
  using Base = Rows<Whole<T>>;
  static void spec(Reader& r, const Node& n, Whole<T>& whole) { read_table(r, n, whole.object); }
  static constexpr Field<Whole<T>> rows[] = {Base::quiet("apiVersion"), Base::quiet("kind"), Base::quiet("metadata"),
                                             Base::quiet("status"), Base::custom("spec", spec, "")};
};
template <class T>
void read_whole(Reader& reader, const Node& node, T& out) {
  Whole<T> whole{std::move(out)};
  read_table(reader, node, whole);
  out = std::move(whole.object);
  if (node.find("spec") == nullptr) reader.error(node.line, "the field spec is missing");
}

/// Appends the kind's rows of the table of fields (Markdown).
void describe_virtual_service(std::string& out);
void describe_destination_rule(std::string& out);
void describe_kubernetes(std::string& out);
void describe_mesh_config(std::string& out);

/// Checks of host names and exportTo lists, shared by the Istio kinds.
void check_host(Reader& reader, int line, std::string_view host, bool allow_wildcard);
void check_export_to(Reader& reader, const Node& spec, const std::vector<std::string>& export_to);
/// Names of subsets and ports: RFC 1123 labels.
bool is_label(std::string_view text);

}  // namespace weir::mesh
