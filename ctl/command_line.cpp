// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "ctl/command.h"

namespace weir::ctl {

namespace {

void report_unknown(const Command& command, const std::vector<std::string>& words, std::vector<Problem>& problems) {
  std::vector<std::string_view> names = {"help"};
  for (const Flag& flag : command.flags) names.push_back(flag.name);
  const std::string help = fmt::format("weirctl {} --help lists the flags", command.name);
  for (const std::string& word : words) {
    if (word.size() < 2 || !word.starts_with('-')) {
      problems.push_back(wrong("argument " + printable(word), "no argument is expected here", help));
      continue;
    }
    const std::string_view bare = std::string_view(word).substr(std::min(word.find_first_not_of('-'), word.size()));
    const std::string_view near = nearest(bare.substr(0, bare.find('=')), names);
    problems.push_back(
        wrong("flag " + printable(word), "is not known", near.empty() ? help : fmt::format("did you mean --{}?", near)));
  }
}

void check_choices(const Command& command, Arguments& arguments) {
  for (const Flag& flag : command.flags) {
    if (flag.choices.empty()) continue;
    const std::vector<std::string_view> choices = split(flag.choices, ' ');
    for (const std::string& value : arguments.all(std::string(flag.name))) {
      if (std::find(choices.begin(), choices.end(), value) != choices.end()) continue;
      std::string hint = "use ";
      for (std::size_t i = 0; i < choices.size(); ++i)
        hint += fmt::format("{}{}", i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ", choices[i]);
      arguments.problems.push_back(
          wrong(fmt::format("flag --{}", flag.name), fmt::format("\"{}\" is not known", printable(value)), hint));
    }
  }
}

}  // namespace

std::string Arguments::get(const std::string& name, const std::string& otherwise) const {
  auto found = flags.find(name);
  return found == flags.end() || found->second.empty() ? otherwise : found->second.back();
}

std::vector<std::string> Arguments::all(const std::string& name) const {
  auto found = flags.find(name);
  return found == flags.end() ? std::vector<std::string>() : found->second;
}

Problem wrong(std::string object, std::string message, std::string hint) {
  return {Severity::error, {}, std::move(object), "", std::move(message), std::move(hint)};
}

Arguments parse(const Command& command, std::vector<std::string> arguments) {
  Arguments parsed;
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  std::map<std::string, CLI::Option*> options;
  auto add = [&](char short_name, std::string_view name, bool is_switch) {
    std::string names = short_name != 0 ? fmt::format("-{},--{}", short_name, name) : fmt::format("--{}", name);
    CLI::Option* option = is_switch ? app.add_flag(names) : app.add_option(names);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    // One value each time, however often.
    if (!is_switch) option->expected(1);
    options[std::string(name)] = option;
  };
  add('h', "help", true);
  for (const Flag& flag : command.flags) add(flag.short_name, flag.name, flag.value_name.empty());
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    parsed.problems.push_back(wrong("flag " + what.substr(0, what.find(':')), "its value is missing",
                                    fmt::format("see weirctl {} --help", command.name)));
  } catch (const CLI::ParseError& error) {
    parsed.problems.push_back(wrong("", error.what(), fmt::format("see weirctl {} --help", command.name)));
  }
  for (const auto& [name, option] : options)
    if (option->count() > 0) parsed.flags[name] = option->results();
  std::vector<std::string> unknown;
  bool after_flag = false;  // the value of an unknown flag is not a mistake of its own
  for (const std::string& word : app.remaining()) {
    const bool is_word = word == "-" || !word.starts_with('-');
    if (is_word && after_flag) {
      after_flag = false;
      continue;
    }
    after_flag = !is_word && word.find('=') == std::string::npos;
    if (is_word && !command.words.empty())
      parsed.words.push_back(word);
    else
      unknown.push_back(word);
  }
  report_unknown(command, unknown, parsed.problems);
  check_choices(command, parsed);
  return parsed;
}

}  // namespace weir::ctl
