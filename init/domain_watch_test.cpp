// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/text.h"
#include "init/domain_watch.h"

namespace weir::init {
namespace {

using std::chrono::seconds;

/// Answers what the test sets; counts how often it was asked.
struct Server {
  std::map<std::pair<std::string, Family>, std::vector<kernel::Resolved>> answers;
  bool is_down = false;
  int asked = 0;
  DomainWatch::Resolve resolve() {
    return [this](const std::string& name, Family family) -> Result<std::vector<kernel::Resolved>> {
      ++asked;
      if (is_down) return fail(ErrorCode::io, "resolving {} to {}: no server answered", name, to_text(family));
      return answers[{name, family}];
    };
  }
  void set(const std::string& name, const std::vector<std::pair<const char*, int>>& addresses) {
    for (Family family : kBothFamilies) answers[{name, family}].clear();
    for (auto [address, ttl] : addresses) {
      const IpAddr parsed = *IpAddr::parse(address);
      answers[{name, parsed.family()}].push_back({parsed, seconds(ttl)});
    }
  }
};

std::string text(const std::vector<IpAddr>& addresses) {
  std::vector<std::string> texts;
  for (const IpAddr& address : addresses) texts.push_back(address.to_text());
  return join(texts, " ");
}

const DomainWatch::TimePoint kStart{seconds(1000)};

TEST_CASE("both families of each name, each address once") {
  Server server;
  server.set("a.example", {{"10.0.0.1", 60}, {"fd00::1", 60}});
  server.set("b.example", {{"10.0.0.1", 60}, {"10.0.0.2", 60}});
  DomainWatch watch({"a.example", "b.example"}, server.resolve());
  const auto round = watch.refresh(kStart);
  CHECK(text(round.addresses) == "10.0.0.1 10.0.0.2 fd00::1");
  CHECK(join(round.lines, "\n") == "a.example is 10.0.0.1\na.example is fd00::1\nb.example is 10.0.0.1\nb.example is 10.0.0.2");
}

TEST_CASE("a name is asked for again when its time to live is over, not before, and within limits") {
  struct Case {
    int ttl, wait;  // seconds
  };
  for (const Case& c : {Case{60, 60}, {0, 5}, {86400, 300}}) {
    CAPTURE(c.ttl);
    Server server;
    server.set("a.example", {{"10.0.0.1", c.ttl}, {"fd00::1", c.ttl}});
    DomainWatch watch({"a.example"}, server.resolve());
    CHECK(watch.refresh(kStart).next == kStart + seconds(c.wait));
    watch.refresh(kStart + seconds(c.wait) - std::chrono::nanoseconds(1));
    CHECK(server.asked == 2);
    watch.refresh(kStart + seconds(c.wait));
    CHECK(server.asked == 4);
  }
}

TEST_CASE("an address that is not told any more counts until its time is over") {
  Server server;
  server.set("a.example", {{"10.0.0.1", 30}});
  DomainWatch watch({"a.example"}, server.resolve());
  watch.refresh(kStart);
  server.set("a.example", {{"10.0.0.2", 30}});
  CHECK(text(watch.refresh(kStart + seconds(30)).addresses) == "10.0.0.1 10.0.0.2");
  const auto round = watch.refresh(kStart + seconds(61));
  CHECK(text(round.addresses) == "10.0.0.2");
  CHECK(join(round.lines, "\n") == "a.example is no longer 10.0.0.1");
}

TEST_CASE("while it cannot be resolved, a name keeps its addresses, and that is told once") {
  Server server;
  server.set("a.example", {{"10.0.0.1", 30}, {"fd00::1", 30}});
  DomainWatch watch({"a.example"}, server.resolve());
  CHECK(watch.refresh(kStart).is_complete);
  server.is_down = true;
  CHECK(!DomainWatch({"a.example"}, server.resolve()).refresh(kStart).is_complete);
  auto round = watch.refresh(kStart + seconds(30));
  CHECK(round.lines.at(0) == "resolving a.example to IPv4: no server answered; the addresses it had before still count");
  CHECK(round.next == kStart + seconds(40));
  round = watch.refresh(kStart + seconds(4000));
  CHECK(text(round.addresses) == "10.0.0.1 fd00::1");
  CHECK(round.lines.empty());
  server.is_down = false;
  round = watch.refresh(kStart + seconds(4010));
  CHECK(join(round.lines, "\n") == "a.example can be resolved to IPv4 again\na.example can be resolved to IPv6 again");
}

}  // namespace
}  // namespace weir::init
