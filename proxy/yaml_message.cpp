// SPDX-License-Identifier: Apache-2.0
#include "proxy/yaml_message.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <type_traits>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>

#include "base/text.h"
#include "proxy/value_tree.h"
#include "xds/messages.h"

namespace weir::proxy {

namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

using Kind = ValueNode::Kind;

constexpr int kMaxDepth = 64;

std::string_view kind_of(const ValueNode& node) {
  switch (node.kind) {
    case Kind::object: return "an object";
    case Kind::list: return "a list";
    case Kind::scalar: return "a value";
    case Kind::nothing: break;
  }
  return "nothing";
}

std::string value_text(const ValueNode& node) {
  return node.kind == Kind::scalar ? fmt::format("\"{}\"", printable(node.text, 60)) : std::string(kind_of(node));
}

/// A finite number in decimal notation.
std::optional<double> parse_double(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double number = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stop != end || !std::isfinite(number)) return std::nullopt;
  return number;
}

bool is_wrapper(const pb::Descriptor& type) { return type.file()->name() == "google/protobuf/wrappers.proto"; }

class Reader {
 public:
  Reader(std::string_view file, FieldLines& lines, std::vector<Problem>& problems)
      : file_(file), lines_(lines), problems_(problems) {}

  void read_message(const ValueNode& node, const std::string& path, pb::Message& into, int depth = 0) {
    if (!path.empty()) lines_[path] = node.line;
    if (depth > kMaxDepth) {
      if (!is_too_deep_) error(node, path, "is too deep", fmt::format("at most {} messages stand one in another", kMaxDepth));
      is_too_deep_ = true;
      return;
    }
    const std::string& type = into.GetDescriptor()->full_name();
    if (type == "google.protobuf.Duration") return read_duration(node, path, static_cast<pb::Duration&>(into));
    if (type == "google.protobuf.Struct") return read_struct(node, path, static_cast<pb::Struct&>(into), depth);
    if (type == "google.protobuf.Value") return read_value(node, path, static_cast<pb::Value&>(into), depth);
    if (type == "google.protobuf.Any") return read_any(node, path, static_cast<pb::Any&>(into), depth);
    if (is_wrapper(*into.GetDescriptor())) return read_field(node, path, into, *into.GetDescriptor()->field(0), depth);
    if (node.kind != Kind::object) return error(node, path, fmt::format("is {}, an object is wanted", kind_of(node)), "");
    read_members(node, path, into, depth, "");
  }

 private:
  void error(const ValueNode& node, const std::string& path, std::string message, std::string hint) {
    problems_.push_back({Severity::error, {std::string(file_), node.line}, "", path, std::move(message), std::move(hint)});
  }

  void read_members(const ValueNode& node, const std::string& path, pb::Message& into, int depth, std::string_view skip) {
    std::set<std::string> seen;
    for (const ValueNode::Member& entry : node.members) {
      if (entry.key.kind != Kind::scalar) {
        error(entry.key, path, fmt::format("a key is {}, a name is wanted", kind_of(entry.key)), "");
        continue;
      }
      const std::string& key = entry.key.text;
      const std::string below = path.empty() ? printable(key) : path + "." + printable(key);
      if (!seen.insert(key).second) {
        error(entry.key, below, "stands twice", "keep one of them");
        continue;
      }
      if (key == skip) continue;
      const Field* field = find_field(*into.GetDescriptor(), key);
      if (field == nullptr) {
        unknown(entry.key, below, *into.GetDescriptor(), key);
      } else if (entry.value.kind != Kind::nothing) {
        const std::string named = path.empty() ? field->name() : path + "." + field->name();
        read_field(entry.value, named, into, *field, depth);
      }
    }
  }

  static const Field* find_field(const pb::Descriptor& type, const std::string& key) {
    const Field* field = type.FindFieldByName(key);
    return field != nullptr ? field : type.FindFieldByCamelcaseName(key);
  }

  void unknown(const ValueNode& key, const std::string& path, const pb::Descriptor& type, const std::string& name) {
    std::vector<std::string_view> names;
    for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
    std::string_view near = nearest(name, names);
    error(key, path, fmt::format("is no field of {} that weir-proxy understands", type.full_name()),
          near.empty() ? "" : fmt::format("did you mean {}?", near));
  }

  void read_field(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field, int depth) {
    lines_[path] = node.line;
    if (field.is_map()) return read_map(node, path, into, field, depth);
    if (!field.is_repeated()) return read_one(node, path, into, field, depth);
    if (node.kind != Kind::list) return error(node, path, fmt::format("is {}, a list is wanted", kind_of(node)), "");
    for (std::size_t i = 0; i < node.items.size(); ++i)
      read_one(node.items[i], fmt::format("{}[{}]", path, i), into, field, depth);
  }

