// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "proxy/bootstrap.h"
#include "proxy/config_store.h"
#include "proxy/value_tree.h"
#include "xds/proto/bootstrap.pb.h"

using namespace weir;
using namespace weir::proxy;

namespace {

const std::filesystem::path kData = WEIR_TESTDATA;

/// What a person would see of this file.
std::string judge(const std::string& name) {
  ReadBootstrap read = parse_bootstrap(name, test::read_text(kData / name));
  std::vector<Problem> problems = read.problems;
  if (!has_errors(problems)) {
    ConfigStore store({});
    problems = store.set_static(read.bootstrap.message->static_resources());
    locate(read.bootstrap, problems);
  }
  return problems.empty() ? "" : to_text(problems) + "\n";
}

/// A tree with everything that is known of it.
std::string shape(const ValueNode& node) {
  std::string text = fmt::format("{}:", node.line);
  switch (node.kind) {
    case ValueNode::Kind::nothing: return text + "nothing";
    case ValueNode::Kind::scalar: return text + (node.is_quoted ? "\"" : "") + node.text;
    case ValueNode::Kind::list:
      for (const ValueNode& item : node.items) text += shape(item) + ",";
      return text + "]";
    case ValueNode::Kind::object:
      for (const auto& [key, value] : node.members) text += shape(key) + "=" + shape(value) + ",";
      return text + "}";
  }
  return text;
}

}  // namespace

TEST_CASE("a good bootstrap: static resources, admin, and an agent that is not the data path's cluster") {
  CHECK(judge("bootstrap_good.yaml") == "");
  const ReadBootstrap read = parse_bootstrap("bootstrap_good.yaml", test::read_text(kData / "bootstrap_good.yaml"));
  CHECK(read.bootstrap.admin->to_text() == "127.0.0.1:15000");
  REQUIRE(read.bootstrap.agent);
  CHECK(read.bootstrap.agent->unix_path == "/run/weir/agent.sock");
  CHECK(read.bootstrap.message->static_resources().clusters_size() == 1);
  CHECK(read.bootstrap.message->static_resources().clusters(0).name() == "echo");
  CHECK(read.bootstrap.message->node().id() == "sidecar~10.0.0.1~x.y~y.svc.cluster.local");
}

TEST_CASE("JSON is read alike") {
  const ReadBootstrap read =
      parse_bootstrap("x.json", R"({"admin": {"address": {"socketAddress": {"address": "::1", "portValue": 0}}}})");
  CHECK(to_text(read.problems) == "");
  CHECK(read.bootstrap.admin->to_text() == "[::1]:0");
}

TEST_CASE("both readers see the same values on the same lines") {
  const std::vector<std::string> texts = {
      R"({})",
      "\n\n  {\"a\": 1,\n \"b\":\n\n [true, false, null, \"true\", \"1\", -12, 0.5, 1e3, 18446744073709551615],\r\n \"a\": "
      "{}\n}\n\n",
      R"({"a": {"b": {"c": [[], [[1]], {"d": ""}]}}, "\u00e9\n\"\\\/": "\u0001 \t\u20ac"})",
      "{\"long\": \"" + std::string(5000, 'x') + "\", \"number\": 123456789012345678901234567890.5}",
  };
  for (const std::string& text : texts) {
    CAPTURE(text);
    auto tree = read_json_tree(text);
    REQUIRE(tree);
    ValueNode yaml;
    REQUIRE(!read_yaml_tree("x.json", text, yaml));
    CHECK(shape(*tree) == shape(yaml));
  }
}

TEST_CASE("what looks like JSON and is not is left to YAML") {
  for (const char* text : {"{a: 1}", "{\"a\": 1,}", "{\"a\": 1} # no more", "{\"a\": 0x1}"}) {
    CAPTURE(text);
    CHECK(!read_json_tree(text));
    ValueNode root;
    CHECK(!read_tree("x.json", text, root));
    CHECK(root.members.size() == 1);
  }
  for (const char* text : {"{\"a\": 1", "{\"a\": 1}}", "{\"a\" 1}", "{\"a\": [1}"}) {
    CAPTURE(text);
    CHECK(!read_json_tree(text));
    ValueNode root;
    CHECK(read_tree("x.json", text, root));
  }
}

TEST_CASE("JSON that is too deep or has too many values is refused") {
  ValueNode root;
  CHECK(read_tree("x.json", "{\"a\": " + std::string(300, '[') + std::string(300, ']') + "}", root));
  std::string many = "{\"a\": [0";
  for (int i = 0; i < 2'000'000; ++i) many += ",0";
  CHECK(!read_json_tree(many + "]}"));
}

TEST_CASE("wrong bootstraps: all mistakes at once, each with line and field") {
  for (const char* name : {"bootstrap_fields.yaml", "bootstrap_static.yaml", "bootstrap_agent.yaml", "bootstrap_broken.yaml",
                           "bootstrap_list.json", "bootstrap_json_fields.json"}) {
    CAPTURE(name);
    const std::string text = judge(name);
    CHECK(text != "");
    test::check_golden((kData / name).replace_extension(".expected"), text);
  }
}

TEST_CASE("aliases that multiply are cut short") {
  std::string bomb = "node:\n  metadata:\n    a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i)
    bomb += fmt::format("    a{0}: &a{0} [*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1}]\n", i, i - 1);
  const ReadBootstrap read = parse_bootstrap("bomb.yaml", bomb);
  REQUIRE(read.problems.size() == 1);
  CHECK(to_text(read.problems[0]).find("too large or too deep") != std::string::npos);
}
