// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/codec.h"

#include <charconv>
#include <cmath>

#include "base/text.h"
#include "mesh-rules/syntax.h"

namespace weir::mesh {
namespace {

std::string shown(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null: return "empty";
    case Node::Kind::list: return "a list";
    case Node::Kind::map: return "a map";
    case Node::Kind::scalar: break;
  }
  std::string text = fmt::format("\"{}\"", printable(node.text, 60));
  switch (yaml::meaning(node)) {
    case yaml::Plain::boolean: return "the boolean " + printable(node.text, 60);
    case yaml::Plain::integer:
    case yaml::Plain::floating: return "the number " + printable(node.text, 60);
    case yaml::Plain::string: break;
  }
  return (node.quoted ? "the string " : "") + text;
}

/// An integer in [low, high]; reports and returns false otherwise.
bool read_integer(Reader& reader, const Node& node, std::int64_t low, std::int64_t high, std::int64_t& out) {
  if (!node.is_scalar() || yaml::meaning(node) != yaml::Plain::integer) {
    reader.wrong_type(node, "a whole number");
    return false;
  }
  const std::string& text = node.text;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out);
  bool is_plain = code == std::errc() && end == text.data() + text.size();
  if (!is_plain || out < low || out > high) {
    std::string_view what = is_plain && out < 0 && low >= 0 ? "is negative" : "is out of range";
    reader.error(node.line, fmt::format("{} {}", printable(text, 40), what), fmt::format("use {} to {}", low, high));
    return false;
  }
  return true;
}

}  // namespace

void Reader::add(Severity severity, int line, std::string message, std::string hint) {
  if (severity == Severity::error) ++errors_;
  problems_.push_back({severity, {file_, line}, object_, path_, std::move(message), std::move(hint)});
}

void Reader::error_at(std::string_view name, const Node& node, std::string message, std::string hint) {
  Step step(*this, name);
  error(node.line, std::move(message), std::move(hint));
}

void Reader::warning_at(std::string_view name, const Node& node, std::string message, std::string hint) {
  Step step(*this, name);
  warning(node.line, std::move(message), std::move(hint));
}

void Reader::wrong_type(const Node& node, std::string_view wanted) {
  std::string hint;
  if (wanted == "a string" && node.is_scalar()) hint = fmt::format("write \"{}\"", printable(node.text, 60));
  if (wanted == "a list" && node.is_scalar()) hint = fmt::format("write [{}]", printable(node.text, 60));
  error(node.line, fmt::format("must be {}, but is {}", wanted, shown(node)), std::move(hint));
}

Reader::Step::Step(Reader& reader, std::string_view name) : reader_(reader), length_(reader.path_.size()) {
  if (!reader.path_.empty()) reader.path_ += '.';
  reader.path_ += name;
}

Reader::Step::Step(Reader& reader, std::size_t index) : reader_(reader), length_(reader.path_.size()) {
  reader.path_ += fmt::format("[{}]", index);
}

void report_unused(Reader& reader, std::string_view name, const Node&, int line, Use use, std::string_view why) {
  Reader::Step step(reader, name);
  if (use == Use::not_yet) reader.warning(line, "not supported yet, ignored");
  if (use == Use::refused) reader.error(line, "not supported yet, refused", std::string(why));
}

void report_unknown(Reader& reader, std::string_view name, int line, const std::vector<std::string_view>& known) {
  Reader::Step step(reader, printable(name, 60));
  std::string_view near = nearest(name, known);
  std::string hint;
  if (!near.empty()) hint = fmt::format("did you mean {}?", near);
  reader.error(line, "unknown field", hint);
}

void describe_row(std::string& out, const std::string& path, Use use, bool required, std::string_view doc) {
  std::string_view state = use == Use::acts      ? (required ? "required" : "yes")
                           : use == Use::not_yet ? "warned, ignored"
                                                 : "refused";
  out += fmt::format("| `{}` | {} | {} |\n", path, state, doc);
}

void Decoder<std::string>::read(Reader& reader, const Node& node, std::string& out) {
  // Kubernetes refuses `version: 1` in a label: a plain number is not a string. So do we, or the object behaves elsewhere
  // differently.
  if (!node.is_scalar() || yaml::meaning(node) != yaml::Plain::string) return reader.wrong_type(node, "a string");
  out = node.text;
}

