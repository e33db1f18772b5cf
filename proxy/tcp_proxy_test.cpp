// SPDX-License-Identifier: Apache-2.0
// TCP through the proxy, and how a connection's protocol is found out.
#include "proxy/data_testing.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::proxy::test;

namespace {

Setup raw(const std::vector<Endpoint>& endpoints) {
  Setup setup;
  setup.clusters = {{"a", endpoints}};
  return setup;
}

/// HTTP if the client speaks HTTP/1, else TCP to cluster "b": the shape of Istio's 0.0.0.0_80.
Setup sniffed(const Upstream& http, const Upstream& tcp) {
  Setup setup = to(http);
  setup.clusters.push_back({"b", {endpoint(tcp)}});
  setup.edit_listener = [](routing::Listener& listener) {
    routing::FilterChain chain = *listener.default_chain;
    chain.match.transport_protocol = "raw_buffer";
    chain.match.application_protocols = {"http/1.1", "h2c"};
    routing::TcpManager fallback;
    fallback.stat_prefix = "tcp";
    fallback.clusters = {{.cluster = "b", .weight = 1}};
    fallback.access_logs = std::get<routing::HttpManager>(chain.manager).access_logs;
    listener.chains = {chain};
    listener.default_chain->manager = fallback;
    listener.detect_http = true;
  };
  return setup;
}

}  // namespace

TEST_CASE("bytes pass both ways and each side may close its half first") {
  Upstream upstream;
  Lab lab(raw({endpoint(upstream)}));
  Peer client = lab.dial();
  Peer server = upstream.accept();
  client.send("question");
  client.finish_sending();
  CHECK(server.rest() == "question<eof>");
  server.send("answer");
  server.close();
  CHECK(client.rest() == "answer<eof>");
  CHECK(lab.next_record() == "- 0 - - in=8 out=6 cluster=a rule=\"ServiceEntry default/tcp\"");
}

TEST_CASE("a large stream passes whole while the reader is slow to begin") {
  Upstream upstream;
  Lab lab(raw({endpoint(upstream)}));
  Peer client = lab.dial();
  Peer server = upstream.accept();
  std::string data(8'000'000, 'q');
  for (std::size_t i = 0; i < data.size(); i += 1013) data[i] = static_cast<char>('a' + i % 26);
  std::thread sender([&] {
    server.send(data);
    server.close();
  });
  CHECK(client.rest() == data + "<eof>");
  sender.join();
}

TEST_CASE("a reset on one side is a reset on the other") {
  Upstream upstream;
  Lab lab(raw({endpoint(upstream)}));
  Peer client = lab.dial();
  Peer server = upstream.accept();
  server.send("x");
  CHECK(client.exactly(1) == "x");
  server.reset();
  CHECK(client.rest() == "<reset>");
}

TEST_CASE("other endpoints are tried as often as the chain allows") {
  Upstream gone, upstream;
  Setup setup = raw({endpoint(gone), endpoint(upstream)});
  gone.close();
  setup.edit_tcp = [](routing::TcpManager& tcp) { tcp.max_connect_attempts = 2; };
  Lab lab(setup);
  for (int i = 0; i < 4; ++i) {
    Peer client = lab.dial();
    Peer server = upstream.accept();
    server.send("hello");
    CHECK(client.exactly(5) == "hello");
  }
}

TEST_CASE("where nobody answers, the client's connection ends and the record says why") {
  Upstream gone;
  Setup refused = raw({endpoint(gone)});
  gone.close();
  {
    Lab lab(refused);
    CHECK(lab.dial().ended());
    CHECK(lab.next_record() == "- 0 UF,URX - in=0 out=0 cluster=a rule=\"ServiceEntry default/tcp\"");
  }
  {
    Setup twice = refused;
    twice.edit_tcp = [](routing::TcpManager& tcp) { tcp.max_connect_attempts = 2; };
    Lab lab(twice);
    CHECK(lab.dial().ended());
    CHECK(lab.next_record().starts_with("- 0 UF,URX "));
  }
  {
    Lab lab(raw({}));
    CHECK(lab.dial().ended());
    CHECK(lab.next_record().starts_with("- 0 UH "));
  }
  {
    Lab lab({});
    CHECK(lab.dial().ended());
    CHECK(lab.next_record().starts_with("- 0 NC "));
  }
}

TEST_CASE("an idle connection is closed after its time") {
  Upstream upstream;
  Setup setup = raw({endpoint(upstream)});
  setup.edit_tcp = [](routing::TcpManager& tcp) { tcp.idle_timeout = 30ms; };
  Lab lab(setup);
  Peer client = lab.dial();
  Peer server = upstream.accept();
  CHECK(client.ended());
  CHECK(server.ended());
}

