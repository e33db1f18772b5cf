// SPDX-License-Identifier: Apache-2.0
// weir-proxy's bootstrap file: whatever is in it, either its resources serve or there is a reason, with a line of the file.
#include "proxy/bootstrap.h"

#include <algorithm>

#include "proxy/config_store.h"
#include "tests/fuzz/fuzzing.h"
#include "xds/proto/bootstrap.pb.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::fuzzing;

namespace {

void check_problems(const std::vector<Problem>& problems, int lines) {
  for (const Problem& problem : problems) {
    if (problem.message.empty() || problem.where.line < 0 || problem.where.line > lines)
      require_same("a problem", to_text(problem), "with a reason, in the file");
    require_one_line(to_text(problem));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  int lines = 1 + static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }));
  ReadBootstrap read = parse_bootstrap("fuzz.yaml", text);
  check_problems(read.problems, lines);
  if (has_errors(read.problems)) return 0;
  bool published = false;
  ConfigStore store({.check_listener = {}, .publish = [&](std::shared_ptr<const Config>) { published = true; }});
  const auto& resources = read.bootstrap.message->static_resources();
  std::vector<Problem> problems = store.set_static(resources);
  locate(read.bootstrap, problems);
  check_problems(problems, lines);
  if (problems.empty() && resources.listeners_size() + resources.clusters_size() > 0 && !published)
    require_same("resources", "neither published nor refused", "");
  return 0;
}