void Decoder<bool>::read(Reader& reader, const Node& node, bool& out) {
  if (!node.is_scalar() || yaml::meaning(node) != yaml::Plain::boolean) return reader.wrong_type(node, "true or false");
  std::string lower = to_lower(node.text);
  out = lower == "true" || lower == "yes" || lower == "on";
}

void Decoder<std::uint32_t>::read(Reader& reader, const Node& node, std::uint32_t& out) {
  std::int64_t value = 0;
  if (read_integer(reader, node, 0, UINT32_MAX, value)) out = static_cast<std::uint32_t>(value);
}

void Decoder<Port>::read(Reader& reader, const Node& node, Port& out) {
  std::int64_t value = 0;
  if (read_integer(reader, node, 1, 65535, value)) out = static_cast<Port>(value);
}

void Decoder<double>::read(Reader& reader, const Node& node, double& out) {
  if (!node.is_scalar() || (yaml::meaning(node) != yaml::Plain::integer && yaml::meaning(node) != yaml::Plain::floating)) {
    return reader.wrong_type(node, "a number");
  }
  auto [end, code] = std::from_chars(node.text.data(), node.text.data() + node.text.size(), out);
  if (code != std::errc() || end != node.text.data() + node.text.size() || !std::isfinite(out)) {
    reader.error(node.line, fmt::format("{} is not a decimal number", printable(node.text, 40)));
    out = 0;
  }
}

void Decoder<Nanoseconds>::read(Reader& reader, const Node& node, Nanoseconds& out) {
  if (!node.is_scalar()) return reader.wrong_type(node, "a duration");
  Result<Nanoseconds> parsed = parse_duration(node.text);
  if (!parsed)
    return reader.error(node.line, fmt::format("\"{}\" is not a duration", printable(node.text, 40)), "write 1h, 1.5s or 250ms");
  out = *parsed;
}

void Decoder<IpAddr>::read(Reader& reader, const Node& node, IpAddr& out) {
  if (!node.is_scalar()) return reader.wrong_type(node, "an address");
  Result<IpAddr> parsed = IpAddr::parse(node.text);
  if (!parsed) return reader.error(node.line, fmt::format("\"{}\" is not an IP address", printable(node.text, 60)));
  out = *parsed;
}

void Decoder<StringMatch>::read(Reader& reader, const Node& node, StringMatch& out) {
  using How = StringMatch::Kind;
  if (!node.is_map()) return reader.wrong_type(node, "a match such as {exact: …}, {prefix: …} or {regex: …}");
  int given = 0;
  for (const yaml::Entry& entry : node.entries) {
    How kind = entry.key == "exact"    ? How::exact
               : entry.key == "prefix" ? How::prefix
               : entry.key == "regex"  ? How::regex
                                       : How::presence;
    if (kind == How::presence) {
      report_unknown(reader, entry.key, entry.line, {"exact", "prefix", "regex"});
      continue;
    }
    if (entry.value->is_null()) continue;
    ++given;
    Reader::Step step(reader, entry.key);
    Decoder<std::string>::read(reader, *entry.value, out.text);
    out.kind = kind;
    if (kind == How::regex && out.text.empty()) {
      reader.error(entry.line, "the regular expression is empty");
    } else if (kind == How::regex) {
      std::string problem = check_regex(out.text).problem;
      if (!problem.empty())
        reader.error(entry.line, fmt::format("\"{}\" is not a regular expression: {}", printable(out.text), problem),
                     "use RE2's syntax");
    }
    if (kind == How::prefix && entry.value->text.empty())
      reader.error(entry.line, "the prefix is empty", "leave the match out to match everything");
  }
  if (given > 1) reader.error(node.line, "only one of exact, prefix and regex may be given");
}

void Decoder<StringMatch>::read_value(Reader& reader, const Node& node, StringMatch& out) {
  bool is_star = node.entries.size() == 1 && node.text_of("regex") == "*";
  if (!is_star) read(reader, node, out);
}

}  // namespace weir::mesh
