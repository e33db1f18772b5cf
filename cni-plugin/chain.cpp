// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/chain.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "cni-plugin/json_span.h"

namespace weir::cni {

namespace {

namespace json = boost::json;

/// In a list that we made of a single plugin, so that it can be undone.
constexpr std::string_view kMadeList = "weir.made-from";

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// CNI specification 1.1.0, section 1: "name"; it is a directory's name too.
bool is_network_name(std::string_view name) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return is_alnum(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

/// Istio and others write it as a boolean or as a text.
bool is_true(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && (*value == true || *value == "true");
}

/// A chain, and where its plugins stand in the text.
struct Places {
  ChainFile file;
  std::vector<Span> plugins;        ///< of a list
  std::optional<Span> array;        ///< of a list
  std::optional<std::size_t> ours;  ///< index in `plugins`
};

Result<Places> look(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return pass(parsed.error());
  const json::object* top = parsed->if_object();
  if (top == nullptr) return fail(ErrorCode::usage, "is no JSON object");
  Places places;
  ChainFile& file = places.file;
  file.name = text_of(*top, "name");
  file.cni_version = text_of(*top, "cniVersion");
  file.loads_only_inlined = is_true(*top, "loadOnlyInlinedPlugins");
  if (file.name.empty()) return fail(ErrorCode::usage, "name: is missing; a network configuration has one");
  if (!is_network_name(file.name))
    return fail(ErrorCode::usage, "name: '{}' must begin with a letter or digit and have only those, '_', '.' and '-'",
                printable(file.name));
  const json::value* plugins = top->if_contains("plugins");
  if (plugins == nullptr) {
    file.types = {text_of(*top, "type")};
    if (file.types[0].empty()) return fail(ErrorCode::usage, "neither plugins (a list) nor type (one plugin) is there");
    return places;
  }
  file.is_list = true;
  places.array = member(text, "plugins");
  if (!plugins->is_array() || !places.array)
    return fail(ErrorCode::usage, "plugins: must be a list, and its name be spelt without escapes");
  places.plugins = elements(text, *places.array);
  for (const json::value& plugin : plugins->get_array()) {
    const std::size_t index = file.types.size();
    file.types.push_back(plugin.is_object() ? text_of(plugin.get_object(), "type") : std::string());
    if (file.types.back().empty()) return fail(ErrorCode::usage, "plugins[{}].type: is missing", index);
    if (file.types.back() != kPluginType) continue;
    if (places.ours) return fail(ErrorCode::usage, "plugins: {} is there twice; take one of them out", kPluginType);
    places.ours = index;
  }
  if (file.types.size() != places.plugins.size()) return fail(ErrorCode::internal, "plugins: cannot be told apart");
  if (places.ours) file.entry = std::string(places.plugins[*places.ours].in(text));
  return places;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t") == std::string_view::npos; }

/// The blanks before an element that begins a line; nullopt: others stand on its line.
std::optional<std::string> indentation(std::string_view text, const Span& element) {
  const std::size_t line = text.rfind('\n', element.begin);
  if (line == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(line + 1, element.begin - line - 1);
  if (!is_blank(before)) return std::nullopt;
  return std::string(before);
}

/// Each line but the first, indented.
std::string shifted(std::string_view text, const std::string& indent) {
  std::string result;
  for (const char c : text) {
    result += c;
    if (c == '\n') result += indent;
  }
  return result;
}

std::string one_line(const json::value& entry) { return compact_json(entry); }

std::string several_lines(const json::value& entry, const std::string& indent) {
  return shifted(trim(pretty_json(entry)), indent);
}

std::string entry_text(const json::value& entry, const std::optional<std::string>& indent) {
  return indent ? several_lines(entry, *indent) : one_line(entry);
}

/// The plugin's own text stands in the list as it was, so that it can come out the same.
std::string list_of_single(std::string_view text, const ChainFile& file, const json::value& entry, std::string_view file_name) {
  std::string list = "{\n";
  if (!file.cni_version.empty()) list += fmt::format("  \"cniVersion\": {},\n", json_quote(file.cni_version));
  return list + fmt::format("  \"name\": {},\n  \"{}\": {},\n  \"plugins\": [\n{},\n    {}\n  ]\n}}\n", json_quote(file.name),
                            kMadeList, json_quote(file_name), trim(text), several_lines(entry, "    "));
}

std::string replaced(std::string_view text, const Span& span, std::string_view with) {
  return std::string(text.substr(0, span.begin)) + std::string(with) + std::string(text.substr(span.end));
}

}  // namespace

Result<ChainFile> read_chain(std::string_view text) {
  auto places = look(text);
  if (!places) return pass(places.error());
  return std::move(places->file);
}

Result<std::string> with_entry(std::string_view text, std::string_view entry, std::string_view file_name) {
  auto places = look(text);
  if (!places) return pass(places.error());
  auto wanted = parse_json(entry);
  if (!wanted) return pass(wanted.error(), "the entry");
  if (!places->file.is_list) {
    if (places->file.types[0] == kPluginType)
      return fail(ErrorCode::usage, "{} is the only plugin; it goes behind the one that makes the interface", kPluginType);
    return list_of_single(text, places->file, *wanted, file_name);
  }
  const std::vector<Span>& plugins = places->plugins;
  if (places->ours) {
    const Span& ours = plugins[*places->ours];
    if (auto standing = parse_json(ours.in(text)); standing && *standing == *wanted) return std::string(text);
    return replaced(text, ours, entry_text(*wanted, indentation(text, ours)));
  }
  if (plugins.empty()) return replaced(text, *places->array, "[" + one_line(*wanted) + "]");
  const Span& last = plugins.back();
  const auto indent = indentation(text, last);
  const std::string between = indent ? ",\n" + *indent : ", ";
  return replaced(text, {last.end, last.end}, between + entry_text(*wanted, indent));
}

std::optional<std::string> made_from(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const json::value* name = parsed->get_object().if_contains(kMadeList);
  if (name == nullptr || !name->is_string()) return std::nullopt;
  return std::string(name->get_string());
}

Result<std::optional<std::string>> without_entry(std::string_view text) {
  auto places = look(text);
  if (!places) return pass(places.error());
  if (!places->ours) return std::string(text);
  const std::vector<Span>& plugins = places->plugins;
  const std::size_t ours = *places->ours;
  if (plugins.size() == 1) return std::nullopt;
  if (plugins.size() == 2 && made_from(text)) return std::string(plugins[1 - ours].in(text)) + "\n";
  if (ours > 0) return replaced(text, {plugins[ours - 1].end, plugins[ours].end}, "");
  return replaced(text, {plugins[0].begin, plugins[1].begin}, "");
}

}  // namespace weir::cni
