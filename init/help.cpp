// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "init/command_line.h"
#include "init/own_options.h"

namespace weir::init {

namespace {

constexpr std::string_view kExitCodes[][2] = {
    {"0", "done; for check: what is there is what was planned"},
    {"1", "flags or environment variables are wrong; nothing was changed"},
    {"2", "the machine lacks something (a capability, a kernel feature); nothing was changed"},
    {"126",
     "check found a difference or a drain, self-test or --trace a packet that fared otherwise, or --run-validation no "
     "redirection"}};

/// What -o json prints, by verb.
constexpr std::string_view kJson[][2] = {
    {"apply", "{verb, backend, changed, notes: [text], validated with --run-validation}"},
    {"remove", "{verb, changed}; with --live also draining and notes: [text]"},
    {"check",
     "{verb, differences: [text], foreign: [text], flags, flags_are, mended: [text] with --repair}; after remove --live {verb, "
     "differences, draining: {connections, seconds_left, watched}}"},
    {"explain",
     "{verdict, chain, match, why, rules: [text], then: [text], changes: [{with, verdict}], flags, flags_are, drift: [text], "
     "trace: null or {agrees, verdict, met: [text]}}"},
    {"self-test",
     "{verb, flags, passed, rows: [{packet, expected, seen, rules: [text], passed, failure}], not_run: [{what, why}]}"}};

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

/// "-p, --envoy-port PORT", or the variable of an option that has no flag.
std::string left_side(char short_name, std::string_view long_name, std::string_view value_name) {
  std::string text = short_name != 0 ? fmt::format("-{}, ", short_name) : "    ";
  text += fmt::format("--{}", long_name);
  return value_name.empty() ? text : fmt::format("{} {}", text, value_name);
}

std::string right_side(const capture::Option& option) {
  std::string text(option.meaning);
  if (!option.is_supported()) text = "not supported yet: " + text;
  if (!option.default_text.empty() && !option.is_switch()) text += fmt::format(" [{}]", option.default_text);
  if (!option.environment.empty() && !option.long_name.empty()) text += fmt::format(" (env {})", joined(option.environment));
  return text;
}

/// roff takes a leading dot or quote for a request, and '-' for a hyphen.
std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string man_item(std::string_view name, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(text));
}

std::string_view trimmed(const std::string& text) { return trim(text); }

}  // namespace

std::span<const VerbRow> verb_rows() {
  static constexpr VerbRow kRows[] = {
      {"apply", Verb::apply, "programs the rules of this network namespace (what happens without a verb)"},
      {"remove", Verb::remove, "takes away what apply left; nothing there is success"},
      {"check", Verb::check,
       "says how the kernel differs from what these flags ask (without flags: from those that the rules keep)"},
      {"explain", Verb::explain,
       "says what happens to a connection, at which rule, why, and which flag would change it; by these flags, or without any by "
       "the rules that stand"},
      {"self-test", Verb::self_test,
       "sends a packet for each rule that stands and sees what the kernel does to it; none is delivered or leaves"},
      {"watch", Verb::watch, "resolves --exclude-domains and keeps their addresses in the rules, until it is ended"},
      {"man", Verb::man, "prints the manual page", true},
      {"completion", Verb::completion, "prints bash completion", true},
  };
  return kRows;
}

std::span<const OwnOption> own_options() {
  static constexpr OwnOption kRows[] = {
      {0, "live", "",
       "apply, remove: no connection that exists is reset; after remove, those that were captured are served until they end"},
      {0, "drain-timeout", "DURATION", "remove --live: how long they are served at most [1h]"},
      {0, "wait", "", "remove --live: return when the last of them has ended, not at once"},
      {0, "output", "FORMAT", "text or json; -o json is understood too (any other -o names excluded ports)"},
      {0, "repair", "", "with check: mend in one transaction what differs, and say what; rules of others are named and stay"},
      {'h', "help", "", "this text"},
      {0, "version", "", "the version"},
      {0, "as", "uid=UID,gid=GID", "who sends it; a gid that is not named is the uid [uid=1000]", true},
      {0, "from", "WHO", "app (uid 1000), root, proxy, outside, or an address outside [app]", true},
      {0, "uid", "UID", "the sender's uid", true},
      {0, "gid", "GID", "the sender's gid", true},
      {0, "mark", "MARK", "the mark of the sender's socket", true},
      {0, "cgroup", "PATH", "the sender's cgroup (v2), below the hierarchy's root", true},
      {0, "to", "ADDRESS:PORT[/udp]", "where it goes", true},
      {0, "source", "ADDRESS", "where it comes from, if bound to an address", true},
      {0, "interface", "NAME", "by which it leaves or comes in [lo within the sandbox, else eth0]", true},
      {0, "sandbox-ip", "ADDRESSES", "the sandbox's own addresses [those of this network namespace]", true},
      {0, "udp", "", "a datagram, not a connection", true},
      {0, "excluded-domain", "", "to an address of one of --exclude-domains", true},
      {0, "gate-closed", "", "while the start gate still holds", true},
      {0, "proxy-down", "", "when the proxy has gone, for longer than --when-proxy-down=open waits", true},
      {0, "stray", "", "a later packet of a TCP connection that connection tracking does not know", true},
      {0, "trace", "", "send such a packet through the standing rules, and see; it is not delivered", true},
  };
  return kRows;
}

