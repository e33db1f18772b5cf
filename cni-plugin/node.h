// SPDX-License-Identifier: Apache-2.0
// The machine that the plugin acts on, as an interface: tests give one that has no kernel, or one that fails at step n.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/redirector.h"
#include "init/enrolment.h"

namespace weir::cni {

/// A pod's network namespace.
class Sandbox {
 public:
  virtual ~Sandbox() = default;
  /// It is the one that the plugin itself runs in: the host's.
  virtual bool is_own() const = 0;
  /// `backend`: as weir-init's flag. Leaves the whole plan or what stood before.
  virtual Result<init::Enrolled> enrol(const std::string& backend, const capture::CapturePlan& plan) = 0;
  virtual Result<capture::Drift> check(const std::string& backend, const capture::CapturePlan& plan) = 0;
  /// What every backend left; true if there was something.
  virtual Result<bool> remove() = 0;
};

/// What its files' directory is called is given with each call, since it comes with the configuration.
class Node {
 public:
  virtual ~Node() = default;
  /// Errors: sys_errno says why it cannot be opened; without one it is no network namespace.
  virtual Result<std::unique_ptr<Sandbox>> open(const std::string& netns) = 0;
  /// Could a sandbox be enrolled by this backend? Tried in a namespace that nobody else sees.
  virtual Result<> probe(const std::string& backend) = 0;

  virtual Result<std::optional<std::string>> load(const std::string& directory, const std::string& file) = 0;
  /// All or nothing, also if killed.
  virtual Result<> save(const std::string& directory, const std::string& file, const std::string& text) = 0;
  /// True if it was there.
  virtual Result<bool> erase(const std::string& directory, const std::string& file) = 0;
  /// Sorted; none if there is no directory.
  virtual Result<std::vector<std::string>> files(const std::string& directory) = 0;
  /// nullopt: there is no such file.
  virtual Result<std::optional<std::string>> read(const std::string& path) = 0;
};

/// This machine. `machine`: of init, so that a test can put a faulty kernel under it.
std::unique_ptr<Node> this_node(init::Machine machine = init::this_machine());

}  // namespace weir::cni
