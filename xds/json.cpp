// SPDX-License-Identifier: Apache-2.0
// Messages as JSON. Not protobuf's own printer: that one gives up on the whole message at an Any of unknown type.
#include <boost/json.hpp>
#include <ctime>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <cmath>
#include <set>

#include "base/json.h"
#include "xds/messages.h"

namespace weir::xds {

namespace {

namespace pb = google::protobuf;
namespace json = boost::json;

constexpr int kMaxDepth = 100;

json::value to_value(const pb::Message& message, int depth);

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<std::uint8_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? kDigits[group >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

/// ".5" seconds as protobuf prints them: no, 3, 6 or 9 digits.
std::string fraction(std::int32_t nanos) {
  if (nanos == 0) return {};
  if (nanos % 1'000'000 == 0) return fmt::format(".{:03}", nanos / 1'000'000);
  if (nanos % 1000 == 0) return fmt::format(".{:06}", nanos / 1000);
  return fmt::format(".{:09}", nanos);
}

std::string duration_text(const pb::Duration& duration) {
  bool negative = duration.seconds() < 0 || duration.nanos() < 0;
  auto seconds = static_cast<std::uint64_t>(duration.seconds());
  return fmt::format("{}{}{}s", negative ? "-" : "", duration.seconds() < 0 ? 0 - seconds : seconds,
                     fraction(static_cast<std::int32_t>(std::abs(static_cast<std::int64_t>(duration.nanos())))));
}

std::string timestamp_text(const pb::Timestamp& stamp) {
  std::tm parts{};
  std::time_t seconds = stamp.seconds();
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, fraction(std::max(0, stamp.nanos())));
}

json::value number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  if (std::abs(value) < 9007199254740992.0 && value == std::floor(value)) return static_cast<std::int64_t>(value);
  return value;
}

json::value struct_value(const pb::Struct& object, int depth);

json::value any_json_value(const pb::Value& value, int depth) {
  if (depth > kMaxDepth) return nullptr;
  switch (value.kind_case()) {
    case pb::Value::kNumberValue: return number(value.number_value());
    case pb::Value::kStringValue: return json::value(value.string_value());
    case pb::Value::kBoolValue: return value.bool_value();
    case pb::Value::kStructValue: return struct_value(value.struct_value(), depth + 1);
    case pb::Value::kListValue: {
      json::array list;
      for (const pb::Value& item : value.list_value().values()) list.push_back(any_json_value(item, depth + 1));
      return list;
    }
    default: return nullptr;
  }
}

json::value struct_value(const pb::Struct& object, int depth) {
  std::set<std::string> keys;  // a fixed order, so that two dumps can be compared
  for (const auto& [key, value] : object.fields()) keys.insert(key);
  json::object out;
  for (const std::string& key : keys) out[key] = any_json_value(object.fields().at(key), depth + 1);
  return out;
}

json::value any_value(const pb::Any& any, int depth) {
  json::object out;
  out["@type"] = any.type_url();
  auto inner = unpack_any(any);
  if (!inner) {
    out["value"] = base64(any.value());
    return out;
  }
  json::value value = to_value(**inner, depth + 1);
  if (json::object* fields = value.if_object();
      fields != nullptr && (*inner)->GetDescriptor()->full_name() != "google.protobuf.Struct") {
    for (auto& [key, field] : *fields) out[key] = std::move(field);
  } else {
    out["value"] = std::move(value);
  }
  return out;
}

json::value scalar(const pb::Message& message, const pb::FieldDescriptor& field, int i, int depth) {
  const pb::Reflection& r = *message.GetReflection();
  const pb::FieldDescriptor* f = &field;
  bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32: return many ? r.GetRepeatedInt32(message, f, i) : r.GetInt32(message, f);
    case pb::FieldDescriptor::CPPTYPE_UINT32: return many ? r.GetRepeatedUInt32(message, f, i) : r.GetUInt32(message, f);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return json::value(std::to_string(many ? r.GetRepeatedInt64(message, f, i) : r.GetInt64(message, f)));
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return json::value(std::to_string(many ? r.GetRepeatedUInt64(message, f, i) : r.GetUInt64(message, f)));
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: return number(many ? r.GetRepeatedDouble(message, f, i) : r.GetDouble(message, f));
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return number(static_cast<double>(many ? r.GetRepeatedFloat(message, f, i) : r.GetFloat(message, f)));
    case pb::FieldDescriptor::CPPTYPE_BOOL: return many ? r.GetRepeatedBool(message, f, i) : r.GetBool(message, f);
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      int value = many ? r.GetRepeatedEnumValue(message, f, i) : r.GetEnumValue(message, f);
      if (field.enum_type()->full_name() == "google.protobuf.NullValue") return nullptr;
      const pb::EnumValueDescriptor* name = field.enum_type()->FindValueByNumber(value);
      return name != nullptr ? json::value(name->name()) : json::value(value);
    }
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      std::string text = many ? r.GetRepeatedString(message, f, i) : r.GetString(message, f);
      return json::value(field.type() == pb::FieldDescriptor::TYPE_BYTES ? base64(text) : text);
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE: break;
  }
  return to_value(many ? r.GetRepeatedMessage(message, f, i) : r.GetMessage(message, f), depth + 1);
}

json::value map_value(const pb::Message& message, const pb::FieldDescriptor& field, int depth) {
  std::map<std::string, json::value> sorted;
  const pb::Reflection& r = *message.GetReflection();
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    const pb::Message& entry = r.GetRepeatedMessage(message, &field, i);
    json::value key = scalar(entry, *entry.GetDescriptor()->map_key(), 0, depth);
    sorted[key.is_string() ? std::string(key.get_string()) : json::serialize(key)] =
        scalar(entry, *entry.GetDescriptor()->map_value(), 0, depth + 1);
  }
  json::object out;
  for (auto& [key, value] : sorted) out[key] = std::move(value);
  return out;
}

bool is_wrapper(const pb::Descriptor& type) { return type.file()->name() == "google/protobuf/wrappers.proto"; }

json::value to_value(const pb::Message& message, int depth) {
  if (depth > kMaxDepth) return nullptr;
  const pb::Descriptor& type = *message.GetDescriptor();
  if (is_wrapper(type)) return scalar(message, *type.field(0), 0, depth);
  if (const auto* any = dynamic_cast<const pb::Any*>(&message)) return any_value(*any, depth);
  if (const auto* duration = dynamic_cast<const pb::Duration*>(&message)) return json::value(duration_text(*duration));
  if (const auto* stamp = dynamic_cast<const pb::Timestamp*>(&message)) return json::value(timestamp_text(*stamp));
  if (const auto* object = dynamic_cast<const pb::Struct*>(&message)) return struct_value(*object, depth);
  if (const auto* value = dynamic_cast<const pb::Value*>(&message)) return any_json_value(*value, depth);

  json::object out;
  std::vector<const pb::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->is_map()) {
      out[field->name()] = map_value(message, *field, depth);
    } else if (field->is_repeated()) {
      json::array list;
      int size = message.GetReflection()->FieldSize(message, field);
      for (int i = 0; i < size; ++i) list.push_back(scalar(message, *field, i, depth));
      out[field->name()] = std::move(list);
    } else {
      out[field->name()] = scalar(message, *field, 0, depth);
    }
  }
  return out;
}

}  // namespace

std::string to_json(const google::protobuf::Message& message) { return pretty_json(to_value(message, 0)); }

}  // namespace weir::xds
