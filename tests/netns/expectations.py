# SPDX-License-Identifier: Apache-2.0
"""What the rule files of samples/bookinfo/rules do to a client's calls: one table, whichever proxy the client has.

test_rules.py holds weir-proxy to it, test_envoy.py weir-proxy and a stock Envoy side by side. Where Envoy does something else, the
row says so with `envoy=differs(HEADING, field=…)`, and docs/envoy-differences.md has that heading and the reason.

Lines of rules are found with PyYAML in the rule files themselves, not by weir's reader.
"""
import collections
import concurrent.futures
import dataclasses
import json
import pathlib
import socket
import uuid
from dataclasses import dataclass, field

import yaml

import lab

RULES = lab.REPO / "samples/bookinfo/rules"
PLATFORM = lab.REPO / "samples/bookinfo/platform"
JASON = {"end-user": "jason"}
REVIEWS, RATINGS = "http://reviews:9080/reviews/0", "http://ratings:9080/ratings/0"
FAULT = "fault filter abort"
UNCHECKED = object()
ENVOY_EARLY = 0.02  # seconds


def at(file, host, index=0, text=None):
    """FILE:LINE of rule `index` of the http list in the VirtualService for `host`: of its `match`, if it has one."""
    text = text or (RULES / file).read_text()
    for document in yaml.compose_all(text):
        top = {key.value: value for key, value in document.value}
        spec = {key.value: value for key, value in top["spec"].value}
        if top["kind"].value == "VirtualService" and spec["hosts"].value[0].value == host:
            rule = spec["http"].value[index]
            matches = [value.value[0] for key, value in rule.value if key.value == "match"]
            return f"{file}:{(matches or [rule])[0].start_mark.line + 1}"
    raise AssertionError(f"{file} has no VirtualService for {host}")


def service_at(name):
    """FILE:LINE where the Service object begins."""
    file = PLATFORM / f"{name}.yaml"
    for document in yaml.compose_all(file.read_text()):
        if {key.value: value for key, value in document.value}["kind"].value == "Service":
            return f"{file.name}:{document.start_mark.line + 1}"
    raise AssertionError(file)


def place(entry):
    """FILE:LINE of a log entry, without the directory."""
    return pathlib.Path(entry["at"].rpartition(":")[0]).name + ":" + entry["at"].rpartition(":")[2]


def rule_of(host):
    return f"VirtualService default/{host}"


def cluster(host, subset="v1", port=9080):
    return f"outbound|{port}|{subset}|{host}.default.svc.cluster.local"


def differs(heading, **fields):
    """What Envoy does instead; `heading` is a heading of docs/envoy-differences.md."""
    return {"heading": heading, **fields}


@dataclass(frozen=True)
class Http:
    """One request (or `times` of them) and what must come of it. A field that stays UNCHECKED is not looked at."""

    says: str
    rules: tuple = ()  # beside destination-rules.yaml
    mesh: str = "ALLOW_ANY"
    url: str = REVIEWS
    headers: dict = field(default_factory=dict)
    times: int = 1
    # the answer
    status: int = 200
    body: object = UNCHECKED
    shares: dict = field(default_factory=dict)  # version → (fewest, most) of the answers; no other version may answer
    seconds: tuple = (0, 10)  # at least, less than
    answer_headers: dict = field(default_factory=dict)
    # the client's proxy's log line
    rule: str = "-"
    at: str = "-:-"
    log: dict = field(default_factory=dict)
    tries: dict = field(default_factory=dict)  # pod → status codes of the tries that its proxy logs
    seen: object = UNCHECKED  # called with what echo.py saw
    envoy: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Tcp:
    """One connection: what is sent, what must come back, and how it ends."""

    says: str
    mesh: str = "ALLOW_ANY"
    to: str = "echo"  # a name of the lab, "own" for the client's own address, "loopback"
    port: int = 9000
    send: bytes = b""
    receive: bytes = b""  # all that comes until the end of the stream, or its beginning if `ends` is false
    ends: bool = True
    log: dict = field(default_factory=dict)
    envoy: dict = field(default_factory=dict)
    rules: tuple = ()


