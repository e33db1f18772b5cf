// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP/2 messages: from header blocks and back. Private to this room.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string_view>
#include <vector>

#include "http/h1.h"

namespace weir::http {

/// One header block while it comes in.
struct HeaderBlock {
  HeaderMap fields;
  std::string_view method, scheme, authority, path, protocol, status;  ///< pseudo-headers, in the arena of `fields`
  std::size_t bytes = 0;
  bool too_large = false;
  bool malformed = false;
  void clear();
  void add(std::string_view name, std::string_view value, std::size_t max_bytes, std::size_t max_fields);
};

/// Leave the block empty. False: malformed (RFC 9113, 8.1.1) beyond what nghttp2 checks.
bool finish_request(HeaderBlock& block, bool ended, RequestHead& head);
bool finish_response(HeaderBlock& block, bool ended, std::string_view method, ResponseHead& head);

/// Fields for nghttp2, which copies them; reused from head to head.
class NvList {
 public:
  void begin();
  void add(std::string_view name, std::string_view value);
  /// All but Host and hop-by-hop fields, names lowered.
  void add_fields(const HeaderMap& headers);
  const nghttp2_nv* data() const { return fields_.data(); }
  std::size_t size() const { return fields_.size(); }

 private:
  std::vector<nghttp2_nv> fields_;
  Arena lowered_;
};

}  // namespace weir::http