std::string help_text() {
  std::string text =
      "weir-init [VERB] [FLAGS]: captures this network namespace's traffic for a proxy, with istio-iptables' flags\n\nVerbs:\n";
  for (const VerbRow& row : verb_rows())
    if (!row.is_hidden) text += fmt::format("  {:<10} {}\n", row.name, row.meaning);
  auto line = [&](const std::string& left, const std::string& right) { text += fmt::format("  {:<48} {}\n", left, right); };
  text += "\nFlags (a flag beats its environment variable):\n";
  for (const capture::Option& option : capture::options())
    if (!option.long_name.empty()) line(left_side(option.short_name, option.long_name, option.value_name), right_side(option));
  for (const OwnOption& option : own_options())
    if (!option.only_explain) line(left_side(option.short_name, option.name, option.value_name), std::string(option.meaning));
  text += "\nFlags of explain:\n";
  for (const OwnOption& option : own_options())
    if (option.only_explain) line(left_side(option.short_name, option.name, option.value_name), std::string(option.meaning));
  text += "\nEnvironment only:\n";
  for (const capture::Option& option : capture::options())
    if (option.long_name.empty()) line("    " + joined(option.environment), right_side(option));
  text += "\nExit codes:\n";
  for (const auto& [code, meaning] : kExitCodes) text += fmt::format("  {:<4} {}\n", code, meaning);
  return text;
}

std::string man_page() {
  std::string text =
      ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from the option table: weir-init man\n.TH WEIR-INIT 1 \"\" \"weir\" "
      "\"weir\"\n"
      ".SH NAME\nweir-init \\- capture the traffic of a network namespace for a proxy\n"
      ".SH SYNOPSIS\n.B weir-init\n[\\fIVERB\\fR] [\\fIFLAGS\\fR]\n"
      ".SH DESCRIPTION\nPrograms the nftables rules (one table, \\fBinet weir\\fR, in one transaction, IPv4 and IPv6 together) "
      "that send\n"
      "outbound TCP connections to port 15001 and inbound ones to port 15006 of the network namespace it is started in, but not "
      "the\n"
      "proxy's own. Flags and environment variables bear istio\\-iptables' names. Needs CAP_NET_ADMIN. It can be run again at "
      "any time:\n"
      "what differs is replaced, and connections go on.\n.SH VERBS\n";
  for (const VerbRow& row : verb_rows())
    if (!row.is_hidden) text += man_item(row.name, row.meaning);
  text += ".SH OPTIONS\n";
  for (const capture::Option& option : capture::options())
    if (!option.long_name.empty())
      text += man_item(trimmed(left_side(option.short_name, option.long_name, option.value_name)), right_side(option));
  for (const OwnOption& option : own_options())
    if (!option.only_explain)
      text += man_item(trimmed(left_side(option.short_name, option.name, option.value_name)), option.meaning);
  text += ".SH OPTIONS OF EXPLAIN\n";
  for (const OwnOption& option : own_options())
    if (option.only_explain)
      text += man_item(trimmed(left_side(option.short_name, option.name, option.value_name)), option.meaning);
  text += ".SH ENVIRONMENT\n";
  for (const capture::Option& option : capture::options())
    if (option.long_name.empty()) text += man_item(joined(option.environment), right_side(option));
  text += ".SH JSON\n\\fB\\-o json\\fR prints one object on standard output:\n";
  for (const auto& [verb, shape] : kJson) text += man_item(verb, shape);
  text += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : kExitCodes) text += man_item(code, meaning);
  return text +
         ".SH EXAMPLES\n.nf\nweir\\-init \\-b '*' \\-i '*' \\-d 15090,15021,15020 \\-\\-start\\-gate=hold:30s\n"
         "weir\\-init explain \\-b '*' \\-i '*' \\-\\-from app \\-\\-to 10.0.0.1:80\nweir\\-init remove\n.fi\n";
}

std::string bash_completion() {
  std::string verbs, flags;
  for (const VerbRow& row : verb_rows())
    if (!row.is_hidden) verbs += (verbs.empty() ? "" : " ") + std::string(row.name);
  for (const capture::Option& option : capture::options())
    if (!option.long_name.empty() && option.is_supported()) flags += fmt::format(" --{}", option.long_name);
  for (const OwnOption& option : own_options()) flags += fmt::format(" --{}", option.name);
  return fmt::format(
      "# SPDX-License-Identifier: Apache-2.0\n# Made from the option table: weir-init completion\n_weir_init() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}}\n  case ${{COMP_WORDS[COMP_CWORD-1]}} in\n"
      "    --output) COMPREPLY=($(compgen -W \"text json\" -- \"$word\")); return ;;\n"
      "    --backend) COMPREPLY=($(compgen -W \"nft iptables-nft iptables-legacy auto\" -- \"$word\")); return ;;\n"
      "    --from) COMPREPLY=($(compgen -W \"app root proxy outside\" -- \"$word\")); return ;;\n  esac\n"
      "  COMPREPLY=($(compgen -W \"{}{}\" -- \"$word\"))\n}}\ncomplete -F _weir_init weir-init\n",
      verbs, flags);
}

}  // namespace weir::init
