// SPDX-License-Identifier: Apache-2.0
#include "kernel/datagram.h"

#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/unique_fd.h"

namespace weir::kernel {

Result<> send_datagram(const std::string& path, std::string_view bytes) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::usage, "the path of a unix socket has at most {} bytes: {}", sizeof address.sun_path - 1, path);
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "making a unix socket");
  const auto sent =
      ::sendto(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (sent < 0) return fail_errno(errno, "sending to {}", path);
  return {};
}

}  // namespace weir::kernel
