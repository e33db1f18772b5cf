// SPDX-License-Identifier: Apache-2.0
#include "kernel/resolver.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include "base/text.h"

namespace weir::kernel {

namespace {

/// Reads a message from its beginning; after the first reading beyond the end every other gives 0 too.
class Reader {
 public:
  explicit Reader(std::string_view message) : rest_(message) {}
  bool is_whole() const { return is_whole_; }

  unsigned number(std::size_t size) {
    unsigned value = 0;
    for (char byte : bytes(size)) value = value << 8U | static_cast<unsigned char>(byte);
    return value;
  }
  std::string_view bytes(std::size_t size) {
    if (size > rest_.size()) is_whole_ = false;
    if (!is_whole_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  /// Labels up to the empty one, or to a pointer elsewhere.
  void skip_name() {
    constexpr unsigned kPointer = 0xc0;
    for (unsigned length = number(1); is_whole_ && length != 0; length = number(1)) {
      if ((length & kPointer) == kPointer) {
        bytes(1);
        return;
      }
      bytes(length);
    }
  }

 private:
  std::string_view rest_;
  bool is_whole_ = true;
};

IpAddr address_of(std::string_view bytes) {
  if (bytes.size() == sizeof(in_addr)) {
    in_addr address;
    std::memcpy(&address, bytes.data(), sizeof address);
    return IpAddr::from(address);
  }
  in6_addr address;
  std::memcpy(&address, bytes.data(), sizeof address);
  return IpAddr::from(address);
}

using State = struct __res_state;  // the C library has a function of that name too

struct Closer {
  void operator()(State* state) const {
    ::res_nclose(state);
    delete state;
  }
};

std::string_view reason(int error) {
  switch (error) {
    case HOST_NOT_FOUND: return "there is no such name";
    case TRY_AGAIN: return "no server answered";
    default: return "the servers refused, or answered what cannot be read";
  }
}

}  // namespace

Result<std::vector<Resolved>> parse_dns_answer(std::string_view message, Family family) {
  Reader reader(message);
  reader.bytes(2);  // the question's number
  const unsigned flags = reader.number(2), questions = reader.number(2), answers = reader.number(2);
  reader.bytes(4);  // authorities and additional records
  if (reader.is_whole() && (flags & 0x000fU) != 0)
    return fail(ErrorCode::io, "the server answered with error {}", flags & 0x000fU);
  for (unsigned i = 0; reader.is_whole() && i < questions; ++i) {
    reader.skip_name();
    reader.bytes(4);
  }
  const std::size_t size = family == Family::v4 ? sizeof(in_addr) : sizeof(in6_addr);
  const unsigned wanted = family == Family::v4 ? ns_t_a : ns_t_aaaa;
  std::vector<Resolved> found;
  unsigned ttl = 0x7fffffff;  // RFC 2181 8: what is greater counts as 0
  for (unsigned i = 0; reader.is_whole() && i < answers; ++i) {
    reader.skip_name();
    const unsigned type = reader.number(2);
    reader.bytes(2);
    const unsigned its_ttl = reader.number(4);
    const std::string_view data = reader.bytes(reader.number(2));
    ttl = std::min(ttl, its_ttl > 0x7fffffff ? 0U : its_ttl);
    if (type == wanted && data.size() == size) found.push_back({.address = address_of(data)});
  }
  if (!reader.is_whole()) return fail(ErrorCode::io, "the server's answer is cut short");
  for (Resolved& each : found) each.ttl = std::chrono::seconds(ttl);
  return found;
}

Result<std::vector<Resolved>> resolve(const std::string& name, Family family) {
  const std::unique_ptr<State, Closer> state(new State{});
  if (::res_ninit(state.get()) != 0) return fail(ErrorCode::io, "resolving {}: /etc/resolv.conf cannot be read", printable(name));
  std::string answer(65536, '\0');
  const int size = ::res_nquery(state.get(), name.c_str(), ns_c_in, family == Family::v4 ? ns_t_a : ns_t_aaaa,
                                reinterpret_cast<unsigned char*>(answer.data()), static_cast<int>(answer.size()));
  if (size < 0 && state->res_h_errno == NO_DATA) return std::vector<Resolved>{};
  if (size < 0)
    return fail(ErrorCode::io, "resolving {} to {}: {}", printable(name), to_text(family), reason(state->res_h_errno));
  auto found = parse_dns_answer(std::string_view(answer).substr(0, static_cast<std::size_t>(size)), family);
  if (!found) return pass(found.error(), fmt::format("resolving {} to {}", printable(name), to_text(family)));
  return found;
}

}  // namespace weir::kernel
