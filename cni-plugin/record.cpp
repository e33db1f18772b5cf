// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/record.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/utf8.h"

namespace weir::cni {

namespace {

namespace json = boost::json;

constexpr int kFormat = 1;
/// NAME_MAX is 255; ".json" and save()'s ".new" come to it.
constexpr std::size_t kLongest = 240;

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    const bool is_plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
    out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

/// FNV-1a, 64 bits: stable across builds and machines.
std::uint64_t checksum(std::string_view text) {
  std::uint64_t sum = 14695981039346656037U;
  for (char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return sum;
}

std::string shortened(std::string name, std::size_t limit) {
  if (name.size() <= limit) return name;
  const std::string sum = fmt::format("+{:016x}", checksum(name));
  return name.substr(0, limit - sum.size()) + sum;
}

json::object texts_json(const Texts& texts) {
  json::object object;
  for (const auto& [key, value] : texts) object[key] = value;
  return object;
}

class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}
  std::string text(std::string_view field) {
    const json::value* value = object_.if_contains(field);
    if (value != nullptr && value->is_string()) return std::string(value->as_string());
    is_whole = false;
    return "";
  }
  Texts texts(std::string_view field) {
    Texts read;
    const json::value* value = object_.if_contains(field);
    if (value == nullptr || !value->is_object()) {
      is_whole = false;
      return read;
    }
    for (const auto& [key, member] : value->as_object())
      if (member.is_string())
        read.emplace(std::string(key), std::string(member.as_string()));
      else
        is_whole = false;
    return read;
  }
  bool is_whole = true;

 private:
  const json::object& object_;
};

}  // namespace

std::string to_json(const Record& record) {
  json::object object;
  object["format"] = kFormat;
  // What the environment holds need not be UTF-8; the file's name tells the attachment, these tell people.
  object["network"] = record.network;
  object["container"] = record.attachment.container;
  object["interface"] = without_controls(record.attachment.interface);
  object["netns"] = without_controls(record.netns);
  object["namespace"] = without_controls(record.pod.name_space);
  object["pod"] = without_controls(record.pod.name);
  object["uid"] = without_controls(record.pod.uid);
  object["skipped"] = record.skipped;
  object["flags"] = texts_json(record.input.flags);
  object["annotations"] = texts_json(record.input.annotations);
  object["trace"] = record.trace;
  return compact_json(object) + "\n";
}

Result<Record> parse_record(std::string_view text) {
  auto parsed = parse_json(text);
  if (!parsed) return pass(parsed.error());
  if (!parsed->is_object()) return fail(ErrorCode::usage, "no JSON object");
  const json::value* format = parsed->as_object().if_contains("format");
  if (format == nullptr || *format != kFormat) return fail(ErrorCode::usage, "not of format {}", kFormat);
  Reader reader(parsed->as_object());
  Record record;
  record.network = reader.text("network");
  record.attachment = {reader.text("container"), reader.text("interface")};
  record.netns = reader.text("netns");
  record.pod = {reader.text("pod"), reader.text("namespace"), reader.text("uid")};
  record.skipped = reader.text("skipped");
  record.input = {reader.texts("flags"), reader.texts("annotations")};
  record.trace = reader.text("trace");
  if (!reader.is_whole) return fail(ErrorCode::usage, "a field is missing");
  return record;
}

std::string record_prefix(std::string_view container) { return shortened(escaped(container), kLongest / 2) + ","; }

std::string record_file(std::string_view network, const Attachment& attachment) {
  return shortened(record_prefix(attachment.container) + escaped(attachment.interface) + "," + escaped(network), kLongest) +
         ".json";
}

std::optional<bool> is_of_network(std::string_view file, std::string_view network) {
  const std::size_t last = file.rfind(',');
  if (last == std::string_view::npos) return false;
  if (file.find('+', file.find(',')) != std::string_view::npos) return std::nullopt;
  return file.substr(last + 1) == escaped(network) + ".json";
}

}  // namespace weir::cni
