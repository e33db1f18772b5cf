// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_save.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"

namespace weir::xtables {

namespace {

/// Where a rule goes on; empty if it has no such word.
std::string target_of(const std::vector<std::string>& rule) {
  for (std::size_t i = 0; i + 1 < rule.size(); ++i) {
    if (rule[i] == "--comment") {
      ++i;
      continue;
    }
    if (rule[i] == "-j" || rule[i] == "-g") return rule[i + 1];
  }
  return "";
}

/// One table, while it is read.
class TableReader {
 public:
  explicit TableReader(std::string name) { table_.name = std::move(name); }

  void add_chain(std::string_view declaration) {
    const auto cells = split(declaration, ' ');
    const std::string name(cells[0]);
    const bool is_builtin = cells.size() > 1 && cells[1] != "-";
    if (is_builtin) builtin_.insert(name);
    if (!is_builtin && name.starts_with(kChainPrefix)) table_.chains.push_back({.name = name, .rules = {}});
  }

  /// `text` after "-A ".
  Result<> add_rule(std::string_view text) {
    const auto blank = std::min(text.find(' '), text.size());
    const std::string chain(text.substr(0, blank)), rule(text.substr(std::min(blank + 1, text.size())));
    auto ours =
        std::find_if(table_.chains.begin(), table_.chains.end(), [&](const UserChain& each) { return each.name == chain; });
    if (ours != table_.chains.end()) {
      ours->rules.push_back(rule);
      return {};
    }
    const std::size_t position = ++counts_[chain];
    if (!target_of(words(rule)).starts_with(kChainPrefix)) {
      in_front_[chain].push_back(rule);
      return {};
    }
    if (!builtin_.contains(chain))
      return fail(ErrorCode::environment, "a rule of others leads into a chain of weir: table {}, -A {} {}; take it away first",
                  table_.name, chain, rule);
    table_.jumps.push_back({.chain = chain, .rule = rule, .position = position, .in_front = std::exchange(in_front_[chain], {})});
    return {};
  }

  const Table& table() const { return table_; }

 private:
  Table table_;
  std::set<std::string> builtin_;
  std::map<std::string, std::size_t> counts_;
  std::map<std::string, std::vector<std::string>> in_front_;
};

/// As compile() orders them.
std::ptrdiff_t rank(const Table& table) {
  static constexpr std::string_view kOrder[] = {"raw", "mangle", "filter", "nat"};
  return std::find(std::begin(kOrder), std::end(kOrder), table.name) - std::begin(kOrder);
}

}  // namespace

std::vector<std::string> words(std::string_view rule) {
  std::vector<std::string> found;
  std::string word;
  bool is_quoted = false, has_word = false;
  for (std::size_t i = 0; i < rule.size(); ++i) {
    const char c = rule[i];
    if (c == '\\' && i + 1 < rule.size()) {
      word += rule[++i];
      has_word = true;
    } else if (c == '"') {
      is_quoted = !is_quoted;
      has_word = true;
    } else if (c == ' ' && !is_quoted) {
      if (has_word) found.push_back(std::move(word));
      word.clear();
      has_word = false;
    } else {
      word += c;
      has_word = true;
    }
  }
  if (has_word) found.push_back(std::move(word));
  return found;
}

Result<Tables> read_save(std::string_view text) {
  Tables tables;
  std::optional<TableReader> reader;
  auto finish = [&] {
    if (reader && !reader->table().empty()) tables.push_back(reader->table());
    reader.reset();
  };
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (line.find("is incompatible, use 'nft' tool") != std::string_view::npos)
      return fail(ErrorCode::environment, "iptables-nft cannot show a table that nft has changed: {}; see: nft list ruleset",
                  line);
    if (line.starts_with("*")) {
      finish();
      reader.emplace(std::string(line.substr(1)));
    } else if (reader && line.starts_with(":")) {
      reader->add_chain(line.substr(1));
    } else if (reader && line.starts_with("-A ")) {
      if (auto added = reader->add_rule(line.substr(3)); !added) return pass(added.error());
    }
  }
  finish();
  std::stable_sort(tables.begin(), tables.end(), [](const Table& a, const Table& b) { return rank(a) < rank(b); });
  return tables;
}

}  // namespace weir::xtables
