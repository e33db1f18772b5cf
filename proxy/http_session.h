// SPDX-License-Identifier: Apache-2.0
// One HTTP/1 connection from a client: requests one after the other, each routed and forwarded (RFC 9112).
//
// Invariants: (1) drive() is the only place that moves bytes; every event and timer ends in it. (2) Nothing is received while
// views of the same buffer still wait to be sent: that is the back-pressure, both ways. (3) Each request ends in
// finish_exchange(), once, with one record. (4) What a request was routed with (snapshot, route, endpoint) stays as it was until
// it ends.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/downstream.h"
#include "proxy/http_exchange.h"
#include "proxy/relay.h"
#include "proxy/upstream_connection.h"

namespace weir::proxy {

class HttpSession final : public Session, public UpstreamUser {
 public:
  explicit HttpSession(std::unique_ptr<Downstream> downstream);
  ~HttpSession() override;
  void start();
  void drain() override;
  void on_config() override;

 private:
  enum class Stage : std::uint8_t {
    reading,    ///< waits for a request head
    waiting,    ///< for a delay, a connection, or the time of a retry
    streaming,  ///< request and response run
    replying,   ///< our own answer is being sent
    tunnel,     ///< after an upgrade
    lingering,  ///< all is sent; what the client still sends is thrown away, so that it can read the answer
    closed,
  };
  /// An answer of our own (Envoy's local reply).
  struct Reply {
    std::uint16_t status = 503;
    std::string_view details;
    std::string_view body = {};
    std::optional<ResponseFlag> flag = std::nullopt;
  };
  /// Why an attempt failed before the response began.
  enum class Failure : std::uint8_t { connect, connect_timeout, closed, reset, protocol, overflow, try_timeout };

  // http_session.cpp: the connection
  void on_socket_event() override;
  void drive();
  bool read_request();
  void pass_through();
  void count_closed();
  void watch_client();
  void client_gone();
  void finish_exchange();
  void next_or_close();
  bool linger();
  void refresh();
  bool run_tunnel();
  void close();
  void on_idle();
  void on_head_timeout();
  routing::Milliseconds stream_idle_limit() const;
  void set_idle_timer();
  void set_timer(std::optional<io::Timer>& timer, io::Duration delay, void (HttpSession::*handler)());
  void later(io::Duration delay, void (HttpSession::*handler)());
  void on_later();
  void cancel_timers();

  // http_request.cpp: from head to action
  void on_request();
  bool prepare_request();
  bool accept_upgrade();
  void route_request();
  void inject_faults();
  void on_delay_over();
  void act();
  void prepare_forward(const routing::Forward& forward);
  void edit_request(const routing::WeightedCluster& cluster);
  bool answer_preflight();
  void expand(const routing::HeaderValue& value, std::string& out);

  // http_upstream.cpp: attempts
  void attempt();
  void connect_or_wait();
  void use(std::unique_ptr<UpstreamConnection> connection);
  void on_connecting();
  void on_connection_offered(std::unique_ptr<UpstreamConnection> connection) override;
  void on_connection_allowed() override;
  void attempt_failed(Failure failure, std::string_view transport_reason);
  bool may_retry(Failure failure) const;
  bool may_retry_response() const;
  bool schedule_retry();
  void drop_upstream();
  void on_retry_time();
  void on_route_timeout();
  void on_try_timeout();
  void request_was_received();
  void send_mirrors();
  void start_try_timer();

  // http_forward.cpp: bytes
  bool stream();
  bool pump_request();
  bool pump_response();
  void take_request_body();
  void add_request_body(std::string_view payload);
  void end_request_body();
  void refuse_request_body(const char* detail);
  void complete_response();
  void end_short(std::string_view details);
  bool take_response_head();
  bool take_response_body();
  void upstream_ended(int error);
  void begin_response();
  void edit_response();
  void begin_tunnel();
  bool flush_client();

  // http_reply.cpp
  void reply(const Reply& answer);
  void edit_reply(http::HeaderMap& headers);
  void add_cors_headers(http::HeaderMap& headers);
  void redirect(const routing::Redirect& action);
  void record();

  Context& context() { return downstream_->context; }
  bool keeps_alive() const;

  std::unique_ptr<Downstream> downstream_;
  const routing::HttpManager* manager_;
  HttpRuntime* runtime_;
  Stage stage_ = Stage::reading;
  Outgoing to_client_;
  HttpExchange ex_;
  std::size_t resume_ = 0;  // of the head that is being read
  bool client_eof_ = false;
  bool served_any_ = false;   // so that a preface of HTTP/2 can only be the first
  bool close_after_ = false;  // no further request on this connection
  bool driving_ = false;
  std::optional<Relay> relay_;
  std::uint64_t lingered_ = 0;
  io::TimePoint last_activity_;
  void (HttpSession::*delay_handler_)() = nullptr;
  std::optional<io::Timer> idle_timer_, head_timer_, delay_timer_, route_timer_, try_timer_;
};

}  // namespace weir::proxy
