// SPDX-License-Identifier: Apache-2.0
#include "agent/protocol.h"

#include <array>

#include "base/text.h"

namespace weir::agent {
namespace {

struct Word {
  std::string_view text;
  Protocol protocol;
};
constexpr std::array kWords = {
    Word{"http", Protocol::http},       Word{"http2", Protocol::http2}, Word{"grpc", Protocol::http2},
    Word{"http_proxy", Protocol::http}, Word{"https", Protocol::tls},   Word{"tls", Protocol::tls},
    Word{"tcp", Protocol::tcp},         Word{"mongo", Protocol::tcp},   Word{"redis", Protocol::tcp},
    Word{"mysql", Protocol::tcp},       Word{"udp", Protocol::foreign},
};

}  // namespace

Protocol protocol_of(const mesh::ServicePort& port) {
  if (port.protocol != "TCP") return Protocol::foreign;
  std::string name = to_lower(port.app_protocol.empty() ? port.name : port.app_protocol);
  if (name == "kubernetes.io/h2c") return Protocol::http2;
  if (name == "kubernetes.io/ws") return Protocol::http;
  if (name == "kubernetes.io/wss") return Protocol::tls;
  if (name.starts_with("grpc-web")) return Protocol::http;
  std::string_view first = std::string_view(name).substr(0, name.find('-'));
  for (const Word& word : kWords) {
    if (word.text == first) return word.protocol;
  }
  for (Port server_first : {25, 53, 3306, 27017}) {
    if (port.port == server_first) return Protocol::tcp;
  }
  return Protocol::detect;
}

}  // namespace weir::agent
