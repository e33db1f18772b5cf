// SPDX-License-Identifier: Apache-2.0
// What is behind an H2Session. Private to this room.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/h2.h"
#include "http/h2_flood.h"
#include "http/h2_head.h"

namespace weir::http {

/// Of the PING behind a shutdown notice; told apart from the owner's by its value.
inline constexpr std::uint64_t kDrainPing = 0x77656972647261ff;

/// An H2Stream with what only the session knows of it.
struct H2StreamState : H2Stream {
  HeaderBlock block;
  RequestHead request;
  ResponseHead response;
  std::size_t index = 0;                   // in Impl::live
  std::size_t unconsumed = 0;              // received, not yet consume()d
  std::string_view pulled;                 // on the way from on_pull to the wire
  std::uint32_t fault = NGHTTP2_NO_ERROR;  // why we refused what came
  std::string_view method;                 // client: "HEAD", "CONNECT" or ""
  bool surfaced = false;                   // the owner knows it
  bool is_tunnel = false;
  bool has_final_head = false;  // client: the next block is trailers
  bool remote_ended = false;
  bool reset_by_us = false;
  void reuse() {
    block.clear();
    *static_cast<H2Stream*>(this) = {};
    unconsumed = 0;
    pulled = method = {};
    fault = NGHTTP2_NO_ERROR;
    surfaced = is_tunnel = has_final_head = remote_ended = reset_by_us = false;
  }
};

struct H2Session::Impl {
  Impl(H2Role role, const H2Settings& settings, H2Events& events);
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  H2Role role;
  H2Settings settings;
  H2Events& events;
  FloodGuard flood;
  nghttp2_session* session = nullptr;
  std::vector<std::unique_ptr<H2StreamState>> live;
  std::vector<std::unique_ptr<H2StreamState>> spare;
  NvList nv;
  std::string* out = nullptr;  // during take()
  std::size_t out_limit = 0;
  std::uint32_t resets = 0;
  bool failed = false;
  bool eof = false;
  bool draining = false;
  bool final_goaway = false;  // server: queued, after the notice
  bool goaway_received = false;

  bool is_server() const { return role == H2Role::server; }
  H2StreamState* find(std::int32_t id) { return static_cast<H2StreamState*>(nghttp2_session_get_stream_user_data(session, id)); }
  H2StreamState& open_stream();
  void close_stream(H2StreamState& stream, std::uint32_t code);
  void reset(std::int32_t id, std::uint32_t code) { nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code); }
  Result<> fail_protocol(std::string_view what);

  void on_headers_end(const nghttp2_frame& frame);
  void on_request_end(H2StreamState& stream, bool ended);
  void on_response_end(H2StreamState& stream, bool ended);
  void refuse(H2StreamState& stream, std::uint32_t code);
  void end_remote(H2StreamState& stream);
  void on_ping(const nghttp2_frame& frame);
  ssize_t pull(H2StreamState& stream, std::size_t room, std::uint32_t& flags);
  int send_data(nghttp2_frame* frame, const std::uint8_t* head, std::size_t length, H2StreamState& stream);
  void finish_drain_if_idle();

  void set_callbacks(nghttp2_session_callbacks* callbacks);
  void submit_settings();
};

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {static_cast<const char*>(static_cast<const void*>(bytes)), size};
}

}  // namespace weir::http
