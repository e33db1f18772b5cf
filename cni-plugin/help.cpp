// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "cni-plugin/install_command.h"
#include "cni-plugin/net_config.h"
#include "cni-plugin/program.h"
#include "cni-plugin/spec.h"

namespace weir::cni {

namespace {

constexpr std::string_view kCodes[][2] = {{"1", "the configuration's version is not known, or has no such operation"},
                                          {"4", "an environment variable is missing or wrong"},
                                          {"5", "a file could not be read or written"},
                                          {"6", "standard input is not JSON"},
                                          {"7", "the configuration, an annotation or the policy file is wrong"},
                                          {"8", "CNI_NETNS is no network namespace, or the host's"},
                                          {"11", "not done in time; try again"},
                                          {"50", "STATUS: pods cannot be enrolled on this node"},
                                          {"100", "CHECK: the pod is not captured as it was enrolled"},
                                          {"101", "the node lacks a capability or a part of the kernel"},
                                          {"102", "the pod could not be enrolled; what was done is taken back"},
                                          {"103", "DEL: the pod's rules could not be taken away"},
                                          {"104", "another network has enrolled the container with other flags"}};

constexpr std::string_view kSkips[][2] = {
    {"excluded-namespace", "its namespace is in exclude_namespaces"},
    {"not-enrolled", "no annotation sidecar.istio.io/status, no rule of the policy file, and enrol is not all"},
    {"inject-false", "sidecar.istio.io/inject is false"},
    {"not-a-sidecar", "inject.istio.io/templates names gateway or grpc-agent"},
    {"init-container", "sidecar.istio.io/status names an init container that captures it: istio-init or weir-init"},
    {"mode-none", "sidecar.istio.io/interceptionMode is NONE"}};

constexpr std::string_view kExample =
    "{ \"cniVersion\": \"1.0.0\", \"name\": \"pods\", \"plugins\": [\n"
    "  { \"type\": \"bridge\", … },\n"
    "  { \"type\": \"weir-cni\", \"capabilities\": { \"io.kubernetes.cri.pod-annotations\": true },\n"
    "    \"flags\": { \"istio-service-exclude-cidr\": \"10.96.0.1/32\", \"when-proxy-down\": \"open\" } } ] }\n";

std::string versions() {
  std::string all;
  for (std::string_view version : supported_versions()) all += fmt::format("{}{}", all.empty() ? "" : ", ", version);
  return all;
}

/// roff takes '-' for a hyphen, and a leading dot for a request.
std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    out += c;
    if (c == '\n') out += "\\&";
  }
  return out;
}
std::string item(std::string_view name, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(text));
}

std::string flag_names() {
  std::string names;
  for (const InstallFlag& flag : install_flags()) names += fmt::format("{}{}", names.empty() ? "" : " ", flag.name);
  return names;
}

std::string with_value(const InstallFlag& flag) {
  return flag.value.empty() ? std::string(flag.name) : fmt::format("{}={}", flag.name, flag.value);
}

std::string with_default(const Field& field) {
  return field.default_text.empty() ? std::string(field.meaning) : fmt::format("{} [{}]", field.meaning, field.default_text);
}

}  // namespace

std::string help_text() {
  std::string text =
      "weir-cni: CNI plugin, last in a network's chain, that captures a pod's traffic for a proxy. Container runtimes call it:\n"
      "CNI_COMMAND, CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME and CNI_ARGS in the environment, the configuration on standard "
      "input.\n"
      "Without CNI_COMMAND:\n\n"
      "  weir-cni install [flags]    puts this program and its entry into a node's chain, and puts them back until it is told to "
      "end\n"
      "  weir-cni uninstall [flags]  takes them off the node\n"
      "  weir-cni --help | --version\n\n";
  for (const InstallFlag& flag : install_flags()) text += fmt::format("  {:<28} {}\n", with_value(flag), flag.meaning);
  text += "\nCNI versions: " + versions() +
          "\nOperations: ADD, CHECK, DEL, GC, STATUS, VERSION\n\nIn a network's configuration:\n\n" + std::string(kExample) +
          "\nFields:\n";
  for (const Field& field : fields()) text += fmt::format("  {:<20} {:<40} {}\n", field.name, field.value, with_default(field));
  text += "\nFlags:\n  ";
  for (std::size_t width = 0; std::string_view flag : allowed_flags()) {
    if (width + flag.size() > 110) text += "\n  ", width = 0;
    text += fmt::format("{} ", flag), width += flag.size() + 1;
  }
  text += "\n\nPods that are left alone, and the reason in the log:\n";
  for (const auto& [reason, meaning] : kSkips) text += fmt::format("  {:<20} {}\n", reason, meaning);
  text += "\nError codes:\n";
  for (const auto& [code, meaning] : kCodes) text += fmt::format("  {:<4} {}\n", code, meaning);
  return text;
}

