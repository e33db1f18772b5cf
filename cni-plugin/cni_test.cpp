// SPDX-License-Identifier: Apache-2.0
// testdata/calls.txt: a row is a call of the plugin, the lines below it are its answer. WEIR_UPDATE_GOLDEN=1 writes the answers
// anew.
#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/test_golden.h"
#include "base/text.h"
#include "cni-plugin/fake_node.h"
#include "cni-plugin/program.h"
#include "cni-plugin/record.h"
#include "cni-plugin/shapes.h"
#include "cni-plugin/verbs.h"

namespace weir::cni {
namespace {

const std::filesystem::path kTestdata = WEIR_TESTDATA;

std::string replaced(std::string text, std::string_view what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

/// What the plugin before ours answered, in this version's shape, with a field that nobody knows.
std::string previous_result(std::string_view version) {
  constexpr std::string_view kEarly =
      R"({"cniVersion":"$V","ip4":{"ip":"10.1.0.2/24","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0"}]},"dns":{"nameservers":["10.1.0.1"]},"x":[1, 2.50]})";
  constexpr std::string_view kListed =
      R"({"cniVersion":"$V","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","sandbox":"/run/netns/pod"}],"ips":[{"version":"4","address":"10.1.0.2/24","gateway":"10.1.0.1","interface":0},{"version":"6","address":"fd01::2/64","interface":0}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{},"x":[1, 2.50]})";
  constexpr std::string_view kNow =
      R"({"cniVersion":"$V","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01","mtu":1500,"sandbox":"/run/netns/pod"}],"ips":[{"address":"fd01::2/64","interface":0}],"routes":[{"dst":"::/0","gw":"fd01::1","priority":10}],"dns":{},"x":[1, 2.50]})";
  const std::string_view shape = version < "0.3.0" ? kEarly : version < "1.0.0" ? kListed : kNow;
  return replaced(std::string(shape), "$V", std::string(version));
}

struct Row {
  std::string text, version, input;
  std::vector<std::string> verbs;
  std::map<std::string, std::string> environment;
};

Row read_row(const std::string& line, const std::map<std::string, std::string>& inputs) {
  Row row{.text = line,
          .version = {},
          .input = {},
          .verbs = {},
          .environment = {{"CNI_CONTAINERID", "c1"},
                          {"CNI_NETNS", "/run/netns/pod"},
                          {"CNI_IFNAME", "eth0"},
                          {"CNI_PATH", "/opt/cni/bin"},
                          {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-1;K8S_POD_UID=u1"}}};
  std::size_t number = 0;
  for (std::string_view word : split(line, ' ')) {
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    if (number == 0)
      row.version = word;
    else if (number == 1)
      for (std::string_view verb : split(word, ',')) row.verbs.emplace_back(verb);
    else if (number == 2)
      row.input = word;
    else
      row.environment[std::string(word.substr(0, equals))] = replaced(std::string(word.substr(equals + 1)), "%20", " ");
    ++number;
  }
  REQUIRE_MESSAGE(inputs.contains(row.input), line);
  const std::string prev = previous_result(row.version);
  row.input = replaced(replaced(inputs.at(row.input), "$P", prev), "$V", row.version);
  return row;
}

std::string shown(const Answer& answer) {
  const LogEntry& entry = answer.entry;
  std::string text =
      fmt::format("  exit {}, {}{}{}", answer.exit_code, entry.outcome, entry.reason.empty() ? "" : ": ", entry.reason);
  if (entry.level == log::Level::warn) text += ", a warning";
  text += "\n";
  if (!answer.out.empty()) text += "  " + answer.out;
  for (const std::string& note : entry.notes) text += "  note: " + note + "\n";
  return text;
}

std::string run_row(const Row& row) {
  FakeNode node;
  node.state.files["/etc/weir/pods.json"] =
      R"({"pods": [{"namespace": "shop", "name": "cart-*", "annotations": {"traffic.sidecar.istio.io/excludeOutboundPorts": "22"}}, {"name": "db-*", "enrol": false}]})";
  node.state.files["/etc/weir/wrong.json"] = R"({"pods": [{"name": "a*b", "enrol": 1, "extra": true}, 7]})";
  node.state.files["/run/weir/cni/c9,eth0,net.json"] = "not a record";
  node.state.files["/run/weir/cni/c8,eth0,net.json.new"] = "cut";
  node.state.files["/run/weir/cni/c7,eth0,other.json"] = "of another network";
  Answer answer;
  for (const std::string& verb : row.verbs) {
    auto environment = row.environment;
    if (verb != "-") environment["CNI_COMMAND"] = verb;
    answer = serve(environment, row.input, node, "00000000000000000000000000000001");
    const std::string wrong = shapes::wrong_with(verb, row.version, answer.exit_code, answer.out);
    CHECK_MESSAGE(wrong.empty(), row.text, ": ", wrong, ": ", answer.out);
    CHECK(parse_json(to_json(answer.entry)));
  }
  return shown(answer);
}

TEST_CASE("each call of the table is answered as it says there, in the shape that the specification gives it") {
  const std::filesystem::path file = kTestdata / "calls.txt";
  std::map<std::string, std::string> inputs;
  std::string now;
  std::size_t rows = 0;
  const std::string text = test::read_text(file);
  for (std::string_view line : split(text, '\n')) {
    if (line.starts_with("  ")) continue;
    now += std::string(line) + "\n";
    if (line.starts_with("input ")) {
      const std::size_t blank = line.find(' ', 6);
      inputs[std::string(line.substr(6, blank - 6))] = line.substr(blank + 1);
    } else if (!line.empty() && !line.starts_with("#")) {
      now += run_row(read_row(std::string(line), inputs));
      ++rows;
    }
  }
  now.pop_back();
  CHECK(rows >= 120);
  test::check_golden(file, now);
}

TEST_CASE("a record says again what it was made of, and its file's name is its own and never too long") {
  Record record{.network = "net",
                .attachment = {"c1", "eth0"},
                .netns = "/run/netns/pod",
                .pod = {"cart-1", "shop", "u1"},
                .skipped = {},
                .input = {{{"start-gate", "off"}}, {{"traffic.sidecar.istio.io/excludeOutboundPorts", "22"}}},
                .trace = "t"};
  auto again = parse_record(to_json(record));
  REQUIRE(again);
  CHECK(*again == record);
  CHECK(!parse_record("{}"));
  CHECK(!parse_record(R"({"format":1})"));
  CHECK(record_file("net", {"c1", "eth0"}) == "c1,eth0,net.json");
  CHECK(record_file("net", {"c1", "a,b%"}) == "c1,a%2Cb%25,net.json");
  const std::string far(300, 'x');
  for (const auto& [network, container] : {std::pair{far, std::string("c")}, {std::string("n"), far}, {far, far}}) {
    const std::string file = record_file(network, {container, "eth0"});
    CHECK(file.size() <= 250);
    CHECK(file.starts_with(record_prefix(container)));
    CHECK(file != record_file(network + "y", {container, "eth0"}));
    CHECK(file != record_file(network, {container + "y", "eth0"}));
    CHECK(is_of_network(file, network).value_or(true));
  }
  CHECK(is_of_network("c1,eth0,net.json", "net") == true);
  CHECK(is_of_network("c1,eth0,net2.json", "net") == false);
}

TEST_CASE("CHECK and DEL go by what was enrolled, whatever the configuration says by then") {
  FakeNode node;
  std::map<std::string, std::string> environment = {
      {"CNI_CONTAINERID", "c1"}, {"CNI_NETNS", "/run/netns/pod"}, {"CNI_IFNAME", "eth0"}};
  const auto call = [&](const char* verb, const std::string& more) {
    environment["CNI_COMMAND"] = verb;
    return serve(environment, R"({"cniVersion":"1.1.0","name":"net","prevResult":{})" + more + "}", node, "t");
  };
  CHECK(call("ADD", R"(,"enrol":"all","flags":{"istio-local-outbound-ports-exclude":"22"})").entry.outcome == "enrolled");
  CHECK(call("CHECK", "").entry.outcome == "captured");
  CHECK(call("CHECK", R"(,"flags":{"nonsense":"1"})").entry.outcome == "captured");
  CHECK(call("ADD", R"(,"enrol":"all","flags":{"istio-local-outbound-ports-exclude":"22"})").entry.outcome == "unchanged");
  CHECK(call("DEL", R"(,"flags":{"nonsense":"1"},"enrol":7)").entry.outcome == "removed");
  CHECK(call("DEL", "").entry.outcome == "nothing-there");
  CHECK(node.state.files.empty());
}

TEST_CASE("a container of two networks stays captured until the last of them is gone") {
  FakeNode node;
  const auto call = [&](const char* verb, const char* network, const char* interface, const char* more = "") {
    return serve({{"CNI_COMMAND", verb}, {"CNI_CONTAINERID", "c1"}, {"CNI_NETNS", "/run/netns/pod"}, {"CNI_IFNAME", interface}},
                 fmt::format(R"({{"cniVersion":"1.1.0","name":"{}","enrol":"all","prevResult":{{}}{}}})", network, more), node,
                 "t");
  };
  CHECK(call("ADD", "a", "eth0").entry.outcome == "enrolled");
  CHECK(call("ADD", "b", "eth1").entry.outcome == "unchanged");
  CHECK(call("ADD", "c", "eth2", R"(,"flags":{"quic":"refuse"})").entry.code == static_cast<int>(Code::conflict));
  CHECK(call("DEL", "c", "eth2").entry.outcome == "shared");
  CHECK(call("DEL", "a", "eth0").entry.outcome == "shared");
  CHECK(call("CHECK", "b", "eth1").entry.outcome == "captured");
  CHECK(call("DEL", "b", "eth1").entry.outcome == "removed");
  CHECK(node.state.files.empty());
}

TEST_CASE("an ADD that fails leaves the record that was there, or none") {
  FakeNode node;
  const auto call = [&](const char* verb, const char* netns) {
    return serve({{"CNI_COMMAND", verb}, {"CNI_CONTAINERID", "c1"}, {"CNI_NETNS", netns}, {"CNI_IFNAME", "eth0"}},
                 R"({"cniVersion":"1.1.0","name":"net","enrol":"all"})", node, "t");
  };
  CHECK(call("ADD", "/run/netns/broken").exit_code == 1);
  CHECK(node.state.files.empty());
  CHECK(call("ADD", "/run/netns/pod").exit_code == 0);
  const auto before = node.state.files;
  CHECK(call("ADD", "/run/netns/broken").exit_code == 1);
  CHECK(node.state.files == before);
}

TEST_CASE("a log line is one line of JSON, and holds no annotation and no argument but the pod's names") {
  FakeNode node;
  const Answer answer = serve(
      {{"CNI_COMMAND", "ADD"},
       {"CNI_CONTAINERID", "c1"},
       {"CNI_NETNS", "/run/netns/pod"},
       {"CNI_IFNAME", "eth0"},
       {"CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=a\nb;PASSWORD=secret"},
       {"TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
      R"({"cniVersion":"1.1.0","name":"net","enrol":"all","password":"secret","runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"token":"secret","sidecar.istio.io/status":"{}"}}})",
      node, "t");
  const std::string line = to_json(answer.entry);
  CHECK(line.find("secret") == std::string::npos);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find(R"("trace":"4bf92f3577b34da6a3ce929d0e0e4736")") != std::string::npos);
  for (const auto& [path, text] : node.state.files) CHECK(text.find("secret") == std::string::npos);
}

TEST_CASE("help, manual and completion are what docs/ holds") {
  const std::filesystem::path docs = std::filesystem::path(WEIR_SOURCE_ROOT) / "docs";
  test::check_golden(docs / "man/weir-cni.8", man_page());
  test::check_golden(docs / "completions/weir-cni.bash", bash_completion());
  test::check_golden(kTestdata / "help.txt", help_text());
  CHECK(talk({}).exit_code == 0);
  CHECK(talk({}).err.starts_with("CNI plugin weir-cni v"));
  CHECK(talk({"install"}).exit_code == 1);
}

}  // namespace
}  // namespace weir::cni
