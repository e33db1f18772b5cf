// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "iptables-rules/fake_netlink.h"
#include "iptables-rules/messages.h"
#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/ruleset.h"

namespace weir::nft {
namespace {

capture::CapturePlan everything() {
  capture::CapturePolicy policy;
  policy.inbound_ports.kind = policy.outbound_cidrs.kind = capture::Selection::all;
  policy.start_gate = std::chrono::seconds(30);
  policy.open_after = std::chrono::seconds(2);
  return capture::plan(policy);
}

std::string rules_of(const capture::CapturePolicy& policy, capture::Chain chain) {
  std::string text;
  for (const Rule& rule : compile(capture::plan(policy)))
    if (rule.chain == chain) text += to_text(rule) + "\n";
  return text;
}

TEST_CASE("one transaction programs everything, after the address") {
  auto kernel = std::make_shared<FakeKernel>();
  auto applied = make_nft_redirector(std::make_unique<FakeNetlink>(kernel))->apply(everything());
  REQUIRE(applied);
  CHECK(applied->changed);
  const auto& calls = kernel->calls;
  const auto is_transaction = [](const std::string& call) { return call.starts_with("transact"); };
  CHECK(std::count_if(calls.begin(), calls.end(), is_transaction) == 1);
  CHECK(std::find(calls.begin(), calls.end(), "act route") < std::find_if(calls.begin(), calls.end(), is_transaction));
  CHECK(kernel->addresses.size() == 1);
}

TEST_CASE("whichever call fails, nothing of ours is left") {
  const capture::CapturePlan plan = everything();
  auto whole = std::make_shared<FakeKernel>();
  REQUIRE(make_nft_redirector(std::make_unique<FakeNetlink>(whole))->apply(plan));
  REQUIRE(whole->calls.size() > 5);
  std::size_t failed = 0;
  for (std::size_t n = 1; n <= whole->calls.size(); ++n) {
    CAPTURE(whole->calls[n - 1]);
    auto kernel = std::make_shared<FakeKernel>();
    kernel->fail_at = n;
    // Not knowing whether the kernel keeps who added the address is no failure.
    if (make_nft_redirector(std::make_unique<FakeNetlink>(kernel))->apply(plan)) continue;
    ++failed;
    CHECK(kernel->committed == 0);
    CHECK(kernel->addresses.empty());
  }
  CHECK(failed >= whole->calls.size() - 2);
}

TEST_CASE("whichever message is refused, the address is taken back and the message is named") {
  const capture::CapturePlan plan = everything();
  auto whole = std::make_shared<FakeKernel>();
  REQUIRE(make_nft_redirector(std::make_unique<FakeNetlink>(whole))->apply(plan));
  for (std::size_t n = 2; n <= whole->committed; ++n) {
    CAPTURE(n);
    auto kernel = std::make_shared<FakeKernel>();
    kernel->refuse_message = n;
    auto applied = make_nft_redirector(std::make_unique<FakeNetlink>(kernel))->apply(plan);
    REQUIRE(!applied);
    CHECK(applied.error().to_text().find("programming the nftables rules: the kernel refused ") == 0);
    CHECK(kernel->committed == 0);
    CHECK(kernel->addresses.empty());
  }
}

TEST_CASE("a missing kernel feature is named by probe") {
  auto kernel = std::make_shared<FakeKernel>();
  auto backend = make_nft_redirector(std::make_unique<FakeNetlink>(kernel));
  CHECK(backend->probe());
  kernel->refuse_message = 4;
  kernel->fail_with = EOPNOTSUPP;
  auto probed = backend->probe();
  REQUIRE(!probed);
  CHECK(probed.error().code() == ErrorCode::environment);
  CHECK(probed.error().to_text() ==
        "trying the nftables rules: the kernel refused chain to_inbound (Operation not supported); a kernel option may be "
        "missing, see "
        "docs/kernel-support.md; nothing was changed");
}

TEST_CASE("where probe fails, apply fails as well, says as much and leaves nothing") {
  for (const int error : {EOPNOTSUPP, EPERM, EINVAL}) {
    auto kernel = std::make_shared<FakeKernel>();
    kernel->fail_with = error;
    if (error == EOPNOTSUPP)
      kernel->refuse_message = 4;
    else
      kernel->refuses_all = true;
    auto backend = make_nft_redirector(std::make_unique<FakeNetlink>(kernel));
    REQUIRE(backend->apply_is_probe());
    auto probed = backend->probe();
    auto applied = backend->apply(everything());
    REQUIRE(!probed);
    REQUIRE(!applied);
    CHECK(applied.error().code() == probed.error().code());
    // But for what it was doing.
    const std::string said = applied.error().to_text(), wanted = probed.error().to_text();
    CAPTURE(said);
    CAPTURE(wanted);
    CHECK(said.substr(said.find("rules") + 5) == wanted.substr(wanted.find("rules") + 5));
    CHECK(kernel->committed == 0);
    CHECK(kernel->addresses.empty());
  }
}

TEST_CASE("a step that names addresses of both families becomes a rule for each") {
  capture::CapturePolicy policy;
  policy.outbound_cidrs = {capture::Selection::list, {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("fd00::/8")}};
  const std::string text = rules_of(policy, capture::Chain::outbound);
  CHECK(text.find("ip daddr { 10.0.0.0/8 } jump to_outbound\nip6 daddr { fd00::/8 } jump to_outbound\n") != std::string::npos);
}

TEST_CASE("overlapping and adjacent ranges are merged, since the kernel refuses them in a set") {
  capture::CapturePolicy policy;
  for (const char* cidr : {"10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "255.255.255.255", "10.0.0.7"})
    policy.outbound_exclude_cidrs.push_back(*Cidr::parse(cidr));
  CHECK(rules_of(policy, capture::Chain::outbound).find("ip daddr { 10.0.0.0/8, 255.255.255.255 } accept") != std::string::npos);
}

TEST_CASE("a range that is no prefix is written with both ends") {
  capture::CapturePolicy policy;
  for (const char* cidr : {"10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"})
    policy.outbound_exclude_cidrs.push_back(*Cidr::parse(cidr));
  CHECK(rules_of(policy, capture::Chain::outbound).find("ip daddr { 10.0.0.0-10.0.2.255 } accept") != std::string::npos);
}

TEST_CASE("the same rule has the same canonical text, another rule another") {
  const auto rules = compile(everything());
  for (const Rule& rule : rules)
    for (const Rule& other : rules)
      CHECK((canonical(rule) == canonical(other)) == (to_text(rule) == to_text(other) && rule.comment == other.comment));
}

TEST_CASE("long lists of elements go in several messages") {
  capture::CapturePolicy policy;
  for (int i = 0; i < 20000; ++i)
    policy.outbound_exclude_cidrs.push_back(Cidr(IpAddr::v4(0x0a000000U + static_cast<std::uint32_t>(i) * 512), 24));
  Batch batch;
  add_rules(batch, kTable, compile(capture::plan(policy)));
  CHECK(batch.size() > 25);
  for (const Labelled& part : batch) CHECK(part.message.size() < 66000);
}

}  // namespace
}  // namespace weir::nft
