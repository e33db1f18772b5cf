// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "cni-plugin/chain.h"
#include "cni-plugin/json_span.h"

namespace weir::cni {

namespace {

const std::string kEntry = R"({"type": "weir-cni", "logLevel": "info"})";

const std::string kList = R"({
  "cniVersion": "0.4.0",   "name": "podnet",
  "plugins": [
    {"type": "bridge", "mtu": 1.50e3, "ipam": {"ranges": [[{"subnet": "10.0.0.0/24"}]], "note": "a \"]}\" inside"}},
    {
      "type": "portmap", "capabilities": {"portMappings": true}
    }
  ]
}
)";

std::string with(std::string_view text) { return with_entry(text, kEntry).value(); }
std::string without(std::string_view text) { return without_entry(text).value().value(); }

}  // namespace

TEST_CASE("our entry goes behind the last plugin, in the lines' own indentation, and nothing else moves") {
  std::string expected = kList;
  const std::string last = "\"portMappings\": true}\n    }";
  expected.insert(expected.find(last) + last.size(),
                  ",\n    {\n      \"type\": \"weir-cni\",\n      \"logLevel\": \"info\"\n    }");
  CHECK(with(kList) == expected);
}

TEST_CASE("an entry that is put in and taken out again leaves the same bytes") {
  for (const std::string& text : {kList, std::string(R"({"name":"n","plugins":[{"type":"ptp"}]})"),
                                  std::string(R"({"plugins":[ {"type":"a"} , {"type":"b"} ],"name":"n"})"),
                                  std::string("{\"cniVersion\": \"0.3.1\", \"name\": \"n\", \"type\": \"ptp\"}\n")}) {
    const std::string chained = with(text);
    CHECK(chained != text);
    CHECK(with(chained) == chained);
    CHECK(without(chained) == text);
  }
}

TEST_CASE("an entry that differs is replaced where it stands, whoever came behind it") {
  const std::string text = R"({"name":"n","plugins":[{"type":"ptp"},{"type":"weir-cni","logLevel":"debug"},{"type":"tuning"}]})";
  CHECK(with(text) == R"({"name":"n","plugins":[{"type":"ptp"},{"type":"weir-cni","logLevel":"info"},{"type":"tuning"}]})");
  CHECK(without(text) == R"({"name":"n","plugins":[{"type":"ptp"},{"type":"tuning"}]})");
  CHECK(without(R"({"name":"n","plugins":[{"type":"weir-cni"}, {"type":"ptp"}]})") ==
        R"({"name":"n","plugins":[{"type":"ptp"}]})");
}

TEST_CASE("an entry that says the same in other words stays as it is written") {
  const std::string text = R"({"name":"n","plugins":[{"type":"ptp"},{ "logLevel" : "info", "type" : "weir-cni" }]})";
  CHECK(with(text) == text);
}

TEST_CASE("a single plugin becomes a list of its name and version, and comes out as it was") {
  const std::string single = "{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"podnet\",\n  \"type\": \"bridge\"\n}\n";
  const std::string list = with_entry(single, kEntry, "10-podnet.conf").value();
  const ChainFile file = read_chain(list).value();
  CHECK(file.is_list);
  CHECK(file.name == "podnet");
  CHECK(file.cni_version == "0.3.1");
  CHECK(file.types == std::vector<std::string>{"bridge", "weir-cni"});
  CHECK(made_from(list) == "10-podnet.conf");
  CHECK(made_from(with(kList)) == std::nullopt);
  CHECK(without(list) == single);
}

TEST_CASE("a list that was made of a single plugin and has got others since stays a list") {
  const std::string single = R"({"name": "n", "type": "bridge"})";
  std::string list = with(single);
  list.insert(list.find(single) + single.size(), ",{\"type\": \"tuning\"}");
  CHECK(read_chain(without(list)).value().types == std::vector<std::string>{"bridge", "tuning"});
}

TEST_CASE("nothing of ours: nothing changes; ours alone: nothing is left") {
  CHECK(without(kList) == kList);
  CHECK(without_entry(R"({"name":"n","plugins":[{"type":"weir-cni"}]})").value() == std::nullopt);
}

TEST_CASE("what the runtime would pass over is refused with the reason") {
  struct Row {
    const char* text;
    const char* reason;
  };
  for (const Row& row : {Row{"{", "line 1"}, Row{"[]", "is no JSON object"}, Row{R"({"plugins":[]})", "name: is missing"},
                         Row{R"({"name":"../n","plugins":[]})", "name: '../n' must begin with"},
                         Row{R"({"name":"n"})", "neither plugins (a list) nor type"},
                         Row{R"({"name":"n","plugins":{}})", "plugins: must be a list"},
                         Row{R"({"name":"n","plugins":[{"typ":"x"}]})", "plugins[0].type: is missing"},
                         Row{R"({"name":"n","plugins":["x"]})", "plugins[0].type: is missing"},
                         Row{R"({"name":"n","plugins":[{"type":"weir-cni"},{"type":"weir-cni"}]})", "weir-cni is there twice"},
                         Row{R"({"name":"n","type":"weir-cni"})", "weir-cni is the only plugin"}}) {
    CAPTURE(row.text);
    const auto result = with_entry(row.text, kEntry);
    REQUIRE_FALSE(result);
    CAPTURE(result.error().to_text());
    CHECK(result.error().to_text().find(row.reason) != std::string::npos);
  }
}

TEST_CASE("a drop-in directory counts unless the list says otherwise, as a boolean or as a text") {
  CHECK_FALSE(read_chain(kList).value().loads_only_inlined);
  CHECK(read_chain(R"({"name":"n","loadOnlyInlinedPlugins":true,"plugins":[]})").value().loads_only_inlined);
  CHECK(read_chain(R"({"name":"n","loadOnlyInlinedPlugins":"true","plugins":[]})").value().loads_only_inlined);
}

TEST_CASE("members and elements are found whatever stands around them") {
  const std::string text = R"( { "a\"b" : "x}" , "plugins" : [ 1 , "," , [ 2, {"plugins": []} ] , {} , null ] , "z" : -1e9 } )";
  const Span array = member(text, "plugins").value();
  std::vector<std::string_view> found;
  for (const Span& element : elements(text, array)) found.push_back(element.in(text));
  CHECK(found == std::vector<std::string_view>{"1", "\",\"", "[ 2, {\"plugins\": []} ]", "{}", "null"});
  CHECK(member(text, "z").value().in(text) == "-1e9");
  CHECK(member(text, "b") == std::nullopt);
  CHECK(member(R"({"a": 1, "a": 2})", "a").value().in(R"({"a": 1, "a": 2})") == "2");
  CHECK(member(R"({"x":"a"})", "a") == std::nullopt);
  CHECK(member("{}", "a") == std::nullopt);
  const std::string nested = R"({"a":{"prevResult":1},"prevResult" : {"x":"}\"{", "y":[ 1.0e3 ]} , "z":2})";
  CHECK(member(nested, "prevResult").value().in(nested) == R"({"x":"}\"{", "y":[ 1.0e3 ]})");
  CHECK(elements("[]", {0, 2}).empty());
  CHECK(elements("[ ]", {0, 3}).empty());
}

}  // namespace weir::cni
