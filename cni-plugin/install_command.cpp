// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/install_command.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/problem.h"
#include "base/text.h"
#include "cni-plugin/chain.h"
#include "cni-plugin/net_config.h"

namespace weir::cni {

namespace {

using Environment = std::map<std::string, std::string>;

constexpr InstallFlag kFlags[] = {
    {"--cni-net-dir", "DIR", "CNI_NET_DIR", "the runtime's network configuration, as this process sees it [/etc/cni/net.d]",
     true},
    {"--cni-bin-dir", "DIR", "CNI_BIN_DIR", "the runtime's plugins, likewise [/opt/cni/bin]", true},
    {"--cni-conf-name", "NAME,…", "CNI_CONF_NAME", "files of the former that get the entry [the first valid one]", false},
    {"--plugin-config", "FILE", "", "the entry, a JSON object of the fields below [with pod annotations, else defaults]", false},
    {"--drop-in", "", "", "as DIR/NETWORK/weir-cni.conf, no entry in another's file; for runtimes with libcni 1.3", false},
    {"--once", "", "", "put in place and end; without it: stay, and put back what others write over", false},
    {"--check", "", "", "change nothing; exit code 126 if something is not in place", false},
    {"--output", "text|json", "", "how --once, --check and uninstall print what they did (short: -o) [text]", true}};

constexpr std::string_view kDefaultEntry = R"({"type": "weir-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}})";

struct Options {
  Place place;
  std::string plugin_config;
  bool once = false, check = false, json = false;
};

Problem wrong(std::string_view flag, std::string message, std::string hint = "") {
  return {Severity::error, {}, fmt::format("flag {}", flag), "", std::move(message), std::move(hint)};
}

/// Each flag's value by name; a switch's is "". Everything that is wrong goes to `problems`.
std::map<std::string, std::string> read_flags(const std::vector<std::string>& arguments, std::vector<Problem>& problems) {
  const bool uninstalls = arguments.front() == "uninstall";
  std::map<std::string, std::string> found;
  std::vector<std::string_view> names;
  for (const InstallFlag& flag : kFlags)
    if (!uninstalls || flag.is_for_uninstall) names.push_back(flag.name);
  for (std::size_t at = 1; at < arguments.size(); ++at) {
    const std::string& word = arguments[at];
    const std::size_t equals = word.find('=');
    std::string name = word.substr(0, equals);
    if (name == "-o") name = "--output";
    const auto* flag =
        std::find_if(std::begin(kFlags), std::end(kFlags), [&](const InstallFlag& row) { return row.name == name; });
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string_view near = nearest(name, names);
      problems.push_back(wrong(printable(word), fmt::format("is not known to {}", arguments.front()),
                               near.empty() ? "see weir-cni --help" : fmt::format("did you mean {}?", near)));
    } else if (flag->value.empty()) {
      if (equals != std::string::npos) problems.push_back(wrong(name, "takes no value"));
      found[name] = "";
    } else if (equals != std::string::npos) {
      found[name] = word.substr(equals + 1);
    } else if (at + 1 < arguments.size()) {
      found[name] = arguments[++at];
    } else {
      problems.push_back(wrong(name, "needs a value", fmt::format("write {}={}", name, flag->value)));
    }
  }
  return found;
}

void check_file_name(const std::string& name, std::vector<Problem>& problems) {
  if (!name.empty() && name.find('/') == std::string::npos && name != "." && name != "..") return;
  problems.push_back(wrong("--cni-conf-name", fmt::format("\"{}\" is no file's name", printable(name)),
                           "write names in --cni-net-dir, for example 10-podnet.conflist"));
}

Options read_options(const std::vector<std::string>& arguments, const Environment& environment, std::vector<Problem>& problems) {
  auto flags = read_flags(arguments, problems);
  for (const InstallFlag& flag : kFlags)
    if (auto variable = environment.find(std::string(flag.variable)); !flag.variable.empty() && variable != environment.end())
      if (!variable->second.empty()) flags.try_emplace(std::string(flag.name), variable->second);
  Options options;
  const auto take = [&](const char* name, std::string& target) {
    auto found = flags.find(name);
    if (found == flags.end()) return;
    if (found->second.empty()) problems.push_back(wrong(name, "is empty"));
    target = found->second;
  };
  take("--cni-net-dir", options.place.net_dir);
  take("--cni-bin-dir", options.place.bin_dir);
  take("--plugin-config", options.plugin_config);
  if (auto names = flags.find("--cni-conf-name"); names != flags.end())
    for (std::string_view name : split(names->second, ',')) {
      options.place.conf_names.emplace_back(trim(name));
      check_file_name(options.place.conf_names.back(), problems);
    }
  options.place.drop_in = flags.contains("--drop-in");
  options.once = flags.contains("--once");
  options.check = flags.contains("--check");
  if (auto output = flags.find("--output"); output != flags.end()) {
    options.json = output->second == "json";
    if (output->second != "json" && output->second != "text")
      problems.push_back(wrong("--output", fmt::format("\"{}\" is not known", printable(output->second)), "write text or json"));
  }
  if (options.once && options.check)
    problems.push_back(wrong("--check", "changes nothing, so that --once has no meaning beside it"));
  return options;
}

