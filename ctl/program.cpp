// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/text.h"
#include "base/utf8.h"
#include "ctl/command.h"
#include "ctl/table.h"

namespace weir::ctl {

namespace {

const Command* find(std::string_view name) {
  auto found = std::find_if(commands().begin(), commands().end(), [&](const Command& command) { return command.name == name; });
  return found == commands().end() ? nullptr : &*found;
}

Printed unknown_command(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  const std::string_view near = nearest(word, names);
  return refused({wrong("command " + printable(word), "is not known",
                        near.empty() ? "weirctl --help lists the commands" : fmt::format("did you mean {}?", near))});
}

/// Never without a verb: bare weir-init programs the kernel, and a person who looks around here does not expect that.
Printed capture(const std::vector<std::string>& arguments, const World& world) {
  static constexpr std::string_view kVerbs[] = {"apply", "remove", "check", "explain"};
  const bool has_verb = std::any_of(arguments.begin(), arguments.end(), [](const std::string& word) {
    return std::find(std::begin(kVerbs), std::end(kVerbs), word) != std::end(kVerbs) || word == "--help" || word == "-h" ||
           word == "--version";
  });
  if (!has_verb) return refused({wrong("command capture", "its verb is missing", "use apply, remove, check or explain")});
  return {world.capture(arguments), "", ""};
}

Printed help(const Arguments& arguments) {
  if (arguments.words.empty()) return {0, help_text(), ""};
  const Command* command = find(arguments.words.front());
  return command == nullptr ? unknown_command(arguments.words.front()) : Printed{0, help_text(*command), ""};
}

Printed completion(const Arguments& arguments) {
  if (arguments.words == std::vector<std::string>{"bash"}) return {0, bash_completion(), ""};
  return refused({wrong("argument", arguments.words.empty() ? "the shell is missing" : "only bash is known",
                        "write weirctl completion bash")});
}

}  // namespace

Printed failed(const Error& error) {
  Printed printed{exit_code(error), "", "weirctl: "};
  const std::string text = error.to_text();
  for (std::string_view line : split(text, '\n')) printed.err += without_controls(line) + "\n";
  return printed;
}

Printed refused(const std::vector<Problem>& problems) {
  Printed printed{1, "", ""};
  for (const Problem& problem : problems) printed.err += fmt::format("weirctl: {}\n", to_text(problem));
  return printed;
}

Printed run(const std::vector<std::string>& arguments, const World& world) {
  if (arguments.empty()) return {1, "", help_text()};
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h") return {0, help_text(), ""};
  if (first == "--version") return {0, "weirctl " WEIR_VERSION "\n", ""};
  const Command* command = find(first);
  if (command == nullptr) return unknown_command(first);
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command->name == "capture") return capture(rest, world);
  const Arguments parsed = parse(*command, rest);
  if (parsed.has("help")) return {0, help_text(*command), ""};
  if (!parsed.problems.empty() && command->run != run_explain) return refused(parsed.problems);
  if (command->run != nullptr) return command->run(parsed, world);
  if (command->name == "version") return {0, "weirctl " WEIR_VERSION "\n", ""};
  if (command->name == "completion") return completion(parsed);
  if (command->name == "man") return {0, man_page(), ""};
  return help(parsed);
}

}  // namespace weir::ctl
