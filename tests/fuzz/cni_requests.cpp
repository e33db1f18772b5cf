// SPDX-License-Identifier: Apache-2.0
// Environment and standard input of weir-cni: one JSON document of the specification's shape, or nothing where nothing is
// returned; the result of the plugin before is handed on; the log line is one line. Input: NAME=VALUE a line, an empty line,
// standard input.
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "cni-plugin/fake_node.h"
#include "cni-plugin/verbs.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::fuzzing;

namespace {

void check_answer(const std::string& command, std::string_view input, const cni::Answer& answer) {
  require_one_line(cni::to_json(answer.entry));
  if (!parse_json(cni::to_json(answer.entry))) require_same("the log line", cni::to_json(answer.entry), "JSON");
  const bool returns_nothing = command == "CHECK" || command == "DEL" || command == "GC" || command == "STATUS";
  if (answer.exit_code == 0 && returns_nothing) return require_same("the answer", answer.out, "");
  auto out = parse_json(answer.out);
  if (!out || !out->is_object()) return require_same("the answer", answer.out, "one JSON object");
  if (!out->as_object().contains("cniVersion")) require_same("the answer", answer.out, "with a version");
  if (answer.exit_code != 0) {
    if (!out->as_object().contains("code")) require_same("the answer", answer.out, "with a code");
    return require_one_line(std::string(trim(answer.out)));
  }
  if (command != "ADD") return;
  const auto config = parse_json(input);
  const boost::json::value* before = config && config->is_object() ? config->as_object().if_contains("prevResult") : nullptr;
  if (before == nullptr || !before->is_object()) return;
  boost::json::object expected = before->as_object();
  expected["cniVersion"] = out->as_object().at("cniVersion");
  if (*out != expected) require_same("the result", answer.out, compact_json(expected));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  std::map<std::string, std::string> environment;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) break;
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos && line.find('\0') == std::string_view::npos)
      environment.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  cni::FakeNode node;
  const std::string command = environment.contains("CNI_COMMAND") ? environment["CNI_COMMAND"] : "";
  check_answer(command, text, cni::serve(environment, text, node, "00000000000000000000000000000001"));
  if (command != "ADD") return 0;
  for (const char* next : {"CHECK", "DEL", "DEL", "GC"}) {
    environment["CNI_COMMAND"] = next;
    check_answer(next, text, cni::serve(environment, text, node, "00000000000000000000000000000002"));
  }
  return 0;
}
