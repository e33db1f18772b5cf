// SPDX-License-Identifier: Apache-2.0
// weirctl validate: the same problems, in the same words, as weir-agent --validate.
#include <boost/json.hpp>

#include "base/json.h"
#include "ctl/command.h"
#include "ctl/mesh.h"

namespace weir::ctl {

namespace {

boost::json::object to_value(const Problem& problem) {
  return {{"severity", problem.severity == Severity::error ? "error" : "warning"},
          {"file", problem.where.file},
          {"line", problem.where.line},
          {"object", problem.object},
          {"path", problem.path},
          {"message", problem.message},
          {"hint", problem.hint}};
}

}  // namespace

Printed run_validate(const Arguments& arguments, const World& world) {
  RulesSource source{.mesh_config = arguments.get("mesh-config"), .domain = arguments.get("domain", "cluster.local")};
  std::map<std::string, std::string> extra;
  if (arguments.words.empty() && source.mesh_config.empty())
    return refused({wrong("argument", "what to validate is missing", "name files or directories, or - for standard input")});
  for (const std::string& word : arguments.words) {
    if (word != "-") {
      source.paths.push_back(word);
      continue;
    }
    auto text = world.read_stdin();
    if (!text) return failed(text.error());
    extra["<stdin>"] = std::move(*text);
  }
  auto rules = load_rules(source, extra);
  if (!rules) return failed(rules.error());
  std::size_t errors = 0;
  std::string lines;
  boost::json::array list;
  for (const Problem& problem : rules->problems) {
    lines += to_text(problem) + "\n";
    list.push_back(to_value(problem));
    errors += problem.severity == Severity::error ? 1U : 0U;
  }
  const std::size_t objects = rules->store->objects().size(), warnings = rules->problems.size() - errors;
  Printed printed{errors == 0 ? 0 : 1, "", ""};
  if (arguments.wants_json())
    printed.out = pretty_json(
        boost::json::object{{"objects", objects}, {"errors", errors}, {"warnings", warnings}, {"problems", std::move(list)}});
  else
    printed.out = fmt::format("{}{} objects, {} errors, {} warnings\n", lines, objects, errors, warnings);
  return printed;
}

}  // namespace weir::ctl
