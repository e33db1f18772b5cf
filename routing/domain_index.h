// SPDX-License-Identifier: Apache-2.0
// From an authority to a virtual host: exact names by one hash lookup, then the longest `*.x`, the longest `x.*`, then `*`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::routing {

/// Hash and equality without case, so that a lookup needs no lowered copy.
struct CaselessHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept;
};
struct CaselessEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept;
};

class DomainIndex {
 public:
  enum class How : std::uint8_t { none, exact, suffix, prefix, any };

  void ignore_port(bool on) { ignore_port_ = on; }
  bool ignores_port() const { return ignore_port_; }
  /// False if the domain is there already (as Envoy, which refuses the table). A trailing dot does not count.
  bool add(std::string_view domain, int host);
  /// The virtual host's number, or -1. Allocates nothing.
  std::pair<int, How> find(std::string_view authority) const;

 private:
  using Map = std::unordered_map<std::string, int, CaselessHash, CaselessEqual>;
  /// One map per length, longest first: as many lookups as there are different lengths, not domains.
  struct Wildcards {
    std::vector<std::pair<std::size_t, Map>> by_length;
    bool add(std::string_view text, int host);
  };
  Map exact_;
  Wildcards suffixes_, prefixes_;
  int any_ = -1;
  bool ignore_port_ = false;
};

/// "host:80" → "host", "[::1]:80" → "[::1]"; as it is if what follows the colon is not a number.
std::string_view without_port(std::string_view authority);

}  // namespace weir::routing
