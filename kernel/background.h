// SPDX-License-Identifier: Apache-2.0
// What goes on after this program has ended, and how others see that it does.
#pragma once

#include <functional>
#include <string>

#include "base/duration.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::kernel {

/// Time since the machine's start, sleep included (CLOCK_BOOTTIME): the same for all processes.
Nanoseconds since_boot();
/// The calling thread waits.
void pause_for(Nanoseconds duration);
/// `digits` random hexadecimal digits.
std::string random_digits(std::size_t digits);

/// A name that at most one process of the network namespace has at a time (an abstract unix socket); it is free again when the
/// descriptor, and every copy of it, is closed. Taken: errno EADDRINUSE.
Result<UniqueFd> claim_name(const std::string& name);

/// claim_name(), and waits for it up to `limit`: who takes the same name goes on one after the other.
Result<UniqueFd> wait_for_name(const std::string& name, Nanoseconds limit);

/// Runs `work` in a process of its own, which outlives this one, and returns at once: without terminal, in the calling thread's
/// network namespace, with standard streams to /dev/null and no other descriptor but `kept`; `title` is what ps shows. Refused
/// for process 1, with which all its descendants end.
Result<> run_in_background(const std::string& title, FdRef kept, const std::function<void()>& work);

}  // namespace weir::kernel