  void read_map(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field, int depth) {
    if (node.kind != Kind::object) return error(node, path, fmt::format("is {}, an object is wanted", kind_of(node)), "");
    std::set<std::string> seen;
    for (const ValueNode::Member& entry : node.members) {
      const std::string key = entry.key.kind == Kind::scalar ? entry.key.text : std::string();
      const std::string below = fmt::format("{}.{}", path, printable(key));
      if (!seen.insert(key).second) {
        error(entry.key, below, "stands twice", "keep one of them");
        continue;
      }
      pb::Message* made = into.GetReflection()->AddMessage(&into, &field);
      const Field& key_field = *made->GetDescriptor()->FindFieldByNumber(1);
      if (key_field.cpp_type() == Field::CPPTYPE_STRING) {
        made->GetReflection()->SetString(made, &key_field, key);
      } else {
        read_one(entry.key, below, *made, key_field, depth);
      }
      read_one(entry.value, below, *made, *made->GetDescriptor()->FindFieldByNumber(2), depth);
    }
  }

  void read_one(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field, int depth) {
    const pb::Reflection& reflection = *into.GetReflection();
    if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
      pb::Message* below = field.is_repeated() ? reflection.AddMessage(&into, &field) : reflection.MutableMessage(&into, &field);
      return read_message(node, path, *below, depth + 1);
    }
    if (node.kind != Kind::scalar) return error(node, path, fmt::format("is {}, a single value is wanted", kind_of(node)), "");
    read_scalar(node, path, into, field);
  }

  void read_scalar(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field) {
    const std::string& text = node.text;
    switch (field.cpp_type()) {
      case Field::CPPTYPE_STRING:
        return store(into, field, &pb::Reflection::SetString, &pb::Reflection::AddString,
                     field.type() == Field::TYPE_BYTES ? decode_base64(node, path) : text);
      case Field::CPPTYPE_BOOL:
        if (node.is_quoted || (text != "true" && text != "false")) return wrong(node, path, "true or false");
        return store(into, field, &pb::Reflection::SetBool, &pb::Reflection::AddBool, text == "true");
      case Field::CPPTYPE_ENUM: return read_enum(node, path, into, field);
      case Field::CPPTYPE_DOUBLE:
      case Field::CPPTYPE_FLOAT: {
        const auto number = parse_double(node.text);
        if (!number) return wrong(node, path, "a number");
        if (field.cpp_type() == Field::CPPTYPE_FLOAT)
          return store(into, field, &pb::Reflection::SetFloat, &pb::Reflection::AddFloat, static_cast<float>(*number));
        return store(into, field, &pb::Reflection::SetDouble, &pb::Reflection::AddDouble, *number);
      }
      case Field::CPPTYPE_INT32:
        return read_integer<std::int32_t>(node, path, into, field, &pb::Reflection::SetInt32, &pb::Reflection::AddInt32);
      case Field::CPPTYPE_INT64:
        return read_integer<std::int64_t>(node, path, into, field, &pb::Reflection::SetInt64, &pb::Reflection::AddInt64);
      case Field::CPPTYPE_UINT32:
        return read_integer<std::uint32_t>(node, path, into, field, &pb::Reflection::SetUInt32, &pb::Reflection::AddUInt32);
      case Field::CPPTYPE_UINT64:
        return read_integer<std::uint64_t>(node, path, into, field, &pb::Reflection::SetUInt64, &pb::Reflection::AddUInt64);
      case Field::CPPTYPE_MESSAGE: return;  // not a scalar
    }
  }

  template <class Set, class Add, class Value>
  static void store(pb::Message& into, const Field& field, Set set, Add add, Value value) {
    const pb::Reflection& reflection = *into.GetReflection();
    if (field.is_repeated()) {
      (reflection.*add)(&into, &field, std::move(value));
    } else {
      (reflection.*set)(&into, &field, std::move(value));
    }
  }

  template <class Number, class Set, class Add>
  void read_integer(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field, Set set, Add add) {
    std::string_view text = node.text;
    const bool negative = !text.empty() && text[0] == '-';
    const auto magnitude = parse_uint(negative ? text.substr(1) : text);
    std::uint64_t limit = static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
    if (negative) limit = std::is_signed_v<Number> ? limit + 1 : 0;
    if (!magnitude || *magnitude > limit)
      return wrong(
          node, path,
          fmt::format("a whole number from {} to {}", std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max()));
    store(into, field, set, add, static_cast<Number>(negative ? 0 - *magnitude : *magnitude));
  }

  void read_enum(const ValueNode& node, const std::string& path, pb::Message& into, const Field& field) {
    const pb::EnumDescriptor& type = *field.enum_type();
    const pb::EnumValueDescriptor* value = type.FindValueByName(node.text);
    if (value == nullptr)
      if (auto number = parse_uint(node.text, INT32_MAX)) value = type.FindValueByNumber(static_cast<int>(*number));
    if (value != nullptr) return store(into, field, &pb::Reflection::SetEnum, &pb::Reflection::AddEnum, value);
    std::vector<std::string> names;
    for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
    wrong(node, path, "one of " + join(names, ", "));
  }

  std::string decode_base64(const ValueNode& node, const std::string& path) {
    std::string out;
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : node.text) {
      if (c == '=') break;
      int digit = -1;
      if (c >= 'A' && c <= 'Z') digit = c - 'A';
      if (c >= 'a' && c <= 'z') digit = c - 'a' + 26;
      if (c >= '0' && c <= '9') digit = c - '0' + 52;
      if (c == '+' || c == '-') digit = 62;
      if (c == '/' || c == '_') digit = 63;
      if (digit < 0) {
        wrong(node, path, "base64");
        return {};
      }
      bits = bits << 6U | static_cast<std::uint32_t>(digit);
      count += 6;
      if (count < 8) continue;
      count -= 8;
      out += static_cast<char>(bits >> count & 0xffU);
    }
    return out;
  }

  void wrong(const ValueNode& node, const std::string& path, std::string_view wanted) {
    error(node, path, fmt::format("is {}", value_text(node)), fmt::format("write {}", wanted));
  }

  void read_duration(const ValueNode& node, const std::string& path, pb::Duration& into) {
    constexpr std::uint64_t kMaxSeconds = 315'576'000'000;  // duration.proto
    std::string_view text = node.kind == Kind::scalar ? std::string_view(node.text) : std::string_view();
    const auto bad = [&] { wrong(node, path, "seconds with an s, like \"5s\" or \"0.25s\""); };
    if (text.size() < 2 || text.back() != 's') return bad();
    text.remove_suffix(1);
    const std::size_t dot = text.find('.');
    const auto seconds = parse_uint(text.substr(0, dot), kMaxSeconds);
    std::string fraction(dot == std::string_view::npos ? "0" : text.substr(dot + 1));
    if (fraction.size() > 9) return bad();
    fraction.resize(9, '0');
    const auto nanos = parse_uint(fraction, 999'999'999);
    if (!seconds || !nanos) return bad();
    into.set_seconds(static_cast<std::int64_t>(*seconds));
    into.set_nanos(static_cast<std::int32_t>(*nanos));
  }

  void read_struct(const ValueNode& node, const std::string& path, pb::Struct& into, int depth) {
    if (node.kind != Kind::object) return error(node, path, fmt::format("is {}, an object is wanted", kind_of(node)), "");
    for (const ValueNode::Member& entry : node.members) {
      const std::string key = entry.key.kind == Kind::scalar ? entry.key.text : std::string();
      const std::string below = fmt::format("{}.{}", path, printable(key));
      if (into.fields().count(key) > 0) {
        error(entry.key, below, "stands twice", "keep one of them");
        continue;
      }
      read_message(entry.value, below, (*into.mutable_fields())[key], depth + 1);
    }
  }

  void read_value(const ValueNode& node, const std::string& path, pb::Value& into, int depth) {
    if (node.kind == Kind::object) return read_struct(node, path, *into.mutable_struct_value(), depth);
    if (node.kind == Kind::list) {
      into.mutable_list_value();
      for (std::size_t i = 0; i < node.items.size(); ++i)
        read_message(node.items[i], fmt::format("{}[{}]", path, i), *into.mutable_list_value()->add_values(), depth + 1);
      return;
    }
    if (node.kind != Kind::scalar) return into.set_null_value(pb::NULL_VALUE);
    if (node.is_quoted) {
      into.set_string_value(node.text);
    } else if (node.text == "true" || node.text == "false") {
      into.set_bool_value(node.text == "true");
    } else if (const auto number = parse_double(node.text)) {
      into.set_number_value(*number);
    } else {
      into.set_string_value(node.text);
    }
  }

  void read_any(const ValueNode& node, const std::string& path, pb::Any& into, int depth) {
    if (node.kind != Kind::object)
      return error(node, path, fmt::format("is {}, an object with \"@type\" is wanted", kind_of(node)), "");
    const ValueNode* type = node.find("@type");
    if (type == nullptr || type->kind != Kind::scalar)
      return error(node, path, "has no \"@type\"", "write \"@type\": type.googleapis.com/<name of the message>");
    into.set_type_url(type->text);
    std::unique_ptr<pb::Message> message = xds::new_message_of(xds::any_type(into));
    if (!message)
      return error(*type, path + ".@type", fmt::format("\"{}\" is no message that weir-proxy understands", printable(type->text)),
                   "");
    read_members(node, path, *message, depth, "@type");
    into.set_value(message->SerializeAsString());
  }

  std::string_view file_;
  FieldLines& lines_;
  std::vector<Problem>& problems_;
  bool is_too_deep_ = false;
};

}  // namespace

int line_of(const FieldLines& lines, std::string_view path) {
  for (std::string key(path); !key.empty();) {
    if (auto it = lines.find(key); it != lines.end()) return it->second;
    const std::size_t cut = key.find_last_of(".[");
    key.resize(cut == std::string::npos ? 0 : cut);
  }
  return 0;
}

std::vector<Problem> read_yaml(std::string_view file, std::string_view text, pb::Message& into, FieldLines& lines) {
  std::vector<Problem> problems;
  ValueNode root;
  if (auto problem = read_tree(file, text, root)) {
    problems.push_back(std::move(*problem));
  } else if (root.kind != Kind::object) {
    problems.push_back(
        {Severity::error, {std::string(file), 1}, "", "", fmt::format("holds {}, an object is wanted", kind_of(root)), ""});
  } else {
    Reader(file, lines, problems).read_message(root, "", into);
  }
  return problems;
}

}  // namespace weir::proxy
