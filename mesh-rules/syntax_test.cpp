// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/syntax.h"

#include <doctest/doctest.h>

namespace weir::mesh {

TEST_CASE("regular expressions that RE2 takes are taken") {
  for (const char* regex : {"a",
                            "",
                            ".*",
                            "/items/[0-9]+",
                            "^/svc/([^/]+)(/.*)$",
                            "P(UT|ATCH)",
                            "http://.*[.]good[.]test",
                            "(?i)abc",
                            "(?i:abc)d",
                            "(?:a|b)*?",
                            "(?P<n>a)",
                            "[]a]",
                            "[^]a]",
                            "[[:alpha:]-]",
                            "[\\d\\-x]",
                            "[a-]",
                            "\\.\\/\\-",
                            "\\d+\\w\\s\\D",
                            "\\pL\\p{Greek}\\PN",
                            "\\x41\\x{10FFFF}",
                            "\\Qa.b\\E",
                            "a{2}",
                            "a{2,}",
                            "a{2,5}?",
                            "a{,2}",
                            "a{x}",
                            "{",
                            "a|",
                            "|a",
                            "(|a)",
                            "()",
                            "\\bword\\b",
                            "\\A\\z",
                            "é+",
                            "[é-ü]",
                            "(a{10}){10}",
                            "\\0",
                            "\\012",
                            "(?s).",
                            "(?i-s:a)"}) {
    CAPTURE(regex);
    CHECK(check_regex(regex).problem == "");
  }
}

TEST_CASE("regular expressions that RE2 refuses are refused") {
  for (const char* regex : {"(",
                            ")",
                            "a)",
                            "[",
                            "[]",
                            "[^]",
                            "[a",
                            "*",
                            "+a",
                            "a|*",
                            "(*a)",
                            "a**",
                            "a*+",
                            "a{2}{3}",
                            "a{2}*",
                            "{2}",
                            "a{1001}",
                            "a{3,2}",
                            "(a{100}){100}",
                            "(?=a)",
                            "(?!a)",
                            "(?<=a)",
                            "(?P=n)",
                            "(?P<n>a)(?P<n>b)",
                            "(?P<>a)",
                            "\\1",
                            "\\8",
                            "\\",
                            "a\\",
                            "\\y",
                            "\\_",
                            "\\xZ",
                            "\\x{110000}",
                            "[b-a]",
                            "[[:foo:]]",
                            "\\p{Nope}",
                            "\\pX",
                            "[\\b]",
                            "[a-\\d]",
                            "\\E",
                            "(?z)",
                            "(?-)",
                            "\xff",
                            "\xed\xa0\x80",
                            "(?#c)"}) {
    CAPTURE(regex);
    CHECK(check_regex(regex).problem != "");
  }
}

TEST_CASE("an expression that would be too large for a proxy is refused") {
  CHECK(check_regex(std::string(1000, 'a')).problem == "");
  CHECK(check_regex("(\\pL{100}){10}").problem != "");
  CHECK(check_regex(std::string(200, '(') + std::string(200, ')')).problem != "");
}

TEST_CASE("a replacement refers only to groups that are there") {
  int groups = check_regex("(a)(?:b)(?P<c>c)").groups;
  CHECK(groups == 2);
  CHECK(check_rewrite("\\2-\\1-\\0-\\\\", groups) == "");
  CHECK(check_rewrite("\\3", groups) == "\\3 refers to a group that the pattern does not have (it has 2)");
  CHECK(check_rewrite("\\x", groups) != "");
  CHECK(check_rewrite("a\\", groups) != "");
}

TEST_CASE("a header value may hold operators, and percent signs only doubled") {
  for (const char* text : {"", "plain", "100%%", "%REQ(:METHOD)%", "a %REQ(X?Y):10% b", "%START_TIME(%Y-%m)%",
                           "%PROTOCOL%%DURATION%", "%METADATA(ROUTE:weir:rule)%"}) {
    CAPTURE(text);
    CHECK(check_format(text) == "");
  }
  for (const char* text :
       {"100%", "%", "%%%", "%NOPE%", "%REQ%", "%REQ()%", "%REQ(X%", "%DURATION(x)%", "% DURATION%", "%REQ(X):y%"}) {
    CAPTURE(text);
    CHECK(check_format(text) != "");
  }
}

}  // namespace weir::mesh
