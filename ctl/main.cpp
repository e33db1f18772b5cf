// SPDX-License-Identifier: Apache-2.0
// weirctl: what is captured, what a proxy has, and why.
#include <csignal>
#include <cstdio>
#include <iterator>
#include <iostream>

#include "base/log.h"
#include "ctl/command.h"
#include "ctl/http_client.h"
#include "init/program.h"

namespace {

weir::Result<std::string> read_stdin() {
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  if (std::cin.bad()) return weir::fail(weir::ErrorCode::environment, "standard input cannot be read");
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  weir::log::init("weirctl", weir::log::Level::warn);
  weir::ctl::World world;
  world.fetch = weir::ctl::fetch;
  world.read_stdin = read_stdin;
  world.capture = weir::init::run_here;
  const weir::ctl::Printed printed = weir::ctl::run({argv + 1, argv + argc}, world);
  std::fputs(printed.out.c_str(), stdout);
  std::fputs(printed.err.c_str(), stderr);
  return printed.exit_code;
}