TEST_CASE("the cluster's limit of connections refuses more") {
  Upstream upstream;
  Setup setup = raw({endpoint(upstream)});
  setup.edit_cluster = [](Cluster& cluster) { cluster.limits.max_connections = 1; };
  Lab lab(setup);
  Peer first = lab.dial();
  Peer server = upstream.accept();
  CHECK(lab.dial().ended());
  CHECK(lab.next_record().starts_with("- 0 UO "));
  server.send("still");
  CHECK(first.exactly(5) == "still");
}

TEST_CASE("HTTP is found by its first line, however it is cut up") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  Peer client = lab.dial();
  for (char c : std::string_view("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")) client.send({&c, 1});
  Peer server = http.accept();
  CHECK(server.head().starts_with("GET /x HTTP/1.1\r\n"));
}

TEST_CASE("what is not HTTP goes to the chain for the rest, with all its bytes") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  Peer client = lab.dial();
  client.send("\x01\x02 binary");
  Peer server = tcp.accept();
  CHECK(server.exactly(9) == "\x01\x02 binary");
}

TEST_CASE("HTTP/2 passes through unread") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  Peer client = lab.dial();
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes");
  Peer server = tcp.accept();
  CHECK(server.until("frames") == "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes");
}

TEST_CASE("a server that speaks first is heard while the client waits") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  for (int i = 0; i < 2; ++i) {  // the second time the destination is known
    Peer client = lab.dial();
    Peer server = tcp.accept();
    server.send("220 ready\r\n");
    CHECK(client.until("\r\n") == "220 ready\r\n");
    client.send("HELO\r\n");
    CHECK(server.until("\r\n") == "HELO\r\n");
  }
  CHECK(!http.has_caller());
}

TEST_CASE("a client that speaks HTTP late is still served as HTTP") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  Peer client = lab.dial();
  Peer silent = tcp.accept();  // dialled while the client was silent
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = http.accept();
  CHECK(server.head().starts_with("GET / "));
  CHECK(silent.ended());
}

TEST_CASE("a client that speaks late, not HTTP, gets the connection that was dialled") {
  Upstream http, tcp;
  Lab lab(sniffed(http, tcp));
  Peer client = lab.dial();
  Peer server = tcp.accept();
  client.send("\x01late");
  CHECK(server.exactly(5) == "\x01late");
  CHECK(!tcp.has_caller());
}

TEST_CASE("a first line that never ends is taken as raw after its time") {
  Upstream http, tcp;
  WorkerOptions options;
  options.detect_limit = 30ms;
  Lab lab(sniffed(http, tcp), options);
  Peer client = lab.dial();
  client.send("GET /half");
  Peer server = tcp.accept();
  CHECK(server.exactly(9) == "GET /half");
}

TEST_CASE("a connection to one of our own ports is refused, not forwarded to itself") {
  Upstream upstream;
  auto fd = kernel::listen_tcp(*SocketAddr::parse("127.0.0.1:0"));
  REQUIRE(fd);
  SocketAddr address = *kernel::local_address(fd->ref());
  WorkerOptions options;
  options.capture_ports = {address.port};
  Stats stats{LocalWorkload{}};
  WorkerStats& counters = stats.add_worker();
  std::vector<ListeningSocket> sockets;
  sockets.push_back({std::move(*fd), address});
  Worker worker(options, std::move(sockets), counters);
  auto config = std::make_shared<Config>();
  auto listener = std::make_shared<routing::Listener>();
  listener->name = "virtualOutbound";
  listener->address = address;
  listener->use_original_dst = true;
  listener->default_chain = routing::FilterChain{};
  config->listeners = std::make_shared<routing::ListenerTable>(std::vector<std::shared_ptr<const routing::Listener>>{listener});
  worker.set_config(config, nullptr);
  worker.start();
  CHECK(Peer::dial(address).rest() == "<reset>");
  CHECK(counters.proxy.loops_refused.value() == 1);
}

TEST_CASE("without a configuration connections wait, then are reset once that is told") {
  auto bound = bind_capture_ports({0}, 1);
  REQUIRE(bound);
  SocketAddr address{IpAddr::loopback(Family::v4), (*bound)[0].front().address.port};
  Stats stats{LocalWorkload{}};
  WorkerStats& counters = stats.add_worker();
  Worker worker({}, std::move((*bound)[0]), counters);
  worker.start();
  Peer waiting = Peer::dial(address);
  worker.refuse_until_config();
  CHECK(waiting.rest() == "<reset>");
  CHECK(counters.proxy.config_wait_expired.value() >= 1);
}
