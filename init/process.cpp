// SPDX-License-Identifier: Apache-2.0
// The world that weir-init lives in.
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <unistd.h>

#include "base/text.h"
#include "init/program.h"
#include "init/watch.h"
#include "kernel/accounts.h"
#include "kernel/address.h"
#include "kernel/cgroup.h"
#include "kernel/netlink.h"

namespace weir::init {

namespace {

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (auto equals = text.find('='); equals != std::string::npos) found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

Result<std::vector<IpAddr>> sandbox_addresses() {
  auto netlink = kernel::open_netlink();
  std::vector<IpAddr> found;
  for (Family family : kBothFamilies) {
    auto addresses = kernel::addresses(*netlink, family);
    if (!addresses) return pass(addresses.error());
    for (const auto& address : *addresses) found.push_back(address.address);
  }
  return found;
}

Result<> write_file(const std::string& file, const std::string& text) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream) return fail_errno(errno, "writing {}", printable(file));
  return {};
}

}  // namespace

World world_here() {
  World world;
  world.environment = environment();
  world.accounts.uid_of = [](std::string_view name) { return kernel::uid_of(name); };
  world.accounts.gid_of = [](std::string_view name) { return kernel::gid_of(name); };
  world.accounts.cgroup_of = [](const std::string& path) { return kernel::cgroup_id(path); };
  world.accounts.dns_servers = [] {
    std::ifstream stream("/etc/resolv.conf");
    return capture::parse_resolv_conf(std::string(std::istreambuf_iterator<char>(stream), {}));
  };
  world.machine = this_machine();
  world.sandbox_addresses = sandbox_addresses;
  world.validate = validate_redirection;
  world.watch_domains = watch_domains;
  world.probe = begin_probing;
  world.write_file = write_file;
  return world;
}

int run_here(const std::vector<std::string>& arguments) {
  const Printed printed = run(arguments, world_here());
  std::fputs(printed.out.c_str(), stdout);
  std::fputs(printed.err.c_str(), stderr);
  return printed.exit_code;
}

}  // namespace weir::init
