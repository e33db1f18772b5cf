// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/yaml.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>
#include <stdexcept>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "base/text.h"
#include "base/utf8.h"
#include "mesh-rules/syntax.h"

namespace weir::mesh::yaml {
namespace {

/// Thrown and caught in this file only: yaml-cpp has no other way to be stopped.
struct Stop : std::runtime_error {
  Stop(int at, const std::string& text) : std::runtime_error(text), line(at) {}
  int line;
};

/// Builds the tree of one document.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(int first_line) : first_line_(first_line) {}

  NodePtr take() { return std::move(root_); }

  /// yaml-cpp 0.7 finds documents without end, all in one place, where a bracket closes what nothing has opened.
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos == last_start_) throw Stop(line_of(mark), "what stands here belongs to nothing, like a bracket too many");
    last_start_ = mark.pos;
    root_.reset();
    anchors_.clear();
  }
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark&, const std::string&) override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(make(Node::Kind::null, mark), anchor, mark); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    auto node = make(Node::Kind::scalar, mark);
    node->text = value;
    node->quoted = tag != "?" && tag != "tag:yaml.org,2002:int" && tag != "tag:yaml.org,2002:float";
    if (!node->quoted && (value == "~" || value == "null" || value == "Null" || value == "NULL")) node->kind = Node::Kind::null;
    leaf(std::move(node), anchor, mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    // An anchor is known only once its node has ended, so an alias inside itself is found here.
    if (found == anchors_.end()) throw Stop(line_of(mark), "an alias refers to itself or to nothing");
    add(found->second, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(make(Node::Kind::list, mark), anchor, mark, style);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value style) override {
    open(make(Node::Kind::map, mark), anchor, mark, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    int key_line = 0, key_column = 0;
    YAML::Mark mark;
  };

  int line_of(const YAML::Mark& mark) const { return mark.line < 0 ? first_line_ : first_line_ + mark.line; }

  std::shared_ptr<Node> make(Node::Kind kind, const YAML::Mark& mark) const {
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->line = line_of(mark);
    node->column = std::max(mark.column, 0);
    return node;
  }

  void leaf(std::shared_ptr<Node> node, YAML::anchor_t anchor, const YAML::Mark& mark) {
    node->anchored = anchor != 0;
    if (anchor != 0) anchors_[anchor] = node;
    add(std::move(node), mark);
  }

  void open(std::shared_ptr<Node> node, YAML::anchor_t anchor, const YAML::Mark& mark, YAML::EmitterStyle::value style) {
    if (stack_.size() >= kMaxDepth) throw Stop(line_of(mark), fmt::format("nested deeper than {} levels", kMaxDepth));
    node->flow = style == YAML::EmitterStyle::Flow;
    node->anchored = anchor != 0;
    stack_.push_back({std::move(node), anchor, false, "", 0, 0, mark});
  }

  void close() {
    Open done = std::move(stack_.back());
    stack_.pop_back();
    if (done.anchor != 0) anchors_[done.anchor] = done.node;
    add(done.node, done.mark);
  }

  void add(NodePtr node, const YAML::Mark& mark) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = stack_.back();
    if (top.node->is_map() && !top.has_key) {
      if (!node->is_scalar()) throw Stop(line_of(mark), "a key must be a plain word, not a list, a map or null");
      top.has_key = true;
      top.key = node->text;
      top.key_line = line_of(mark);
      top.key_column = std::max(mark.column, 0);
      return;
    }
    top.node->size += node->size;
    if (top.node->size > kMaxNodes) {
      throw Stop(line_of(mark), fmt::format("more than {} values (aliases are counted expanded)", kMaxNodes));
    }
    if (top.node->is_list()) {
      top.node->items.push_back(std::move(node));
    } else {
      top.node->entries.push_back({std::move(top.key), top.key_line, top.key_column, std::move(node)});
      top.has_key = false;
    }
  }

  int first_line_;
  int last_start_ = -1;
  NodePtr root_;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
};

/// One stretch between `---` lines.
struct Chunk {
  std::string_view text;
  int first_line = 1;
};

/// `---` at the start of a line ends a document wherever it stands: YAML forbids it inside quoted and block text.
std::vector<Chunk> split_documents(std::string_view text) {
  std::vector<Chunk> chunks;
  std::size_t start = 0;
  int start_line = 1;
  int line = 1;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.find('\n', at);
    std::string_view row = text.substr(at, end == std::string_view::npos ? std::string_view::npos : end - at);
    bool is_mark = row.starts_with("---") && (row.size() == 3 || row[3] == ' ' || row[3] == '\t' || row[3] == '\r');
    if (is_mark && at > start) {
      chunks.push_back({text.substr(start, at - start), start_line});
      start = at;
      start_line = line;
    }
    if (end == std::string_view::npos) break;
    at = end + 1;
    ++line;
  }
  if (start < text.size()) chunks.push_back({text.substr(start), start_line});
  return chunks;
}