def versions(**shares):
    return {name: value if isinstance(value, tuple) else (value, value) for name, value in shares.items()}


def rows_of_rules():
    """A row, at least, for each file of samples/bookinfo/rules."""
    plain = dict(rule="Service default/reviews", at=service_at("reviews"))
    yield Http("without rules every version answers, and the Service is named", times=60, shares=versions(v1=(1, 60), v2=(1, 60), v3=(1, 60)),
               log={"cluster": cluster("reviews", ""), "route": "default"}, **plain)

    for host, url in (("reviews", REVIEWS), ("ratings", RATINGS), ("details", "http://details:9080/details/0"),
                      ("productpage", "http://productpage:9080/api/v1/products/0")):
        yield Http(f"all-v1: {host} answers with v1", ("all-v1.yaml",), url=url, times=10 if host == "reviews" else 1, shares=versions(v1=10 if host == "reviews" else 1),
                   rule=rule_of(host), at=at("all-v1.yaml", host), log={"cluster": cluster(host), "flags": "-", "details": "via_upstream", "route": "-"})

    for headers, version, index in ((JASON, "v2", 0), ({}, "v1", 1), ({"end-user": "jasonx"}, "v1", 1), ({"end-user": "Jason"}, "v1", 1)):
        yield Http(f"reviews-jason-v2: {headers.get('end-user', 'nobody in particular')} sees {version}", ("reviews-jason-v2.yaml",), headers=headers, times=3,
                   shares={version: (3, 3)}, rule=rule_of("reviews"), at=at("reviews-jason-v2.yaml", "reviews", index),
                   log={"cluster": cluster("reviews", version), "route": ("jason", "everybody-else")[index]})

    # The bounds hold but for one run in 100,000.
    yield Http("reviews-80-20: one call in five goes to v2", ("reviews-80-20.yaml",), times=500, shares=versions(v1=(360, 440), v2=(60, 140)),
               rule=rule_of("reviews"), at=at("reviews-80-20.yaml", "reviews"))
    yield Http("reviews-50-50-v3: half of the calls go to v3", ("reviews-50-50-v3.yaml",), times=200, shares=versions(v1=(65, 135), v3=(65, 135)),
               rule=rule_of("reviews"), at=at("reviews-50-50-v3.yaml", "reviews"))

    late = dict(rules=("ratings-delay-jason.yaml",), url=RATINGS, rule=rule_of("ratings"), shares=versions(v1=1))
    yield Http("ratings-delay-jason: ratings come a second late for jason", headers=JASON, seconds=(1, 10), at=at("ratings-delay-jason.yaml", "ratings", 0),
               log={"flags": "DI", "route": "late-for-jason"}, **late)
    yield Http("ratings-delay-jason: at once for everybody else", seconds=(0, 1), at=at("ratings-delay-jason.yaml", "ratings", 1), log={"flags": "-"}, **late)

    failing = dict(rules=("ratings-abort-jason.yaml",), url=RATINGS, rule=rule_of("ratings"))
    yield Http("ratings-abort-jason: ratings fail for jason", headers=JASON, status=500, body=FAULT, at=at("ratings-abort-jason.yaml", "ratings", 0),
               log={"flags": "FI", "details": "fault_filter_abort", "upstream_host": "-"}, tries={"ratings-v1": []}, **failing)
    yield Http("ratings-abort-jason: not for everybody else", shares=versions(v1=1), at=at("ratings-abort-jason.yaml", "ratings", 1), **failing)

    timed = dict(rules=("reviews-timeout.yaml",), rule=rule_of("reviews"), at=at("reviews-timeout.yaml", "reviews"))
    yield Http("reviews-timeout: after half a second the answer is 504", headers={"sample-delay-ratings": "3"}, status=504, body="upstream request timeout",
               seconds=(0.5, 3), log={"flags": "UT", "details": "response_timeout"}, **timed)
    yield Http("reviews-timeout: a quick answer comes through", shares=versions(v2=1), log={"flags": "-"}, **timed)

    tried = dict(rules=("ratings-retries.yaml",), url=RATINGS, rule=rule_of("ratings"), at=at("ratings-retries.yaml", "ratings"))
    yield Http("ratings-retries: a call that fails twice succeeds at the third try", headers={"sample-fail": "2"}, shares=versions(v1=1),
               tries={"ratings-v1": ["503", "503", "200"]}, log={"flags": "-"}, **tried)
    yield Http("ratings-retries: after four failures the last answer comes back", headers={"sample-fail": "9"}, status=503,
               tries={"ratings-v1": ["503"] * 4}, log={"flags": "URX", "details": "via_upstream"}, **tried)


