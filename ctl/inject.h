// SPDX-License-Identifier: Apache-2.0
// weirctl inject: the sidecar into the Kubernetes objects of a YAML or JSON text. Pure; inject_command.cpp reads and prints.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"

namespace weir::ctl {

inline constexpr std::string_view kProxyImage = "weir/proxy:" WEIR_VERSION;
inline constexpr std::string_view kInitImage = "weir/init:" WEIR_VERSION;

struct InjectOptions {
  std::string image{kProxyImage}, init_image{kInitImage};
  std::string agent = "unix:/run/weir/agent.sock";
  std::string state_dir = "/var/lib/weir";  ///< "": no last good configuration is kept
  std::string start_gate = "hold:30s";
  std::string backend;   ///< of weir-init; "": its default
  std::string revision;  ///< inject only what asks for this one or for none; "": any
  bool cni = false;      ///< weir-cni captures: no init container
  bool native = false;   ///< as an init container with restartPolicy Always
  bool podman = false;   ///< for podman play kube, which lacks some of Kubernetes
};

struct Injected {
  std::string text;  ///< the input with its changes; only if there are no errors
  /// Errors: nothing may be written. Warnings: what has no effect, and what was not injected and why.
  std::vector<Problem> problems;
};

/// What is wrong with the options themselves, by the names of weirctl's flags.
std::vector<Problem> check(const InjectOptions& options);

/// `file`: how problems shall name the text. What was injected before is taken out first, so that a second run gives the same
/// bytes. What is not injected keeps its bytes; so does, in the injected objects, all that was there.
Injected inject(const std::string& file, const std::string& text, const InjectOptions& options);

/// Takes out what inject() has put in; the original bytes if nobody has edited it since.
Injected uninject(const std::string& file, const std::string& text);

}  // namespace weir::ctl