void read_chunk(std::string_view file, const Chunk& chunk, Documents& out) {
  auto problem = [&](int line, const std::string& what) {
    out.problems.push_back(
        {Severity::error, {std::string(file), line}, "", "", "not valid YAML: " + what, "this document is left out"});
  };
  if (!is_utf8(chunk.text)) return problem(chunk.first_line, "not UTF-8");
  try {
    std::istringstream stream{std::string(chunk.text)};
    YAML::Parser parser(stream);
    Builder builder(chunk.first_line);
    while (parser.HandleNextDocument(builder)) {
      NodePtr root = builder.take();
      if (root && !root->is_null()) out.documents.push_back(std::move(root));
    }
  } catch (const Stop& stop) {
    problem(stop.line, stop.what());
  } catch (const YAML::Exception& error) {
    problem(error.mark.line < 0 ? chunk.first_line : chunk.first_line + error.mark.line, error.msg);
  } catch (const std::exception& error) {
    problem(chunk.first_line, error.what());
  }
}

void find_duplicates(const Node& node, const std::string& path, std::vector<Duplicate>& out) {
  for (std::size_t i = 0; i < node.items.size(); ++i) find_duplicates(*node.items[i], fmt::format("{}[{}]", path, i), out);
  std::map<std::string_view, int> seen;
  for (const Entry& entry : node.entries) {
    std::string below = path.empty() ? entry.key : path + "." + entry.key;
    auto [at, fresh] = seen.emplace(entry.key, entry.line);
    if (!fresh) out.push_back({entry.line, at->second, below});
    find_duplicates(*entry.value, below, out);
  }
}

bool is_integer(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return false;
  if (text.starts_with("0x"))
    return text.size() > 2 && std::all_of(text.begin() + 2, text.end(), [](unsigned char c) { return std::isxdigit(c); });
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) || c == '_'; }) && text[0] != '_';
}

bool is_float(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::string lower = to_lower(text);
  if (lower == ".inf" || lower == ".nan") return true;
  std::size_t digits = 0;
  std::size_t at = 0;
  auto run = [&] {
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) ++at, ++digits;
  };
  run();
  if (at < text.size() && text[at] == '.') ++at, run();
  if (digits == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    digits = 0;
    run();
    if (digits == 0) return false;
  }
  return at == text.size();
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return entry.value->is_null() ? nullptr : entry.value.get();
  }
  return nullptr;
}

std::string_view Node::text_of(std::string_view key) const {
  const Node* node = find(key);
  return node != nullptr && node->is_scalar() ? std::string_view(node->text) : std::string_view();
}

std::vector<const Node*> items_read(const Node* list) {
  std::vector<const Node*> items;
  if (list == nullptr) return items;
  for (const NodePtr& item : list->items)
    if (!item->is_null()) items.push_back(item.get());
  return items;
}

Plain meaning(const Node& scalar) {
  if (scalar.quoted) return Plain::string;
  std::string lower = to_lower(scalar.text);
  for (std::string_view word : {"true", "false", "yes", "no", "on", "off"}) {
    if (lower == word) return Plain::boolean;
  }
  if (is_integer(scalar.text)) return Plain::integer;
  if (is_float(scalar.text)) return Plain::floating;
  return Plain::string;
}

Documents read(std::string_view file, std::string_view text) {
  Documents out;
  auto refuse = [&](std::string what, std::string hint) {
    out.problems.push_back({Severity::error, {std::string(file), 0}, "", "", std::move(what), std::move(hint)});
  };
  if (text.size() > kMaxText) {
    refuse(fmt::format("the file has {} bytes", text.size()), fmt::format("at most {} are read: split it", kMaxText));
    return out;
  }
  if (text.find('\0') != std::string_view::npos) {
    refuse("the file holds a zero byte", "it must be UTF-8 text");
    return out;
  }
  for (const Chunk& chunk : split_documents(text)) read_chunk(file, chunk, out);
  return out;
}

std::vector<Duplicate> duplicates(const Node& root) {
  std::vector<Duplicate> out;
  find_duplicates(root, "", out);
  return out;
}

}  // namespace weir::mesh::yaml