def rows_of_mesh():
    """What belongs to no rule: headers, unknown hosts, the outbound policy."""
    def arrives(seen):
        names = {name.lower(): value for name, value in seen["headers"]}
        assert (seen["path"], seen["query"]) == ("/a", "b=c"), seen
        assert names["x-forwarded-proto"] == "http" and names["host"] == "echo:8000", names
        assert not [name for name in names if name.startswith("x-envoy-")], f"the upstream's proxy takes them: {names}"

    yield Http("a call arrives as it was sent, and the answer names the proxy", url="http://echo:8000/a?b=c", seen=arrives, answer_headers={"server": "envoy"},
               rule="Service default/echo", at=service_at("echo"), log={"cluster": cluster("echo", "", 8000), "details": "via_upstream", "code": "200"})
    yield Http("a server that closes without an answer: 503", url="http://echo:8000/reset", status=503, rule="Service default/echo", at=service_at("echo"))
    unknown = {"Host": "nobody.example"}
    yield Http("ALLOW_ANY: an unknown Host on a service's port goes where it was going", url="http://echo:8000/", headers=unknown, shares=versions(v1=1),
               log={"cluster": "PassthroughCluster", "route": "allow_any"})
    yield Http("ALLOW_ANY: an unknown host on a service's port passes through", url="http://outside.example:8000/", shares=versions(outside=1),
               log={"cluster": "PassthroughCluster", "route": "allow_any"})
    yield Http("ALLOW_ANY: an unknown host on a port that no service has passes as TCP", url="http://outside.example/", shares=versions(outside=1), log=None)
    yield Http("REGISTRY_ONLY: an unknown host on a service's port gets 502", mesh="REGISTRY_ONLY", url="http://outside.example:8000/", status=502,
               log={"route": "block_all", "details": "direct_response", "upstream_host": "-"})
    yield Http("REGISTRY_ONLY: an unknown host on a port that no service has gets no answer", mesh="REGISTRY_ONLY", url="http://outside.example/", status=0, log=None)
    yield Http("REGISTRY_ONLY: a service answers", mesh="REGISTRY_ONLY", url="http://echo:8000/", shares=versions(v1=1), rule="Service default/echo", at=service_at("echo"))


