// SPDX-License-Identifier: Apache-2.0
#include "proxy/value_tree.h"

#include <boost/json/basic_parser_impl.hpp>
#include <yaml-cpp/yaml.h>

#include "base/text.h"

namespace weir::proxy {

namespace {

namespace json = boost::json;
using Kind = ValueNode::Kind;

constexpr std::size_t kMaxText = 16U << 20;
constexpr std::size_t kMaxNodes = 2'000'000;
constexpr int kMaxDepth = 256;

/// Boost.JSON's events (their names and signatures are its own) put together into a tree.
class JsonBuilder {
 public:
  static constexpr std::size_t max_object_size = kMaxNodes;
  static constexpr std::size_t max_array_size = kMaxNodes;
  static constexpr std::size_t max_key_size = kMaxText;
  static constexpr std::size_t max_string_size = kMaxText;
  using Text = json::string_view;
  using Code = json::error_code;

  ValueNode root;
  int line = 0;  ///< of what is being read

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code& code) { return open(Kind::object, code); }
  bool on_object_end(std::size_t, Code&) { return close(); }
  bool on_array_begin(Code& code) { return open(Kind::list, code); }
  bool on_array_end(std::size_t, Code&) { return close(); }
  bool on_key_part(Text part, std::size_t, Code&) { return gather(part); }
  bool on_key(Text rest, std::size_t, Code& code) {
    gather(rest);
    ValueNode::Member& member = open_.back()->members.emplace_back();
    return fill(member.key, true, code);
  }
  bool on_string_part(Text part, std::size_t, Code&) { return gather(part); }
  bool on_string(Text rest, std::size_t, Code& code) { return gather(rest) && fill(add(), true, code); }
  bool on_number_part(Text part, Code&) { return gather(part); }
  bool on_int64(std::int64_t, Text rest, Code& code) { return gather(rest) && fill(add(), false, code); }
  bool on_uint64(std::uint64_t, Text rest, Code& code) { return gather(rest) && fill(add(), false, code); }
  bool on_double(double, Text rest, Code& code) { return gather(rest) && fill(add(), false, code); }
  bool on_bool(bool value, Code& code) { return gather(value ? "true" : "false") && fill(add(), false, code); }
  bool on_null(Code& code) {
    add().line = line;
    return count(code);
  }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }

 private:
  ValueNode& add() {
    if (open_.empty()) return root;
    ValueNode& parent = *open_.back();
    return parent.kind == Kind::list ? parent.items.emplace_back() : parent.members.back().value;
  }
  bool open(Kind kind, Code& code) {
    ValueNode& node = add();
    node.kind = kind;
    node.line = line;
    open_.push_back(&node);  // stays where it is: its siblings come when it is closed
    return count(code);
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool gather(Text part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool fill(ValueNode& node, bool quoted, Code& code) {
    node.kind = Kind::scalar;
    node.is_quoted = quoted;
    node.line = line;
    node.text.swap(text_);
    text_.clear();
    return count(code);
  }
  bool count(Code& code) {
    if (++nodes_ <= kMaxNodes) return true;
    code = json::error::array_too_large;
    return false;
  }

  std::vector<ValueNode*> open_;
  std::string text_;
  std::size_t nodes_ = 0;
};

/// Thrown and caught in this file only, as yaml-cpp's own.
struct TooLarge {
  int line;
};

class YamlCopier {
 public:
  ValueNode copy(const YAML::Node& from, int depth = 0) {
    ValueNode node;
    node.line = from.Mark().line + 1;
    if (++nodes_ > kMaxNodes || depth > kMaxDepth) throw TooLarge{node.line};
    if (from.IsScalar()) {
      node.kind = Kind::scalar;
      node.is_quoted = from.Tag() == "!";
      node.text = from.Scalar();
    } else if (from.IsSequence()) {
      node.kind = Kind::list;
      for (const auto& item : from) node.items.push_back(copy(item, depth + 1));
    } else if (from.IsMap()) {
      node.kind = Kind::object;
      for (const auto& member : from) node.members.push_back({copy(member.first, depth + 1), copy(member.second, depth + 1)});
    }
    return node;
  }

 private:
  std::size_t nodes_ = 0;
};

Problem about(std::string_view file, int line, std::string message, std::string hint = "") {
  return {Severity::error, {std::string(file), line}, "", "", std::move(message), std::move(hint)};
}

}  // namespace

const ValueNode* ValueNode::find(std::string_view key) const {
  for (const Member& member : members)
    if (member.key.kind == Kind::scalar && member.key.text == key) return &member.value;
  return nullptr;
}

std::optional<ValueNode> read_json_tree(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::basic_parser<JsonBuilder> parser(options);
  json::error_code code;
  // A line at a time: so each value's line is known, for none but white space crosses the end of a line.
  while (!text.empty() && !parser.done()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    ++parser.handler().line;
    const std::size_t used = parser.write_some(true, line.data(), line.size(), code);
    if (code) return std::nullopt;
    text.remove_prefix(used);
  }
  if (!parser.done()) parser.write_some(false, nullptr, 0, code);
  if (code || !parser.done() || !trim(text).empty()) return std::nullopt;
  return std::move(parser.handler().root);
}

std::optional<Problem> read_yaml_tree(std::string_view file, std::string_view text, ValueNode& root) {
  try {
    root = YamlCopier().copy(YAML::Load(std::string(text)));
  } catch (const TooLarge& at) {
    return about(file, at.line, "the file is too large or too deep");
  } catch (const YAML::ParserException& error) {
    return about(file, error.mark.line + 1, fmt::format("is neither YAML nor JSON: {}", error.msg));
  } catch (const YAML::Exception& error) {
    return about(file, error.mark.line + 1, error.msg);
  }
  return std::nullopt;
}

std::optional<Problem> read_tree(std::string_view file, std::string_view text, ValueNode& root) {
  if (text.size() > kMaxText)
    return about(file, 0, fmt::format("has {} bytes", text.size()), fmt::format("at most {} are read", kMaxText));
  if (trim(text).starts_with('{')) {
    if (auto tree = read_json_tree(text)) {
      root = std::move(*tree);
      return std::nullopt;
    }
  }
  return read_yaml_tree(file, text, root);
}

}  // namespace weir::proxy
