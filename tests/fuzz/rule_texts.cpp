// SPDX-License-Identifier: Apache-2.0
// Texts that rules hold and proxies compile: what our reader of regular expressions takes, RE2 takes too, with as many groups,
// and a replacement that passes is one that RE2 accepts. Input: a pattern, a zero byte, a replacement.
#include <re2/re2.h>

#include "mesh-rules/syntax.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::fuzzing;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(text_of(data, size));
  std::string pattern = text.substr(0, text.find('\0'));
  std::string rewrite = pattern.size() < text.size() ? text.substr(pattern.size() + 1) : "";
  mesh::check_format(text);
  mesh::RegexCheck check = mesh::check_regex(pattern);
  if (!check.problem.empty()) return 0;
  re2::RE2 regex(pattern, re2::RE2::Quiet);
  require_same("taken here, by RE2 (" + pattern + ")", "", regex.error());
  require_same("size (" + pattern + ")", "small", regex.ProgramSize() > 32768 ? "large" : "small");
  require_same("groups (" + pattern + ")", std::to_string(check.groups), std::to_string(regex.NumberOfCapturingGroups()));
  std::string why;
  if (mesh::check_rewrite(rewrite, check.groups).empty()) {
    require_same("replacement (" + rewrite + ")", "", regex.CheckRewriteString(rewrite, &why) ? "" : why);
  }
  return 0;
}