def rows_of_tcp():
    """What is not HTTP."""
    yield Tcp("half-close: the server answers after the client's end of stream", send=b"hello", receive=b"hellototal 5\n",
              log={"cluster": cluster("echo", "", 9000), "received": "5", "sent": "13", "flags": "-"})
    yield Tcp("a server on a declared TCP port that speaks first is heard", port=9001, receive=b"220 echo-v1 speaks first\r\n", ends=False)
    yield Tcp("a server on a port that tells no protocol and speaks first is heard", port=9002, receive=b"220 echo-v1 speaks first\r\n", ends=False,
              envoy=differs("A server that speaks first on a port of unknown protocol", receive=b""))
    yield Tcp("ALLOW_ANY: TCP to an unknown host passes through", to=lab.OUTSIDE_NAME, port=7000, send=b"out", receive=b"outtotal 3\n",
              log={"cluster": "PassthroughCluster", "flags": "-"})
    yield Tcp("an address where nobody listens ends the connection", to=lab.OUTSIDE_NAME, port=7999, send=b"out", log={"cluster": "PassthroughCluster", "flags": "UF,URX"})
    for to in ("own", "loopback"):
        for port in (15001, 15006):
            yield Tcp(f"a connection to port {port} of its proxy ({to} address) ends, it does not loop", to=to, port=port, send=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    yield Tcp("REGISTRY_ONLY: TCP to an unknown host is ended", mesh="REGISTRY_ONLY", to=lab.OUTSIDE_NAME, port=7000, send=b"out",
              log={"cluster": "BlackHoleCluster", "flags": "UH"})
    yield Tcp("REGISTRY_ONLY: TCP to a service passes", mesh="REGISTRY_ONLY", send=b"hello", receive=b"hellototal 5\n", log={"cluster": cluster("echo", "", 9000)})


def groups(rows):
    """[(mesh, rules, [row…])]: rows that need the same rules together, in the order of their first."""
    found = {}
    for row in rows:
        found.setdefault((row.mesh, row.rules), []).append(row)
    return [(*key, together) for key, together in found.items()]


def apply(net, mesh, rules):
    """Makes every running proxy have these rules and this outbound policy."""
    net.set_mesh(mesh)
    net.set_rules("destination-rules.yaml", *rules)
    for pod in net.pods.values():
        if pod.proxy:
            lab.wait_for(lambda pod=pod: outbound_policy(pod.admin("/config_dump")) == {mesh}, 20, f"{mesh} in {pod.name}")


def outbound_policy(dump):
    """{ALLOW_ANY or REGISTRY_ONLY} as a config dump shows it, in listeners and route tables; both words while it changes."""
    words = {"PassthroughCluster": "ALLOW_ANY", "allow_any": "ALLOW_ANY", "BlackHoleCluster": "REGISTRY_ONLY", "block_all": "REGISTRY_ONLY"}
    found = set()

    def walk(value):
        if isinstance(value, dict):
            if value.get("name") == "virtualOutbound-catchall-tcp":
                found.add(words[value["filters"][0]["typed_config"]["cluster"]])
            elif value.get("name") in ("allow_any", "block_all"):
                found.add(words[value["name"]])
            for key, inner in value.items():
                if key not in ("draining_state", "error_state"):
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(dump) if dump else {})
    return found


def run(net, cases, clients, rows):
    """Holds each client's proxy to each row, in both IP families. `clients`: {kind of proxy: pod}.

    Proxies write their logs now and then; so all that needs the same rules is done first and its log lines are looked at after.
    """
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for mesh, rules, together in groups(rows):
            apply(net, mesh, rules)
            jobs = [(row, family, kind) for row in together for family in (4, 6) for kind in clients]
            for (row, family, kind), done in zip(jobs, list(pool.map(lambda job: attempt(net, clients[job[2]], *job), jobs))):
                with cases(f"{row.says}{f', through {kind}' if len(clients) > 1 else ''} (IPv{family})"):
                    if isinstance(done, Exception):
                        raise done
                    done()


def attempt(net, pod, row, family, kind):
    """Does what the row says and checks what comes back. Returns what checks the log, or the exception."""
    changes = {key: value for key, value in row.envoy.items() if key != "heading"} if kind == "envoy" else {}
    if isinstance(changes.get("log"), dict):
        changes["log"] = row.log | changes["log"]
    if kind == "envoy" and isinstance(row, Http):
        # Envoy counts from when its event loop last read the clock: on an idle machine that is some ms before the request came.
        changes["seconds"] = (max(0, row.seconds[0] - ENVOY_EARLY), row.seconds[1])
    row = dataclasses.replace(row, **changes)
    try:
        return (talk_tcp if isinstance(row, Tcp) else ask_many if row.times > 1 else ask_once)(net, pod, row, family)
    except Exception as error:  # told under the row's name
        return error


