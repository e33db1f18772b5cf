// SPDX-License-Identifier: Apache-2.0
// The table of commands, and the texts made from it.
#include "base/text.h"
#include "ctl/command.h"

namespace weir::ctl {

namespace {

constexpr std::string_view kFormats = "text json";
constexpr std::string_view kShapes = "short json";

constexpr Flag kStatusFlags[] = {
    {0, "agent", "ADDRESS", "weir-agent's debug endpoint: unix:PATH or http://IP:PORT [http://127.0.0.1:15014]"},
    {'o', "output", "FORMAT", "text or json", kFormats},
};
constexpr Flag kConfigFlags[] = {
    {0, "admin", "URL", "the proxy's admin endpoint [http://127.0.0.1:15000]"},
    {0, "pid", "PID", "ask from the network namespace of this process, the pod's proxy, say (needs root)"},
    {0, "file", "FILE", "read a saved /config_dump instead of asking (its endpoints: /config_dump?include_eds)"},
    {0, "agent", "ADDRESS", "show what weir-agent has for the proxy named by --proxy: unix:PATH or http://IP:PORT"},
    {0, "proxy", "POD.NAMESPACE", "for --agent: which proxy"},
    {0, "fqdn", "HOST", "clusters: of this service; a part of the name is enough"},
    {0, "direction", "inbound|outbound", "clusters: of this direction", "inbound outbound"},
    {0, "subset", "NAME", "clusters: of this subset"},
    {0, "port", "PORT", "clusters, listeners, endpoints: of this port"},
    {0, "address", "IP", "listeners, endpoints: of this address"},
    {0, "type", "HTTP|TCP", "listeners: that hold such a chain", "HTTP TCP"},
    {0, "name", "NAME", "routes: this route table"},
    {0, "cluster", "NAME", "endpoints: of this cluster; a part of the name is enough"},
    {0, "status", "STATUS", "endpoints: healthy, unhealthy or draining", "healthy unhealthy draining"},
    {'o', "output", "FORMAT", "short (columns) or json", kShapes},
};
constexpr Flag kValidateFlags[] = {
    {0, "mesh-config", "FILE", "check this MeshConfig too"},
    {0, "domain", "NAME", "DNS suffix of the mesh [cluster.local]"},
    {'o', "output", "FORMAT", "text or json", kFormats},
};
constexpr Flag kExplainFlags[] = {
    {0, "rules", "DIR", "directory of YAML files, as for weir-agent"},
    {0, "mesh-config", "FILE", "Istio MeshConfig YAML, as for weir-agent"},
    {0, "domain", "NAME", "DNS suffix of the mesh [cluster.local]"},
    {0, "config-dump", "FILE", "what a proxy has (a saved /config_dump?include_eds) instead of what the rules give it"},
    {0, "from", "POD.NAMESPACE", "who calls; a Pod of the rules"},
    {0, "as", "uid=UID", "the caller's uid [uid=1000]"},
    {0, "to", "HOST:PORT", "where to: a Service's name in any of its forms, or an address"},
    {0, "family", "4|6", "which of a Service's addresses [4 if it has one]", "4 6"},
    {0, "protocol", "PROTOCOL", "what the caller speaks: http, tcp or tls [http]", "http tcp tls"},
    {0, "sni", "NAME", "server name, for --protocol tls"},
    {0, "method", "METHOD", "[GET]"},
    {0, "path", "PATH", "with query [/]"},
    {'H', "header", "NAME=VALUE",
     "a request header; \"NAME: VALUE\" is understood too; may be repeated. Host changes the authority"},
    {0, "capture", "FLAGS", "weir-init's flags in the pods [-b * -i * -d 15090,15021,15020, and the Pods' annotations]"},
    {0, "requests", "FILE",
     "many at once: a JSON object a line {\"from\", \"to\", \"method\", \"path\", \"headers\", …}; answers likewise; - is "
     "standard input"},
    {'o', "output", "FORMAT", "text or json", kFormats},
};
constexpr Flag kInjectFlags[] = {
    {'f', "file", "FILE", "YAML or JSON, also of several documents; - is standard input"},
    {0, "uninject", "", "take out what was put in, and nothing else"},
    {0, "image", "IMAGE", "of weir-proxy [weir/proxy, of this version]"},
    {0, "init-image", "IMAGE", "of weir-init [weir/init, of this version]"},
    {0, "agent", "ADDRESS", "where the pods find weir-agent: unix:PATH (on the node), IP:PORT [unix:/run/weir/agent.sock]"},
    {0, "cni", "", "no init container: weir-cni captures"},
    {0, "native-sidecars", "", "the proxy as an init container that goes on running (Kubernetes 1.29); jobs always have it so"},
    {0, "platform", "PLATFORM", "who runs it: kubernetes, or podman (play kube) [kubernetes]", "kubernetes podman"},
    {0, "revision", "NAME", "only pods whose label istio.io/rev is this, or that have none"},
    {0, "start-gate", "GATE", "weir-init's: hold:DURATION or off [hold:30s]"},
    {0, "backend", "BACKEND", "weir-init's: nft, iptables-nft, iptables-legacy or auto"},
    {0, "state-dir", "DIR", "where in the pod the proxy keeps its last good configuration, or off [/var/lib/weir]"},
};

constexpr Command kCommands[] = {
    {"proxy-status", "[POD.NAMESPACE]", "which proxies are connected to the agent, and what of which rule each has accepted", "",
     kStatusFlags, run_proxy_status},
    {"proxy-config", "listeners|routes|clusters|endpoints|all", "what a proxy has, in istioctl's columns",
     "listeners routes clusters endpoints all", kConfigFlags, run_proxy_config},
    {"validate", "FILE|DIR|-...", "every problem of these rules, as weir-agent would tell them", "", kValidateFlags,
     run_validate},
    {"explain", "", "what happens to a call, hop by hop, which rule decides, and why the others do not", "", kExplainFlags,
     run_explain},
    {"inject", "", "puts the sidecar into pods, deployments, jobs … of a YAML file, or takes it out; the rest keeps its bytes",
     "", kInjectFlags, run_inject},
    {"capture",
     "apply|remove|check|explain [FLAGS]",
     "weir-init's verbs and flags in this network namespace",
     "apply remove check explain",
     {},
     nullptr},
    {"version", "", "the version", "", {}, nullptr},
    {"completion", "bash", "prints completion for a shell", "bash", {}, nullptr},
    {"help", "[COMMAND]", "this text, or a command's", "", {}, nullptr},
    {"man", "", "prints the manual page", "", {}, nullptr, true},
};

constexpr std::string_view kExitCodes[][2] = {{"0", "done"},
                                              {"1", "the command line, the rules or a file are wrong"},
                                              {"2", "somebody does not answer, or the machine lacks something"},
                                              {"126", "capture check found a difference"}};

std::string left_side(const Flag& flag) {
  std::string text = flag.short_name != 0 ? fmt::format("-{}, ", flag.short_name) : "    ";
  text += fmt::format("--{}", flag.name);
  return flag.value_name.empty() ? text : fmt::format("{} {}", text, flag.value_name);
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

std::string usage(const Command& command) {
  return fmt::format("{}{}{}{}", command.name, command.words.empty() ? "" : " ", command.words,
                     command.flags.empty() ? "" : " [FLAGS]");
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::string help_text() {
  std::string text = "weirctl COMMAND [FLAGS]: what is captured, what a proxy has, and why\n\nCommands:\n";
  for (const Command& command : kCommands)
    if (!command.is_hidden) text += fmt::format("  {:<14} {}\n", command.name, command.meaning);
  text += "\nweirctl COMMAND --help tells a command's flags.\n\nExit codes:\n";
  for (const auto& [code, meaning] : kExitCodes) text += fmt::format("  {:<4} {}\n", code, meaning);
  return text;
}

std::string help_text(const Command& command) {
  std::string text = fmt::format("weirctl {}: {}\n", usage(command), command.meaning);
  if (!command.flags.empty()) text += "\nFlags:\n";
  for (const Flag& flag : command.flags) text += fmt::format("  {:<32} {}\n", left_side(flag), flag.meaning);
  return text;
}

std::string man_page() {
  std::string text =
      ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from the table of commands: weirctl man\n.TH WEIRCTL 1 \"\" "
      "\"weir\" "
      "\"weir\"\n.SH NAME\nweirctl \\- what is captured, what a proxy has, and why\n.SH SYNOPSIS\n.B weirctl\n\\fICOMMAND\\fR "
      "[\\fIFLAGS\\fR]\n.SH DESCRIPTION\nFor whoever has to find out at night why a call went where it went. \\fBexplain\\fR "
      "needs "
      "nothing that runs: it\ntranslates the rules with the agent's own code and matches with the proxy's.\n";
  for (const Command& command : kCommands) {
    if (command.is_hidden) continue;
    text += fmt::format(".SH {}\n.B weirctl {}\n.PP\n{}.\n", to_lower(command.name), roff(usage(command)), roff(command.meaning));
    for (const Flag& flag : command.flags) text += man_item(trim(left_side(flag)), flag.meaning);
  }
  text += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : kExitCodes) text += man_item(code, meaning);
  text +=
      ".SH EXAMPLES\n.nf\nweirctl explain \\-\\-rules ./rules \\-\\-from client.default \\-\\-to reviews:9080 \\-H "
      "end\\-user=jason\n"
      "weirctl proxy\\-status\nweirctl proxy\\-config routes \\-\\-pid 4711 \\-\\-name 9080\nweirctl validate ./rules\n.fi\n"
      ".SH SEE ALSO\n.BR weir\\-agent (1),\n.BR weir\\-init (1),\n.BR weir\\-proxy (1)\n";
  return text;
}

std::string bash_completion() {
  std::string names, cases, values;
  std::map<std::string, std::string> choices;
  for (const Command& command : kCommands) {
    if (command.is_hidden) continue;
    names += (names.empty() ? "" : " ") + std::string(command.name);
    std::string words(command.word_choices);
    for (const Flag& flag : command.flags) words += fmt::format("{}--{}", words.empty() ? "" : " ", flag.name);
    words += words.empty() ? "--help" : " --help";
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command.name, words);
    for (const Flag& flag : command.flags) {
      if (flag.choices.empty()) continue;
      std::string& all = choices[std::string(flag.name)];
      for (std::string_view choice : split(flag.choices, ' '))
        if ((" " + all + " ").find(fmt::format(" {} ", choice)) == std::string::npos)
          all += fmt::format("{}{}", all.empty() ? "" : " ", choice);
    }
  }
  for (const auto& [name, words] : choices)
    values += fmt::format("    --{}{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n", name,
                          name == "output" ? "|-o" : "", words);
  return fmt::format(
      "# SPDX-License-Identifier: Apache-2.0\n# Made from the table of commands: weirctl completion bash\n_weirctl() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} words=\"{}\"\n"
      "  case ${{COMP_WORDS[COMP_CWORD-1]}} in\n{}"
      "    --rules) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
      "    --file|--mesh-config|--config-dump|--requests) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n  esac\n"
      "  [ \"$COMP_CWORD\" -gt 1 ] && case ${{COMP_WORDS[1]}} in\n{}  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "  [ \"${{COMP_WORDS[1]}}\" = validate ] && COMPREPLY+=($(compgen -f -- \"$word\"))\n}}\ncomplete -F _weirctl weirctl\n",
      names, values, cases);
}

}  // namespace weir::ctl
