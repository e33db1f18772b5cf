// SPDX-License-Identifier: Apache-2.0
// weirctl explain: what is asked, whom, and how it is shown.
#include <boost/json.hpp>

#include "agent/rule_source.h"
#include "base/json.h"
#include "base/text.h"
#include "ctl/config_dump.h"
#include "ctl/explain.h"

namespace weir::ctl {

namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    if (word.size() > 1 && (word.front() == '\'' || word.front() == '"') && word.back() == word.front())
      word = word.substr(1, word.size() - 2);
    words.emplace_back(word);
  }
  return words;
}

class Explaining {
 public:
  Explaining(const Arguments& arguments, const World& world) : arguments_(arguments), world_(world) {}

  Printed run() {
    std::vector<Problem> problems = arguments_.problems;
    const bool is_batch = arguments_.has("requests");
    if (!arguments_.has("rules") && !arguments_.has("config-dump"))
      problems.push_back(
          wrong("flag --rules", "is missing", "name the directory of the rules: --rules DIR (or a dump: --config-dump FILE)"));
    if (!is_batch && !arguments_.has("to"))
      problems.push_back(wrong("flag --to", "is missing", "say where to: --to reviews:9080"));
    if (!is_batch && !arguments_.has("from") && !arguments_.has("config-dump"))
      problems.push_back(wrong("flag --from", "is missing", "say who calls: --from POD.NAMESPACE"));
    defaults_ = read_question(arguments_, problems);
    if (!problems.empty()) return refused(problems);
    if (auto loaded = load(); !loaded) return failed(loaded.error());
    return is_batch ? many() : one();
  }

 private:
  Result<> load() {
    RulesSource source{.mesh_config = arguments_.get("mesh-config"), .domain = arguments_.get("domain", "cluster.local")};
    if (arguments_.has("rules")) source.paths.push_back(arguments_.get("rules"));
    auto rules = load_rules(source);
    if (!rules) return pass(rules.error());
    for (const Problem& problem : rules->problems)
      if (problem.severity == Severity::error) warnings_ += fmt::format("weirctl: {}\n", to_text(problem));
    if (!warnings_.empty())
      warnings_ += "weirctl: what is broken counts as not there; a running agent may still have its last good form\n";
    mesh_.emplace(std::move(*rules), words_of(arguments_.get("capture")));
    if (auto plan = mesh_->default_plan(); !plan) return pass(plan.error());
    if (!arguments_.has("config-dump")) return {};
    const std::string file = arguments_.get("config-dump");
    auto text = agent::read_rule_file(file);
    if (!text) return fail(ErrorCode::environment, "{}", text.error().to_text());
    auto dump = read_config_dump(*text);
    if (!dump) return pass(dump.error(), file);
    if (!dump->has_endpoints) warnings_ += fmt::format("weirctl: {} has no endpoints: it was saved without ?include_eds\n", file);
    view_ = compile(dump->resources);
    for (const Problem& problem : view_->refused) warnings_ += fmt::format("weirctl: {}: {}\n", file, to_text(problem));
    caller_ = {dump->node.ns.empty() ? defaults_.from : dump->node.name + "." + dump->node.ns, view_.get(), dump->node.ips};
    if (defaults_.from.empty()) defaults_.from = caller_->name;
    return {};
  }

  Result<Explanation> ask(const Question& question) { return explain(question, *mesh_, caller_ ? &*caller_ : nullptr); }

  Printed one() {
    auto explanation = ask(defaults_);
    if (!explanation) {
      Printed printed = failed(explanation.error());
      printed.err = warnings_ + printed.err;
      return printed;
    }
    return {0, arguments_.wants_json() ? to_json(*explanation, false) : to_text(*explanation), warnings_};
  }

  Printed many() {
    const std::string file = arguments_.get("requests");
    auto text = file == "-" ? world_.read_stdin() : agent::read_rule_file(file);
    if (!text) return failed(text.error());
    std::vector<Problem> problems;
    std::vector<Question> questions;
    int number = 0;
    for (std::string_view line : split(*text, '\n')) {
      ++number;
      if (!trim(line).empty()) questions.push_back(read_question(line, defaults_, {file, number}, problems));
    }
    if (!problems.empty()) return refused(problems);
    Printed printed{0, "", warnings_};
    for (const Question& question : questions) {
      auto explanation = ask(question);
      if (explanation) {
        printed.out += to_json(*explanation, true) + "\n";
      } else {
        printed.exit_code = 1;
        printed.out += fmt::format("{{\"error\": {}}}\n", json_quote(explanation.error().to_text()));
      }
    }
    return printed;
  }

  const Arguments& arguments_;
  const World& world_;
  Question defaults_;
  std::optional<Mesh> mesh_;
  std::shared_ptr<const ProxyView> view_;
  std::optional<Caller> caller_;
  std::string warnings_;
};

}  // namespace

Printed run_explain(const Arguments& arguments, const World& world) { return Explaining(arguments, world).run(); }

}  // namespace weir::ctl
