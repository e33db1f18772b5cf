// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/node.h"

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "kernel/netns.h"
#include "kernel/state_dir.h"

namespace weir::cni {

namespace {

class KernelSandbox : public Sandbox {
 public:
  KernelSandbox(kernel::Netns netns, const init::Machine& machine, bool is_own)
      : netns_(std::move(netns)), machine_(machine), is_own_(is_own) {}

  bool is_own() const override { return is_own_; }
  Result<init::Enrolled> enrol(const std::string& backend, const capture::CapturePlan& plan) override {
    return inside([&] { return init::enrol_with(machine_, backend, {}, plan); });
  }
  Result<capture::Drift> check(const std::string& backend, const capture::CapturePlan& plan) override {
    return inside([&] { return machine_.make(init::backend_to_check(machine_, backend), {})->check(plan); });
  }
  Result<bool> remove() override {
    return inside([&] { return init::remove_with(machine_, ""); });
  }

 private:
  template <class Work>
  auto inside(Work work) -> decltype(work()) {
    decltype(work()) done = fail(ErrorCode::internal, "was not done");
    auto entered = kernel::run_in(netns_, [&]() -> Result<> {
      done = work();
      return {};
    });
    if (!entered) return pass(entered.error());
    return done;
  }

  kernel::Netns netns_;
  const init::Machine& machine_;
  bool is_own_;
};

class KernelNode : public Node {
 public:
  explicit KernelNode(init::Machine machine) : machine_(std::move(machine)) {}

  Result<std::unique_ptr<Sandbox>> open(const std::string& netns) override {
    auto opened = kernel::Netns::open(netns);
    if (!opened) return pass(opened.error());
    auto own = kernel::Netns::current();
    if (!own) return pass(own.error());
    const bool is_own = *opened == *own;
    return std::make_unique<KernelSandbox>(std::move(*opened), machine_, is_own);
  }

  Result<> probe(const std::string& backend) override {
    return kernel::run_in_new([&]() -> Result<> {
      ErrorList errors;
      for (const init::Backend& candidate : init::backends()) {
        if (backend != "auto" && candidate.name != (backend.empty() ? init::backends().front().name : backend)) continue;
        auto probed = machine_.make(candidate.name, {})->probe();
        if (probed) return {};
        errors.add(Error(probed.error()).within(fmt::format("backend {}", candidate.name)));
      }
      return errors.to_result();
    });
  }

  Result<std::optional<std::string>> load(const std::string& directory, const std::string& file) override {
    if (!is_there(directory)) return std::nullopt;
    auto dir = kernel::StateDir::open(directory);
    if (!dir) return pass(dir.error());
    return dir->load(file);
  }
  Result<> save(const std::string& directory, const std::string& file, const std::string& text) override {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(directory).parent_path(), error);
    if (error) return fail_errno(error.value(), "making the directory of {}", directory);
    auto dir = kernel::StateDir::open(directory);
    if (!dir) return pass(dir.error());
    return dir->save(file, text);
  }
  Result<bool> erase(const std::string& directory, const std::string& file) override {
    if (!is_there(directory)) return false;
    auto dir = kernel::StateDir::open(directory);
    if (!dir) return pass(dir.error());
    return dir->remove(file);
  }
  Result<std::vector<std::string>> files(const std::string& directory) override {
    if (!is_there(directory)) return std::vector<std::string>{};
    auto dir = kernel::StateDir::open(directory);
    if (!dir) return pass(dir.error());
    return dir->names();
  }
  Result<std::optional<std::string>> read(const std::string& path) override {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      const int error = errno;
      if (error == ENOENT) return std::nullopt;
      return fail_errno(error, "reading {}", path);
    }
    std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (stream.bad()) return fail(ErrorCode::io, "reading {} failed", path);
    return text;
  }

 private:
  static bool is_there(const std::string& directory) {
    std::error_code error;
    return std::filesystem::exists(directory, error) || error;
  }
  init::Machine machine_;
};

}  // namespace

std::unique_ptr<Node> this_node(init::Machine machine) { return std::make_unique<KernelNode>(std::move(machine)); }

}  // namespace weir::cni