std::string man_page() {
  std::string text =
      ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from the program's tables: weir-cni man\n.TH WEIR-CNI 8 \"\" "
      "\"weir\" "
      "\"weir\"\n.SH NAME\nweir-cni \\- CNI plugin that captures a pod's traffic for a proxy\n"
      ".SH SYNOPSIS\n.B CNI_COMMAND=\\fIOPERATION\\fR weir-cni < \\fICONFIGURATION\\fR\n.br\n.B weir-cni install | uninstall "
      "\\fR[\\fIFLAGS\\fR]\n.br\n.B weir-cni \\-\\-help | "
      "\\-\\-version\n"
      ".SH DESCRIPTION\nStands last in the chain of a network's plugins and programs, from outside, what \\fBweir-init\\fR(1) "
      "programs "
      "from inside: the\nrules that send a pod's connections to its proxy. It asks no API server: it decides by the network's "
      "configuration and by the\nannotations that the runtime hands over (containerd: capability "
      "io.kubernetes.cri.pod\\-annotations), or by a policy file.\nCNI versions " +
      versions() + "; operations ADD, CHECK, DEL, GC, STATUS and VERSION.\n.SH CONFIGURATION\n.nf\n" + roff(kExample) + ".fi\n";
  for (const Field& field : fields()) text += item(fmt::format("{}: {}", field.name, field.value), with_default(field));
  text +=
      ".SH INSTALLING\n\\fBinstall\\fR puts this program among the runtime's plugins and its entry behind the others of the "
      "chain, byte for byte beside what\nothers wrote, stays, and puts both back whenever somebody writes over them; SIGTERM "
      "ends "
      "it and leaves all in place.\n\\fBuninstall\\fR takes the entry out first, then the program. Killed at any step, the next "
      "run of either heals.\n";
  for (const InstallFlag& flag : install_flags())
    text += item(with_value(flag), flag.variable.empty() ? std::string(flag.meaning)
                                                         : fmt::format("{} (environment: {})", flag.meaning, flag.variable));
  text += ".SH FLAGS\nWhat \\fBflags\\fR may hold:\n";
  std::string list;
  for (std::string_view flag : allowed_flags()) list += fmt::format("{}{}", list.empty() ? "" : ", ", flag);
  text += roff(list) + ".\n.SH REASONS\nWhy a pod is left alone, as the log says it:\n";
  for (const auto& [reason, meaning] : kSkips) text += item(reason, meaning);
  text += ".SH ERRORS\nCodes of the error object on standard output; the exit status is 1 then.\n";
  for (const auto& [code, meaning] : kCodes) text += item(code, meaning);
  return text + ".SH SEE ALSO\n\\fBweir-init\\fR(1)\n";
}

std::string bash_completion() {
  return "# SPDX-License-Identifier: Apache-2.0\n# Made by: weir-cni completion\n_weir_cni() {\n"
         "  local words=\"install uninstall --help --version\"\n"
         "  if [[ $COMP_CWORD -gt 1 ]]; then words=\"" +
         flag_names() +
         "\"; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -F _weir_cni weir-cni\n";
}

Printed talk(const std::vector<std::string>& arguments) {
  const std::string word = arguments.empty() ? "" : arguments.front();
  if (arguments.size() <= 1) {
    // As plugins built on the reference skeleton do.
    if (word.empty())
      return {0, "",
              fmt::format("CNI plugin weir-cni v{}\nCNI protocol versions supported: {}\nsee weir-cni --help\n", WEIR_VERSION,
                          versions())};
    if (word == "--help" || word == "-h" || word == "help") return {0, help_text(), ""};
    if (word == "--version" || word == "version") return {0, fmt::format("weir-cni {}\n", WEIR_VERSION), ""};
    if (word == "man") return {0, man_page(), ""};
  }
  if (word == "completion" && arguments.size() <= 2) return {0, bash_completion(), ""};
  return {1, "",
          fmt::format("weir-cni: \"{}\" is not known; a runtime sets CNI_COMMAND, a person writes weir-cni install or --help\n",
                      printable(join(arguments, " ")))};
}

}  // namespace weir::cni
