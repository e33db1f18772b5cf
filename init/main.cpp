// SPDX-License-Identifier: Apache-2.0
// weir-init: programs the redirection of the network namespace it is started in, and exits.
#include <cstdio>
#include <unistd.h>

#include "init/program.h"
#include "kernel/accounts.h"
#include "kernel/address.h"
#include "kernel/netlink.h"

namespace {

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (auto equals = text.find('='); equals != std::string::npos) found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

weir::Result<std::vector<weir::IpAddr>> sandbox_addresses() {
  auto netlink = weir::kernel::open_netlink();
  std::vector<weir::IpAddr> found;
  for (weir::Family family : weir::kBothFamilies) {
    auto addresses = weir::kernel::addresses(*netlink, family);
    if (!addresses) return weir::pass(addresses.error());
    for (const auto& address : *addresses) found.push_back(address.address);
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  weir::init::World world;
  world.environment = environment();
  world.accounts.uid_of = [](std::string_view name) { return weir::kernel::uid_of(name); };
  world.accounts.gid_of = [](std::string_view name) { return weir::kernel::gid_of(name); };
  world.make_backend = weir::init::backends().front().make;
  world.sandbox_addresses = sandbox_addresses;
  const weir::init::Printed printed = weir::init::run({argv + 1, argv + argc}, world);
  std::fputs(printed.out.c_str(), stdout);
  std::fputs(printed.err.c_str(), stderr);
  return printed.exit_code;
}
