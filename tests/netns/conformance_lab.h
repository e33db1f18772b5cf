// SPDX-License-Identifier: Apache-2.0
// The pod, the remote and the virtual machine in which a backend is held to the decision table, and how it is looked at from
// outside.
//
//    pod: this process, in namespaces of its own            remote
//    ┌───────────────────────────────────────────┐          ┌──────────────────────────────┐
//    │ lo    127.0.0.1 ::1 (::6 by weir)          │          │ lo   10.2.0.2  fd02::2       │
//    │ eth0  10.1.0.2 fd01::2 ────────────────────┼── veth ──┼ eth0 10.1.0.1  fd01::1       │
//    │       default route by the remote          │          └──────────────────────────────┘
//    │ vnet0 10.3.0.1 fd03::1 ────────────────────┼── veth ── eth0 10.3.0.2 fd03::2   vm
//    │ app (uid 1000 and others): calls           │
//    │ workload (root): 8080, 9090, 53 …          │   All that listen tell who they are, the original destination, their own
//    │ proxy (uid 1337): 15001, 15006             │   and the caller's address.
//    └───────────────────────────────────────────┘
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "capture/matrix.h"
#include "capture/redirector.h"
#include "tests/netns/conformance_actor.h"

namespace weir::conformance {

inline constexpr const char* kTproxyConfig = "-m TPROXY -b * -d 15090,15021,15020 -i * -u 1337 -g 1337";
inline constexpr const char* kDefaultConfig = "-b * -d 15090,15021,15020 -i * -u 1337 -g 1337";

/// The backend that this run is about, by WEIR_BACKEND; nft without it.
enum class Kind { nft, iptables_nft, iptables_legacy };
Kind kind();

/// What a script prints; a failure of it fails the test.
std::string shell(const std::string& script);
/// Everything that weir could have left, as other tools see it, with all numbers the kernel gave it.
std::string whole_state();
/// The same without what may change where nothing of meaning did: iptables keeps empty tables, and rules that are put back have
/// new handles and counters.
std::string state_of_namespace();
/// The rules alone, without what comes and goes in their sets and lists.
std::string rules_of_namespace();
/// Asks again, without a pause that matters, until the answer is the wanted one or five seconds are over; gives the last answer.
std::string until(const std::string& wanted, const std::function<std::string()>& ask);

/// One of each in a process; the first call makes the namespaces.
class Lab {
 public:
  static Lab& instance();
  Actor& remote() { return *remote_; }
  Actor& vm() { return *vm_; }
  Actor& workload() { return *workload_; }
  /// A process of the pod with these numbers.
  Actor& pod(unsigned uid, unsigned gid);
  void start_proxy();
  void stop_proxy() { proxy_.reset(); }
  /// Back to a pod without rules and with a proxy.
  void reset();
  static std::unique_ptr<capture::Redirector> backend(bool force = false);
  /// How to look inside from the rest of the machine; the program's start has left a descriptor of its /proc open.
  static std::string hint();

 private:
  Lab();
  void build();

  std::unique_ptr<Actor> remote_, vm_, workload_, proxy_;
  std::map<std::pair<unsigned, unsigned>, std::unique_ptr<Actor>> pod_;
};

capture::CapturePlan plan_of(const std::string& config);
capture::CapturePlan gated(const std::string& config, Nanoseconds limit);
/// With the run's backend; a refusal fails the test.
capture::Applied apply(const capture::CapturePlan& plan);

/// A fresh enrolment with a gate, and a proxy that has not sent a packet. What is left of earlier connections could make the
/// kernel send one in the proxy's name (an acknowledgement, a reset), which opens the gate.
void enrol_with_gate(const char* config, Nanoseconds limit);
void enrol_with_gate(const capture::CapturePlan& plan);
/// After each of the damages, scripts that change what the plan left, check names a difference and apply mends it.
void check_names_damages(const capture::CapturePlan& plan, const std::vector<std::string>& damages);

/// One of the table's names, as text.
std::string address(const char* name, Family family);
/// How the row's source is told to an actor.
std::string source_of(const capture::matrix::Row& row);
/// The names of the table by the row's family: "od=POD:80" → "od=10.1.0.2:80".
std::string concrete(const std::string& expected, Family family);
/// Whether both directions are captured: a call of the app, a call of the remote.
std::string app_to_remote(Family family, int limit_ms = 5000);
std::string remote_to_app(Family family, int limit_ms = 5000);
inline constexpr const char* kOut = "OUT15001 od=REM:80 la=LO:15001 peer=POD";
inline constexpr const char* kTransparent = "IN15006 od=POD:8080 la=POD:8080 peer=REM";
inline constexpr const char* kIn = "IN15006 od=POD:8080 la=POD:15006 peer=REM";

/// In a process of its own: applies the default policy, but ends before the program of this number (from 1) is called.
int apply_and_die_with_xtables(std::size_t step);

}  // namespace weir::conformance