def ask_once(net, pod, row, family):
    # No UUID: of those, Envoy marks one in a hundred for tracing, in the id itself.
    answer = pod.curl(row.url, headers=row.headers, family=family, request_id=uuid.uuid4().hex)
    assert answer.status == row.status, answer
    assert row.seconds[0] <= answer.seconds < row.seconds[1], answer
    if row.body is not UNCHECKED:
        assert answer.body == row.body, answer
    if row.shares:
        assert answer.version in row.shares, answer
    for name, value in row.answer_headers.items():
        assert answer.header(name) == value, (name, answer)
    if row.seen is not UNCHECKED:
        row.seen(answer.json)

    def check_log():
        if row.log is not None:
            entries = pod.log_of(answer.request_id)
            assert len(entries) == 1, f"a request has one log line, however often it was tried: {entries}"
            check_entry(row, entries[0])
        for name, codes in row.tries.items():
            logged = [entry["code"] for entry in net[name].log_of(answer.request_id, count=len(codes))] if codes else logged_codes(net[name], answer.request_id)
            assert logged == codes, logged
    return check_log


def logged_codes(pod, request_id):
    return [entry["code"] for entry in pod.access_log() if entry["request_id"] == request_id]


def ask_many(net, pod, row, family):
    """Many requests on a few connections, as samples/bookinfo/load.py makes them."""
    scheme, _, rest = row.url.partition("://")
    authority, _, path = rest.partition("/")
    host, _, port = authority.partition(":")
    address = net.address(host, family)
    request_id = uuid.uuid4().hex
    flags = [word for name, value in {"Host": host, "x-request-id": request_id, **row.headers}.items() for word in ("-H", f"{name}: {value}")]
    shown = f"[{address}]" if family == 6 else address
    results = pod.load_results(pod.load(f"{scheme}://{shown}:{port}/{path}", "--count", str(row.times), *flags))
    assert collections.Counter(entry["status"] for entry in results) == {row.status: row.times}, results[:3]
    counts = collections.Counter(entry["version"] for entry in results)
    if row.shares:
        assert set(counts) <= set(row.shares) and all(low <= counts[version] <= high for version, (low, high) in row.shares.items()), counts

    def check_log():
        entries = pod.log_of(request_id, count=row.times)
        for entry in entries:
            check_entry(row, entry)
        subsets = collections.Counter(entry["cluster"].split("|")[2] for entry in entries)
        assert set(subsets) == {""} or subsets == counts, f"logged {subsets}, answered {counts}"
    return check_log


def check_entry(row, entry):
    assert (entry["rule"], place(entry)) == (row.rule, row.at), f"expected {row.rule} at {row.at}: {entry['line']}"
    check_fields(row.log, entry)


def check_fields(expected, entry):
    for name, value in expected.items():
        assert entry[name] == value, f"expected {name} {value!r}: {entry['line']}"


def talk_tcp(net, pod, row, family):
    address = {"own": pod.ip4 if family == 4 else pod.ip6, "loopback": "127.0.0.1" if family == 4 else "::1"}.get(row.to) or net.address(row.to, family)
    got, ended = b"", False
    connection = pod.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
    connection.bind(("", 0))  # the port is known even if the connection is reset at once
    own = (f"[{pod.ip6}]:{{}}" if family == 6 else f"{pod.ip4}:{{}}").format(connection.getsockname()[1])
    # Where nothing is to come, a second is enough to see that; what has to come has ten.
    connection.settimeout(10 if row.receive or row.ends else 1)
    try:
        with connection:
            connection.connect((address, row.port))
            connection.sendall(row.send)
            if row.receive and row.ends:
                connection.shutdown(socket.SHUT_WR)
            while row.ends or len(got) < max(1, len(row.receive)):
                piece = connection.recv(65536)
                if not piece:
                    ended = True
                    break
                got += piece
    except TimeoutError:
        pass
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        ended = True
    assert (got, ended) == (row.receive, row.ends), f"{got} came, the connection {'ended' if ended else 'stayed open'}"

    def check_log():
        if row.log:
            entries = lab.wait_for(lambda: [entry for entry in pod.access_log() if entry["downstream_remote"] == own], 5, f"a log line of the connection from {own}")
            check_fields(row.log, entries[0])
    return check_log


def headings():
    """The headings of docs/envoy-differences.md."""
    return {line.removeprefix("## ").strip() for line in (lab.REPO / "docs/envoy-differences.md").read_text().splitlines() if line.startswith("## ")}
