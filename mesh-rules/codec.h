// SPDX-License-Identifier: Apache-2.0
// Private to the room: tables of fields. One row per field of a kind drives reading, the detection of unknown fields and the
// table of fields in docs: a new field is a member of the model and a row here.
#pragma once

#include <array>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/ip.h"
#include "mesh-rules/virtual_service.h"
#include "mesh-rules/yaml.h"

namespace weir::mesh {

using yaml::Node;

/// Where we are while reading one object, and what was found wrong.
class Reader {
 public:
  Reader(std::string_view file, std::string object, std::vector<Problem>& problems)
      : file_(file), object_(std::move(object)), problems_(problems) {}

  const std::string& file() const { return file_; }
  SourceRef ref(const Node& node) const { return {file_, node.line}; }

  void error(int line, std::string message, std::string hint = "") {
    add(Severity::error, line, std::move(message), std::move(hint));
  }
  void warning(int line, std::string message, std::string hint = "") {
    add(Severity::warning, line, std::move(message), std::move(hint));
  }
  /// The same, for the field `name` below the current path.
  void error_at(std::string_view name, const Node& node, std::string message, std::string hint = "");
  void warning_at(std::string_view name, const Node& node, std::string message, std::string hint = "");
  /// `must be a list, but is "x"`.
  void wrong_type(const Node& node, std::string_view wanted);