/// The entry as it goes into the chain; wrong fields are problems as they would be when a pod starts, only earlier.
std::string read_entry(const Options& options, const NodeFiles& files, std::vector<Problem>& problems) {
  if (options.plugin_config.empty()) return std::string(kDefaultEntry);
  const auto bad = [&](std::string message, std::string hint = "") {
    problems.push_back({Severity::error, {options.plugin_config, 0}, "", "", std::move(message), std::move(hint)});
    return std::string();
  };
  auto file = files.read(options.plugin_config);
  if (!file) return bad(file.error().to_text());
  if (!*file) return bad("there is no such file", "write a JSON object of weir-cni's fields into it, {} for none");
  auto parsed = parse_json((*file)->bytes);
  if (!parsed) return bad(parsed.error().to_text());
  if (!parsed->is_object()) return bad("is no JSON object");
  boost::json::object entry = std::move(parsed->get_object());
  if (auto* type = entry.if_contains("type"); type != nullptr && !(type->is_string() && type->get_string() == kPluginType.data()))
    return bad(fmt::format("type is {}, not \"{}\"", compact_json(*type), kPluginType));
  std::vector<Problem> found;
  read_net_config(entry, found);
  for (Problem& problem : found) {
    problem.where.file = options.plugin_config;
    problems.push_back(std::move(problem));
  }
  boost::json::object whole{{"type", kPluginType}};
  for (auto& member : entry)
    if (member.key() != "type") whole[member.key()] = std::move(member.value());
  return pretty_json(whole);
}

/// `looks`: what is said to be done is only to be done.
std::string shown(const Pass& pass, bool as_json, bool looks, std::string_view nothing) {
  if (as_json) {
    boost::json::object object{{"whole", pass.is_whole()}, {"done", boost::json::array(pass.done.begin(), pass.done.end())}};
    object["waiting"] = pass.waiting;
    object["notes"] = boost::json::array(pass.notes.begin(), pass.notes.end());
    return compact_json(object) + "\n";
  }
  std::string text;
  for (const std::string& note : pass.notes) text += fmt::format("passed over {}\n", note);
  for (const std::string& line : pass.done) text += fmt::format("{}{}\n", looks ? "not in place; install would say: " : "", line);
  if (!pass.waiting.empty()) text += fmt::format("there is not yet {}\n", pass.waiting);
  if (pass.is_whole()) text += std::string(nothing) + "\n";
  return text;
}

Printed failed(const Error& error) { return {exit_code(error), "", fmt::format("weir-cni: {}\n", error.to_text())}; }

/// `looks`: what install() would do is what is missing.
Printed told(const Result<Pass>& pass, const Options& options, bool looks, std::string_view nothing) {
  if (!pass) return failed(pass.error());
  Printed printed{0, shown(*pass, options.json, looks, nothing), ""};
  if (looks && !pass->is_whole()) printed.exit_code = exit_code(Error(ErrorCode::check_failed, ""));
  if (!looks && !pass->waiting.empty()) printed.exit_code = exit_code(Error(ErrorCode::environment, ""));
  return printed;
}

}  // namespace

std::span<const InstallFlag> install_flags() { return kFlags; }

bool is_install_word(std::string_view word) { return word == "install" || word == "uninstall"; }

Printed run_install(const std::vector<std::string>& arguments, const Environment& environment, const InstallerWorld& world,
                    std::string_view binary) {
  std::vector<Problem> problems;
  const Options options = read_options(arguments, environment, problems);
  const bool installs = arguments.front() == "install";
  const std::string entry = installs ? read_entry(options, world.files, problems) : "";
  Printed printed;
  if (has_errors(problems)) return {1, "", to_text(problems) + "\n"};
  for (const Problem& warning : problems) world.tell(to_text(warning));
  if (!installs) return told(uninstall_alone(world, options.place), options, false, "nothing of weir-cni is there");
  if (options.check) return told(look(world.files, options.place, binary, entry), options, true, "all is in place");
  if (options.once) return told(install(world.files, options.place, binary, entry), options, false, "all is in place already");
  if (auto kept = keep_installed(world, options.place, binary, entry); !kept) return failed(kept.error());
  return printed;
}

}  // namespace weir::cni
