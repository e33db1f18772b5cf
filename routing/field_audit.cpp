// SPDX-License-Identifier: Apache-2.0
#include "routing/field_audit.h"

#include <unordered_map>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include "routing/compile_context.h"
#include "routing/field_table.h"

namespace weir::routing {

namespace {

namespace pb = google::protobuf;

const FieldRule* rule_of(std::string_view full_name) {
  static const std::unordered_map<std::string_view, const FieldRule*> rules = [] {
    std::unordered_map<std::string_view, const FieldRule*> map;
    for (const FieldRule& rule : field_rules()) map.emplace(rule.field, &rule);
    return map;
  }();
  constexpr std::string_view kRoot = "envoy.";
  if (full_name.starts_with(kRoot)) full_name.remove_prefix(kRoot.size());
  auto it = rules.find(full_name);
  return it == rules.end() ? nullptr : it->second;
}

/// `use_remote_address: false`, `max_stream_duration: 0s`: set, but asking for nothing.
bool asks_for_nothing(const pb::Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type != "google.protobuf.BoolValue" && type != "google.protobuf.Duration" && type != "google.protobuf.UInt32Value") {
    return false;
  }
  return message.ByteSizeLong() == 0;
}

bool is_leaf(const pb::FieldDescriptor& field) {
  return field.cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE || field.is_map() ||
         field.message_type()->file()->package() == "google.protobuf";
}

void audit_field(const pb::Message& message, const pb::FieldDescriptor& field, const std::string& path, CompileContext& context) {
  const FieldRule* rule = rule_of(field.full_name());
  FieldUse use = rule == nullptr ? FieldUse::unsupported : rule->use;
  const pb::Reflection& reflection = *message.GetReflection();
  bool is_message = field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
  if (use == FieldUse::quiet) return;
  if (use != FieldUse::used && !field.is_repeated() && is_message && asks_for_nothing(reflection.GetMessage(message, &field)))
    return;
  if (use == FieldUse::refused) return context.error(path, std::string(rule->note));
  if (use == FieldUse::unsupported) {
    context.not_supported(field.full_name(), path, rule == nullptr ? "is not implemented" : std::string(rule->note));
    return;
  }
  if (is_leaf(field)) return;
  if (!field.is_repeated()) return audit_fields(reflection.GetMessage(message, &field), path, context);
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    audit_fields(reflection.GetRepeatedMessage(message, &field, i), fmt::format("{}[{}]", path, i), context);
  }
}

}  // namespace

void audit_fields(const pb::Message& message, const std::string& path, CompileContext& context) {
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) audit_field(message, *field, join_path(path, field->name()), context);
  const pb::UnknownFieldSet& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    std::string name = fmt::format("{}#{}", message.GetDescriptor()->full_name(), unknown.field(i).number());
    std::string what =
        fmt::format("field number {} of {} is not known", unknown.field(i).number(), message.GetDescriptor()->name());
    context.not_supported(name, path, what);
  }
}

}  // namespace weir::routing
