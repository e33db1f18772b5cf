#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weir-proxy with a static bootstrap on the loopback: a request through it, its admin pages, its drain, its refusals.

    client ── listener 127.0.0.1:P ── weir-proxy ── slow HTTP server on 127.0.0.1 and ::1
"""
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROXY = sys.argv[1]
USER = {"user": 1337, "group": 1337, "extra_groups": []} if os.geteuid() == 0 else {}
LIMIT = 20
passed = 0


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    release = threading.Event()
    asked = threading.Event()

    def do_GET(self):
        if self.path == "/slow":
            Upstream.asked.set()
            Upstream.release.wait(LIMIT)
        body = f"you asked {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {LIMIT} s for {what}")


def bootstrap(listener_port, upstream_port):
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream_port}}}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "smoke",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"name": "everything", "match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "access_log": [{"name": "log", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/stdout"}}],
    }
    return {"static_resources": {
        "clusters": [{"name": "upstream", "type": "STATIC", "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]}}],
        "listeners": [{"name": "smoke", "address": {"socket_address": {"address": "127.0.0.1", "port_value": listener_port}},
                       "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}]}}


class Proxy:
    def __init__(self, directory, config, *flags):
        self.err_path = os.path.join(directory, "err")
        path = os.path.join(directory, "bootstrap.json")
        with open(path, "w") as file:
            json.dump(config, file)
        argv = [PROXY, "-c", path, "--capture-ports", "off", "--no-heartbeat", "--concurrency", "2", "--ip", "127.0.0.1", "--drain-time", "0s",
                *[word for name in ("admin", "status", "health", "metrics") for word in (f"--{name}-port", "0")], *flags]
        self.process = subprocess.Popen(argv, stdout=open(os.path.join(directory, "out"), "wb"), stderr=open(self.err_path, "wb"), **USER)

    def log(self):
        with open(self.err_path) as file:
            return file.read()

    def port(self, what):
        def look():
            assert self.process.poll() is None, self.log()
            return re.search(rf"{what}: listening on port (\d+)", self.log())
        return int(wait_for(look, f"the {what} port\n{self.log()}").group(1))

    def ask(self, port, path, method="GET", host="localhost", address="127.0.0.1"):
        connection = http.client.HTTPConnection(address, port, timeout=LIMIT)
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def case(name):
    global passed
    passed += 1
    print(f"ok {passed} - {name}", flush=True)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    directory = tempfile.mkdtemp(prefix="weir-smoke-")
    os.chmod(directory, 0o755)
    # The proxy's uid may not be allowed into the build directory.
    global PROXY
    PROXY = shutil.copy(PROXY, directory)
    os.chmod(PROXY, 0o755)
    proxy = None
    try:
        listener = free_port()
        proxy = Proxy(directory, bootstrap(listener, server.server_port))
        admin, health, status, metrics = (proxy.port(what) for what in ("admin", "readiness", "status", "metrics"))
        wait_for(lambda: proxy.ask(admin, "/ready") == (200, "LIVE\n"), "the proxy to be ready")
        case("ready")

        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", listener)) == 0, "the listener")
        assert proxy.ask(listener, "/hello") == (200, "you asked /hello\n")
        wait_for(lambda: "/hello" in open(os.path.join(directory, "out")).read(), "the access log")
        case("a request goes through and is logged")

        code, dump = proxy.ask(admin, "/config_dump?include_eds")
        types = [config["@type"].rsplit(".", 1)[1] for config in json.loads(dump)["configs"]]
        assert code == 200 and types == ["BootstrapConfigDump", "ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "RoutesConfigDump", "SecretsConfigDump", "Struct"], types
        assert "cluster.upstream.upstream_rq_total: 1\n" in proxy.ask(admin, "/stats?usedonly")[1]
        assert any(stat["name"] == "cluster.upstream.upstream_rq_2xx" and stat["value"] == 1 for stat in json.loads(proxy.ask(admin, "/stats?format=json")[1])["stats"])
        assert f"upstream::127.0.0.1:{server.server_port}::rq_total::1\n" in proxy.ask(admin, "/clusters")[1]
        assert json.loads(proxy.ask(admin, "/clusters?format=json")[1])["cluster_statuses"][0]["name"] == "upstream"
        assert proxy.ask(admin, "/listeners")[1] == f"smoke::127.0.0.1:{listener}\n"
        assert json.loads(proxy.ask(admin, "/server_info")[1])["node"]["id"].startswith("sidecar~127.0.0.1~")
        assert proxy.ask(admin, "/ready", host="[::1]", address="::1")[0] == 200
        case("the admin pages show what is configured and counted, on both families")

        assert proxy.ask(admin, "/ready", host="evil.example")[0] == 403
        assert proxy.ask(admin, "/quitquitquit")[0] == 405
        case("a foreign Host and a GET that would change something are refused")

        text = proxy.ask(metrics, "/stats/prometheus")[1]
        assert 'envoy_cluster_upstream_rq_xx{envoy_cluster_name="upstream",envoy_response_code_class="2"} 1\n' in text
        assert re.search(r'istio_requests_total\{reporter="source",.*response_code="200".*\} 1\n', text), text
        assert proxy.ask(status, "/stats/prometheus")[0] == 200 and proxy.ask(health, "/healthz/ready")[0] == 200
        if shutil.which("promtool"):  # 3: names that Envoy gave and the linter does not like
            done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
            assert done.returncode in (0, 3), done.stderr
        case("metrics and readiness")

        done = subprocess.run([PROXY, "-c", os.path.join(directory, "bootstrap.json"), "--capture-ports", "off", "--admin-port", str(admin)],
                              capture_output=True, text=True, timeout=LIMIT, **USER)
        assert done.returncode == 2 and str(admin) in done.stderr and "ss -" in done.stderr, (done.returncode, done.stderr)
        case("a port that is taken: exit 2, the message names it and how to find its owner")

        answer = []
        slow = threading.Thread(target=lambda: answer.append(proxy.ask(listener, "/slow")))
        slow.start()
        assert Upstream.asked.wait(LIMIT)
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: proxy.ask(admin, "/ready") == (503, "DRAINING\n"), "the drain")
        assert proxy.ask(health, "/healthz/ready") == (503, "draining\n")
        Upstream.release.set()
        slow.join(LIMIT)
        assert answer == [(200, "you asked /slow\n")], answer
        assert proxy.process.wait(LIMIT) == 0, proxy.log()
        case("SIGTERM: the open request is finished, then exit 0")

        proxy = Proxy(directory, {"static_resources": {"clusters": [{"nam": "x"}]}}, "--validate")
        assert proxy.process.wait(LIMIT) == 1 and "did you mean name?" in proxy.log(), proxy.log()
        case("--validate: a wrong file is exit 1 with the field")

        if os.geteuid() == 0:
            done = subprocess.run([PROXY, "--agent", "unix:/nowhere"], capture_output=True, text=True, timeout=LIMIT)
            assert done.returncode == 1 and "--allow-root" in done.stderr, done.stderr
            case("root is refused")
    finally:
        if proxy and proxy.process.poll() is None:
            proxy.process.kill()
        if proxy and sys.exc_info()[0]:
            print(proxy.log())
        shutil.rmtree(directory)
    print(f"1..{passed}")


main()
