// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <ifaddrs.h>
#include <net/if.h>
#include <sstream>
#include <unistd.h>

#include "proxy/identity.h"

namespace weir::proxy {

namespace {

std::vector<IpAddr> interface_addresses() {
  std::vector<IpAddr> list;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return list;
  for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, at->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    auto address = SocketAddr::from(storage);
    // ::6 on lo is ours (the source of inbound connections), no address of the workload.
    const bool on_loopback = (at->ifa_flags & IFF_LOOPBACK) != 0;
    if (address && !on_loopback && !address->ip.is_loopback() && !address->ip.is_link_local()) list.push_back(address->ip);
  }
  ::freeifaddrs(first);
  std::stable_sort(list.begin(), list.end(), [](const IpAddr& a, const IpAddr& b) { return a.is_v4() && !b.is_v4(); });
  return list;
}

}  // namespace

Host this_host() {
  Host host;
  host.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (text.compare(0, 10, "ISTIO_META") == 0 && equals != std::string::npos)
      host.istio_meta.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(host.istio_meta.begin(), host.istio_meta.end());
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) == 0) host.hostname = name;
  // A dot would break the node id's third part, NAME.NAMESPACE.
  host.hostname = host.hostname.substr(0, host.hostname.find('.'));
  host.addresses = interface_addresses();
  std::ifstream labels("/etc/istio/pod/labels");
  std::ostringstream text;
  if (labels) text << labels.rdbuf();
  host.pod_labels = text.str();
  return host;
}

}  // namespace weir::proxy