  /// Extends the path while it lives: ".name" or "[3]".
  class Step {
   public:
    Step(Reader& reader, std::string_view name);
    Step(Reader& reader, std::size_t index);
    ~Step() { reader_.path_.resize(length_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Reader& reader_;
    std::size_t length_;
  };

  bool has_errors() const { return errors_ > 0; }

 private:
  void add(Severity severity, int line, std::string message, std::string hint);

  std::string file_, object_, path_;
  std::vector<Problem>& problems_;
  int errors_ = 0;
};

/// What we do with a field.
enum class Use : std::uint8_t {
  acts,     ///< it is read and has its effect
  quiet,    ///< it does not concern the mesh
  not_yet,  ///< Istio would act on it, we do not: warned
  refused,  ///< ignoring it would open a door or widen a rule: an error
};

template <class T>
struct Field {
  std::string_view name;
  Use use = Use::acts;
  bool required = false;
  std::string_view doc;
  void (*read)(Reader&, const Node&, T&) = nullptr;
  void (*describe)(std::string& out, const std::string& prefix) = nullptr;
};

/// `Table<T>::rows` lists the fields of a struct; an optional `check(Reader&, const Node&, T&)` looks at the whole afterwards.
template <class T>
struct Table;

/// How one value is read; structs with a Table are handled below.
template <class T>
struct Decoder;

template <class T>
void describe_rows(std::string& out, const std::string& prefix);

/// Helpers to write rows; a Table<T> derives from it.
template <class T>
struct Rows {
  template <auto Member>
  static constexpr Field<T> acts(std::string_view name, std::string_view doc) {
    using Value = std::remove_reference_t<decltype(std::declval<T&>().*Member)>;
    return {name,
            Use::acts,
            false,
            doc,
            [](Reader& r, const Node& n, T& out) { Decoder<Value>::read(r, n, out.*Member); },
            [](std::string& out, const std::string& prefix) { Decoder<Value>::describe(out, prefix); }};
  }
  template <auto Member>
  static constexpr Field<T> required(std::string_view name, std::string_view doc) {
    Field<T> field = acts<Member>(name, doc);
    field.required = true;
    return field;
  }
  static constexpr Field<T> custom(std::string_view name, void (*read)(Reader&, const Node&, T&), std::string_view doc) {
    return {name, Use::acts, false, doc, read, nullptr};
  }
  static constexpr Field<T> quiet(std::string_view name) { return {name, Use::quiet, false, "", nullptr, nullptr}; }
  static constexpr Field<T> not_yet(std::string_view name) { return {name, Use::not_yet, false, "", nullptr, nullptr}; }
  static constexpr Field<T> refused(std::string_view name, std::string_view why) {
    return {name, Use::refused, false, why, nullptr, nullptr};
  }
};

/// Reports one field that is not acted on, or is unknown (with "did you mean").
void report_unused(Reader& reader, std::string_view name, const Node& node, int line, Use use, std::string_view why);
void report_unknown(Reader& reader, std::string_view name, int line, const std::vector<std::string_view>& known);
void describe_row(std::string& out, const std::string& path, Use use, bool required, std::string_view doc);

template <class T>
void read_table(Reader& reader, const Node& node, T& out) {
  if (!node.is_map()) return reader.wrong_type(node, "a map");
  if constexpr (requires { out.where; }) out.where = reader.ref(node);
  std::array<bool, std::size(Table<T>::rows)> seen{};  // two of the same name are reported elsewhere
  for (const yaml::Entry& entry : node.entries) {
    const Field<T>* row = nullptr;
    for (const Field<T>& field : Table<T>::rows) {
      if (field.name == entry.key) row = &field;
    }
    if (row == nullptr) {
      if constexpr (requires { Table<T>::tolerant; }) continue;
      std::vector<std::string_view> known;
      for (const Field<T>& field : Table<T>::rows) known.push_back(field.name);
      report_unknown(reader, entry.key, entry.line, known);
      continue;
    }
    const bool is_first = !std::exchange(seen[static_cast<std::size_t>(row - std::data(Table<T>::rows))], true);
    if (entry.value->is_null()) continue;
    if (row->read == nullptr) {
      report_unused(reader, entry.key, *entry.value, entry.line, row->use, row->doc);
      continue;
    }
    Reader::Step step(reader, entry.key);
    if (is_first) {
      row->read(reader, *entry.value, out);
    } else {  // T owns what it is read into, so nothing of `out` is reached
      T not_kept{};
      row->read(reader, *entry.value, not_kept);
    }
  }
  for (const Field<T>& field : Table<T>::rows) {
    if (field.required && node.find(field.name) == nullptr) {
      reader.error(node.line, fmt::format("the field {} is missing", field.name));
    }
  }
  if constexpr (requires { Table<T>::check(reader, node, out); }) Table<T>::check(reader, node, out);
}

template <class T>
void describe_rows(std::string& out, const std::string& prefix) {
  for (const Field<T>& field : Table<T>::rows) {
    if (field.use == Use::quiet) continue;
    std::string path = prefix + std::string(field.name);
    describe_row(out, path, field.use, field.required, field.doc);
    if (field.describe != nullptr) field.describe(out, path);
  }
}

/// A struct with a Table.
template <class T>
struct Decoder {
  static void read(Reader& reader, const Node& node, T& out) { read_table(reader, node, out); }
  static void describe(std::string& out, const std::string& prefix) { describe_rows<T>(out, prefix + "."); }
};

template <class T>
struct ScalarDecoder {
  static void describe(std::string&, const std::string&) {}
};
template <>
struct Decoder<std::string> : ScalarDecoder<std::string> {
  static void read(Reader&, const Node&, std::string& out);
};
template <>
struct Decoder<bool> : ScalarDecoder<bool> {
  static void read(Reader&, const Node&, bool& out);
};
template <>
struct Decoder<std::uint32_t> : ScalarDecoder<std::uint32_t> {
  static void read(Reader&, const Node&, std::uint32_t& out);
};
/// Ports: 1 to 65535.
template <>
struct Decoder<Port> : ScalarDecoder<Port> {
  static void read(Reader&, const Node&, Port& out);
};
template <>
struct Decoder<double> : ScalarDecoder<double> {
  static void read(Reader&, const Node&, double& out);
};
template <>
struct Decoder<Nanoseconds> : ScalarDecoder<Nanoseconds> {
  static void read(Reader&, const Node&, Nanoseconds& out);
};
template <>
struct Decoder<IpAddr> : ScalarDecoder<IpAddr> {
  static void read(Reader&, const Node&, IpAddr& out);
};
template <>
struct Decoder<StringMatch> : ScalarDecoder<StringMatch> {
  static void read(Reader&, const Node&, StringMatch& out);
  /// Of a header or a parameter: the regex `*` means presence there.
  static void read_value(Reader&, const Node&, StringMatch& out);
};

template <class T>
struct Decoder<std::optional<T>> {
  static void read(Reader& reader, const Node& node, std::optional<T>& out) {
    out.emplace();
    Decoder<T>::read(reader, node, *out);
  }
  static void describe(std::string& out, const std::string& prefix) { Decoder<T>::describe(out, prefix); }
};

template <class T>
struct Decoder<std::vector<T>> {
  static void read(Reader& reader, const Node& node, std::vector<T>& out) {
    if (!node.is_list()) return reader.wrong_type(node, "a list");
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Reader::Step step(reader, i);
      if (node.items[i]->is_null()) {
        reader.error(node.items[i]->line, "an empty list item", "remove the dash or fill it in");
        continue;
      }
      out.emplace_back();
      Decoder<T>::read(reader, *node.items[i], out.back());
    }
  }
  static void describe(std::string& out, const std::string& prefix) { Decoder<T>::describe(out, prefix + "[]"); }
};

template <class T>
struct Decoder<std::map<std::string, T>> {
  static void read(Reader& reader, const Node& node, std::map<std::string, T>& out) {
    if (!node.is_map()) return reader.wrong_type(node, "a map");
    for (const yaml::Entry& entry : node.entries) {
      Reader::Step step(reader, entry.key);
      if (entry.value->is_null()) {
        if constexpr (std::same_as<T, StringMatch>) out[entry.key];
        continue;
      }
      if constexpr (std::same_as<T, StringMatch>) {
        Decoder<T>::read_value(reader, *entry.value, out[entry.key]);
      } else {
        Decoder<T>::read(reader, *entry.value, out[entry.key]);
      }
    }
  }
  static void describe(std::string&, const std::string&) {}
};

/// Reads one of a few words; `words` maps each to its value.
template <class E>
bool read_word(Reader& reader, const Node& node, E& out, std::initializer_list<std::pair<std::string_view, E>> words) {
  std::string text;
  if (!node.is_scalar()) {
    reader.wrong_type(node, "a word");
    return false;
  }
  std::string choice;
  for (const auto& [word, value] : words) {
    if (word == node.text) {
      out = value;
      return true;
    }
    choice += (choice.empty() ? "" : ", ") + std::string(word);
  }
  reader.error(node.line, fmt::format("\"{}\" is not a known value", node.text), "use one of " + choice);
  return false;
}

}  // namespace weir::mesh
