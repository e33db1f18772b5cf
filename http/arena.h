// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace weir::http {

/// Bytes that live until clear(). Blocks are kept for reuse; a request of ordinary size allocates only once a connection.
class Arena {
 public:
  /// Copies `bytes`; the view stays valid until clear() or destruction (also across a move of the Arena).
  std::string_view copy(std::string_view bytes) { return join(bytes, {}); }
  /// Copies both, one behind the other.
  std::string_view join(std::string_view first, std::string_view second);
  void clear();

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  std::vector<Block> blocks_;
  std::size_t block_ = 0;  // index of the block being filled
  std::size_t used_ = 0;   // bytes used in it
};

}  // namespace weir::http
