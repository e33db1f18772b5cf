// SPDX-License-Identifier: Apache-2.0
// nghttp2's set-up, and its callbacks turned into the session's own calls.
#include <array>

#include "http/h2_impl.h"

namespace weir::http {

namespace {

constexpr std::size_t kPrefaceBytes = 24;
constexpr std::size_t kMaxSentBlock = 256 * 1024;

H2Session::Impl* impl_of(void* user) { return static_cast<H2Session::Impl*>(user); }

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace

H2Session::Impl::Impl(H2Role role_, const H2Settings& settings_, H2Events& events_)
    : role(role_),
      settings(settings_),
      events(events_),
      flood(settings_.control_frame_burst, role_ == H2Role::server ? kPrefaceBytes : 0) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  std::unique_ptr<nghttp2_session_callbacks, Freed<nghttp2_session_callbacks_del>> callbacks_owner(callbacks);
  set_callbacks(callbacks);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  std::unique_ptr<nghttp2_option, Freed<nghttp2_option_del>> option_owner(option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_send_header_block_length(option, kMaxSentBlock);
  int made = is_server() ? nghttp2_session_server_new2(&session, callbacks, this, option)
                         : nghttp2_session_client_new2(&session, callbacks, this, option);
  failed = made != 0;
  if (!failed) submit_settings();
}

void H2Session::Impl::submit_settings() {
  std::array<nghttp2_settings_entry, 5> entries = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, is_server() ? settings.max_concurrent_streams : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(settings.head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  }};
  if (is_server()) entries[4] = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, settings.extended_connect ? 1u : 0u};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings.connection_window));
}

void H2Session::Impl::set_callbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                          [](nghttp2_session* s, const nghttp2_frame* frame, void* user) {
                                                            Impl* impl = impl_of(user);
                                                            H2StreamState* stream = impl->find(frame->hd.stream_id);
                                                            if (stream == nullptr) {
                                                              stream = &impl->open_stream();
                                                              stream->id = frame->hd.stream_id;
                                                              nghttp2_session_set_stream_user_data(s, stream->id, stream);
                                                            }
                                                            stream->block.clear();
                                                            return 0;
                                                          });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
        Impl* impl = impl_of(user);
        if (H2StreamState* stream = impl->find(frame->hd.stream_id)) {
          stream->block.add(text_of(name, name_size), text_of(value, value_size), impl->settings.head_bytes,
                            impl->settings.fields);
        }
        return 0;
      });
  // By default nghttp2 drops a field that it finds invalid and goes on; a proxy must not.
  nghttp2_session_callbacks_set_on_invalid_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*, std::size_t, const std::uint8_t*,
                    std::size_t, std::uint8_t, void* user) {
        if (H2StreamState* stream = impl_of(user)->find(frame->hd.stream_id)) stream->block.malformed = true;
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Impl* impl = impl_of(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: impl->on_headers_end(*frame); break;
      case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
          if (H2StreamState* stream = impl->find(frame->hd.stream_id)) impl->end_remote(*stream);
        }
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) impl->events.on_settings();
        break;
      case NGHTTP2_PING: impl->on_ping(*frame); break;
      case NGHTTP2_GOAWAY:
        impl->goaway_received = true;
        impl->events.on_goaway(static_cast<H2Code>(frame->goaway.error_code),
                               text_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
        break;
      default: break;
    }
    return 0;
  });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session* s, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* user) {
        Impl* impl = impl_of(user);
        H2StreamState* stream = impl->find(id);
        if (stream == nullptr || !stream->surfaced || stream->reset_by_us) {
          nghttp2_session_consume(s, id, size);
          return 0;
        }
        stream->unconsumed += size;
        impl->events.on_data(*stream, text_of(data, size));
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         [](nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
                                                           if (H2StreamState* stream = impl_of(user)->find(id))
                                                             impl_of(user)->close_stream(*stream, code);
                                                           return 0;
                                                         });
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Impl* impl = impl_of(user);
    bool ends =
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA) impl->flood.sent_data();
    if (!ends || !impl->is_server()) return 0;
    // The answer is complete before the request: the rest of it is not wanted (RFC 9113, 8.1).
    H2StreamState* stream = impl->find(frame->hd.stream_id);
    if (stream != nullptr && !stream->remote_ended && !stream->is_tunnel) {
      stream->reset_by_us = true;
      impl->reset(stream->id, NGHTTP2_NO_ERROR);
    }
    return 0;
  });
  nghttp2_session_callbacks_set_send_data_callback(callbacks, [](nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head,
                                                                 std::size_t length, nghttp2_data_source* source, void* user) {
    return impl_of(user)->send_data(frame, head, length, *static_cast<H2StreamState*>(source->ptr));
  });
}

}  // namespace weir::http
