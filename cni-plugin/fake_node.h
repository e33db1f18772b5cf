// SPDX-License-Identifier: Apache-2.0
// For tests: a node without a kernel. What a sandbox does is told by its path.
#pragma once

#include <cerrno>
#include <map>
#include <string>

#include "cni-plugin/node.h"

namespace weir::cni {

/// What outlives a sandbox's handle.
struct FakeState {
  std::map<std::string, capture::CapturePlan> enrolled;  ///< by path
  std::map<std::string, std::string> files;              ///< records, by DIRECTORY/FILE; and the policy file
  std::vector<std::string> calls;
};

class FakeSandbox : public Sandbox {
 public:
  FakeSandbox(FakeState& state, std::string path) : state_(state), path_(std::move(path)) {}
  bool is_own() const override { return path_ == "/run/netns/host"; }
  Result<init::Enrolled> enrol(const std::string& backend, const capture::CapturePlan& plan) override {
    state_.calls.push_back("enrol");
    if (path_ == "/run/netns/unable") return fail(ErrorCode::environment, "the kernel has no nf_tables");
    if (path_ == "/run/netns/broken") return fail_errno(ENOMEM, "a transaction");
    if (path_ == "/run/netns/locked")
      return pass(Error(ErrorCode::environment, "iptables-restore did not end within 10s", ETIMEDOUT));
    auto [at, is_new] = state_.enrolled.try_emplace(path_, plan);
    const bool changed = is_new || !(at->second.steps.size() == plan.steps.size());
    at->second = plan;
    return init::Enrolled{.backend = backend.empty() ? "nft" : backend, .applied = {.changed = changed, .notes = {}}};
  }
  Result<capture::Drift> check(const std::string&, const capture::CapturePlan& plan) override {
    state_.calls.push_back("check");
    if (path_ == "/run/netns/unable") return fail(ErrorCode::environment, "the kernel has no nf_tables");
    auto found = state_.enrolled.find(path_);
    if (found == state_.enrolled.end()) return capture::Drift{{"there is no table inet weir"}};
    if (found->second.steps.size() != plan.steps.size()) return capture::Drift{{"chain outbound: rules differ"}};
    return capture::Drift{};
  }
  Result<bool> remove() override {
    state_.calls.push_back("remove");
    if (path_ == "/run/netns/broken") return fail_errno(ENOMEM, "a transaction");
    if (path_ == "/run/netns/foreign") return fail(ErrorCode::environment, "the table inet weir is not ours");
    return state_.enrolled.erase(path_) != 0;
  }

 private:
  FakeState& state_;
  std::string path_;
};

class FakeNode : public Node {
 public:
  FakeState state;
  Result<std::unique_ptr<Sandbox>> open(const std::string& netns) override {
    if (netns == "/run/netns/gone")
      return pass(Error(ErrorCode::environment, "no network namespace at /run/netns/gone: has its process ended?", ENOENT));
    if (netns == "/run/netns/file") return fail(ErrorCode::environment, "/run/netns/file is not a network namespace");
    if (netns == "/run/netns/full") return fail_errno(EMFILE, "opening /run/netns/full");
    return std::make_unique<FakeSandbox>(state, netns);
  }
  Result<> probe(const std::string& backend) override {
    if (backend == "iptables-legacy") return fail(ErrorCode::environment, "no program iptables-legacy-restore: is it installed?");
    return {};
  }
  Result<std::optional<std::string>> load(const std::string& directory, const std::string& file) override {
    return read(directory + "/" + file);
  }
  Result<> save(const std::string& directory, const std::string& file, const std::string& text) override {
    if (directory == "/full") return fail_errno(ENOSPC, "writing {}/{}", directory, file);
    state.files[directory + "/" + file] = text;
    return {};
  }
  Result<bool> erase(const std::string& directory, const std::string& file) override {
    return state.files.erase(directory + "/" + file) != 0;
  }
  Result<std::vector<std::string>> files(const std::string& directory) override {
    std::vector<std::string> found;
    for (const auto& [path, text] : state.files)
      if (path.starts_with(directory + "/")) found.push_back(path.substr(directory.size() + 1));
    return found;
  }
  Result<std::optional<std::string>> read(const std::string& path) override {
    auto found = state.files.find(path);
    if (found == state.files.end()) return std::nullopt;
    return found->second;
  }
};

}  // namespace weir::cni
