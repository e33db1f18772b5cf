// SPDX-License-Identifier: Apache-2.0
// weirctl's commands as a table: parsing, help, man page and completion are made from it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"
#include "base/result.h"

namespace weir::ctl {

struct Flag {
  char short_name = 0;
  std::string_view name;
  std::string_view value_name;  ///< "": a switch
  std::string_view meaning;
  std::string_view choices = "";  ///< words for completion, and the only ones allowed if not empty
};

/// What was given to a command. Only explain is called with problems in it, so that it can add its own.
struct Arguments {
  std::map<std::string, std::vector<std::string>> flags;  ///< by long name, in the order given
  std::vector<std::string> words;
  std::vector<Problem> problems;  ///< with the command line itself; all at once

  bool has(const std::string& name) const { return flags.contains(name); }
  /// The last value; `otherwise` if the flag was not given.
  std::string get(const std::string& name, const std::string& otherwise = "") const;
  std::vector<std::string> all(const std::string& name) const;
  bool wants_json() const { return get("output") == "json"; }
};

struct Printed {
  int exit_code = 0;
  std::string out, err;
};

/// What the commands need of the world, so that tests can give them another.
struct World {
  /// Asks `target` ("unix:PATH", "http://IP:PORT") for a path; `pid`: from that process's network namespace. The body of a 200.
  std::function<Result<std::string>(const std::string& target, const std::string& path, std::optional<int> pid)> fetch;
  std::function<Result<std::string>()> read_stdin;
  /// `weirctl capture`: prints by itself.
  std::function<int(const std::vector<std::string>&)> capture;
};

struct Command {
  std::string_view name;
  std::string_view words;  ///< "[PROXY]", "FILE|DIR…": what stands after it besides flags; "": nothing may
  std::string_view meaning;
  std::string_view word_choices;  ///< for completion and man page
  std::span<const Flag> flags;
  Printed (*run)(const Arguments& arguments, const World& world) = nullptr;  ///< null: program.cpp deals with it
  bool is_hidden = false;
};
std::span<const Command> commands();

Arguments parse(const Command& command, std::vector<std::string> arguments);

std::string help_text();
std::string help_text(const Command& command);
std::string man_page();
std::string bash_completion();

Printed run_explain(const Arguments& arguments, const World& world);
Printed run_inject(const Arguments& arguments, const World& world);
Printed run_proxy_config(const Arguments& arguments, const World& world);
Printed run_proxy_status(const Arguments& arguments, const World& world);
Printed run_validate(const Arguments& arguments, const World& world);

/// What `run` prints for an error, with its exit code.
Printed failed(const Error& error);
/// A usage problem of a flag or a word.
Problem wrong(std::string object, std::string message, std::string hint = "");
Printed refused(const std::vector<Problem>& problems);

/// The whole program: `arguments` without its name.
Printed run(const std::vector<std::string>& arguments, const World& world);

}  // namespace weir::ctl
