// SPDX-License-Identifier: Apache-2.0
// What weirctl is given: a config dump, an agent's /debug/syncz, a proxy's /clusters, questions a line each. Whatever is in them,
// it ends with 0 or with a reason, no output commands the terminal that shows it, and what is said to be JSON is JSON. Input: the
// same text as each of them.
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "ctl/config_dump.h"
#include "ctl/explain.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::ctl;
using namespace weir::fuzzing;

namespace {

constexpr std::string_view kRules = R"(
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.96.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}, {name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default}
status: {podIP: 10.244.1.10}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1}}
status: {podIP: 10.244.1.31}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}, {name: tcp, port: 9000}]
endpoints: [{addresses: [10.244.1.31], targetRef: {kind: Pod, name: reviews-v1, namespace: default}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {regex: "j.*n"}}, uri: {prefix: /reviews}, method: {exact: POST}}]
      rewrite: {uri: /books}
      route: [{destination: {host: reviews}}]
    - match: [{queryParams: {x: {exact: "1"}}}]
      redirect: {uri: /new}
    - route: [{destination: {host: reviews}}]
)";

void require_lines(const std::string& text) {
  for (std::string_view line : split(text, '\n')) require_one_line(std::string(line));
}

void require_json(const std::string& text) {
  if (auto parsed = parse_json(text); !parsed) require_same("JSON output", parsed.error().to_text(), text);
}

void check(const std::vector<std::string>& arguments, const World& world) {
  const Printed printed = run(arguments, world);
  require_lines(printed.out);
  require_lines(printed.err);
  if (printed.exit_code != 0 && printed.err.empty()) require_same("a refusal", join(arguments, " "), "with a reason");
  if (printed.exit_code == 0 && arguments.back() == "json") require_json(printed.out);
}

/// The rules, with every proxy's view kept: made once.
Mesh& mesh() {
  static Mesh made = [] {
    auto rules = load_rules({}, {{"fuzz.yaml", std::string(kRules)}});
    if (!rules || has_errors(rules->problems)) require_same("the rules", rules ? to_text(rules->problems) : "", "understood");
    return Mesh(std::move(*rules), {});
  }();
  return made;
}

void check_question(const Question& question, const Caller* caller) {
  auto explanation = explain(question, mesh(), caller);
  if (!explanation) return;
  require_lines(to_text(*explanation));
  const std::string line = to_json(*explanation, true);
  require_json(line);
  require_one_line(line);
}

void check_questions(std::string_view text) {
  Question defaults;
  defaults.from = "client.default";
  std::vector<Problem> problems;
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    const std::size_t before = problems.size();
    const Question question = read_question(line, defaults, {"fuzz.jsonl", ++number}, problems);
    if (problems.size() == before) check_question(question, nullptr);
  }
  for (const Problem& problem : problems) require_one_line(to_text(problem));
}

void check_dump(const std::string& text) {
  auto dump = read_config_dump(text);
  if (!dump) return;
  auto view = compile(dump->resources);
  const Caller caller{"someone", view.get(), dump->node.ips};
  Question question;
  question.host = "reviews";
  question.port = 9080;
  question.headers = {{"end-user", "jason"}};
  check_question(question, &caller);
  question.protocol = Question::Protocol::tcp;
  check_question(question, &caller);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(text_of(data, size));
  World world;
  world.read_stdin = [&]() -> Result<std::string> { return text; };
  world.capture = [](const std::vector<std::string>&) { return 0; };
  world.fetch = [&](const std::string&, const std::string& path, std::optional<int>) -> Result<std::string> {
    if (path.starts_with("/config_dump")) return std::string(R"({"configs": []})");
    return text;
  };
  check({"proxy-config", "all", "--file", "-"}, world);
  check({"proxy-config", "all", "--file", "-", "-o", "json"}, world);
  check({"proxy-config", "endpoints"}, world);  // the text as /clusters
  check({"proxy-status"}, world);
  check({"proxy-status", "client.shop"}, world);
  check({"proxy-status", "-o", "json"}, world);
  check_dump(text);
  check_questions(text);
  return 0;
}
