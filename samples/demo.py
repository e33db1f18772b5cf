#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, shown: programs that know nothing of weir are captured and routed by rules that are edited live.

    client ─▶ productpage ─▶ details                          each pod: an app (uid 1000), weir-proxy (uid 1337), rules made by
                         └─▶ reviews v1|v2|v3 ─▶ ratings      weir-init; one weir-agent on the node; `outside` is in no mesh
    client ─▶ echo, outside

scripts/demo runs this. Each step prints what was done, what was seen, and the rule (file:line) that decided, as the proxy's
access log has it.
"""
import collections
import contextlib
import pathlib
import re
import signal
import sys
import textwrap
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/netns"))
import lab  # noqa: E402

KEEP = "--keep" in sys.argv
REVIEWS = "http://reviews:9080/reviews/0"
PAGE = "http://productpage:9080/api/v1/products/0"
JASON = {"end-user": "jason"}


class Demo:
    """Counts steps and prints their paragraphs."""

    def __init__(self):
        self.number = self.passed = self.failed = 0

    @contextlib.contextmanager
    def step(self, title):
        self.number += 1
        sentences = []
        print(f"\n{self.number}. {title}", flush=True)
        try:
            yield lambda sentence: sentences.append(sentence)
        except Exception as error:
            self.failed += 1
            self.paragraph(sentences)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            print(f"   FAILED: {error or type(error).__name__} ({pathlib.Path(frame.filename).name}:{frame.lineno}: {frame.line})", flush=True)
        else:
            self.passed += 1
            self.paragraph(sentences)

    @staticmethod
    def paragraph(sentences):
        print(textwrap.fill(" ".join(sentences), 110, break_on_hyphens=False, initial_indent="   ", subsequent_indent="   "), flush=True)


def expect(condition, sentence):
    if not condition:
        raise AssertionError(sentence)


def decided(entry):
    """The words for the rule that decided, from an access-log entry."""
    if entry["rule"] in ("-", ""):
        return f"No rule decided: it went to {entry['cluster']}."
    file, _, line = entry["at"].rpartition(":")
    return f"Decided by {entry['rule']} at {pathlib.Path(file).name}:{line}."


def by_version(answers):
    counts = collections.Counter(str(answer.version or answer.status) for answer in answers)
    return ", ".join(f"{version} × {count}" for version, count in sorted(counts.items()))


def calls(pod, url, count, **options):
    return [pod.curl(url, **options) for _ in range(count)]


def run(net, demo):
    client = net["client"]

    with demo.step("Eight pods, captured before their programs start") as say:
        begin = time.monotonic()
        net.start_all("destination-rules.yaml")
        table = client.run(["nft", "list", "tables"], check=True).stdout.split("\n")[0]
        say(f"Each pod got its rules from weir-init (one nft table, \"{table}\"), its program as uid 1000 and weir-proxy as uid 1337 without "
            f"capabilities; one weir-agent serves the rules. All proxies were ready after {time.monotonic() - begin:.1f} s.")
        expect("weir" in table, f"the pod's only table should be weir's, seen: {table!r}")

    with demo.step("A plain call") as say:
        answers = {family: client.curl(PAGE, family=family) for family in (4, 6)}
        for family, answer in answers.items():
            expect(answer.status == 200, f"IPv{family}: status {answer.status} {answer.error}")
            expect(answer.json["reviews"]["status"] == 200 and answer.json["details"]["status"] == 200, f"IPv{family}: {answer.body}")
        entry = client.log_of(answers[4].request_id)[0]
        say(f"curl in the client pod asked productpage for a book, over IPv4 and IPv6; productpage asked details and reviews. 200 both times, "
            f"in {answers[4].seconds * 1000:.0f} and {answers[6].seconds * 1000:.0f} ms.")
        say(f"The client's proxy logged {entry['cluster']} at {entry['upstream_host']}. {decided(entry)}")
        seen = {answer.version for answer in calls(client, REVIEWS, 30)}
        say(f"Without rules, calls to reviews reach {', '.join(sorted(map(str, seen)))}.")
        expect(seen == {"v1", "v2", "v3"}, f"expected all three versions, saw {seen}")

    with demo.step("All to v1") as say:
        net.set_rules("destination-rules.yaml", "all-v1.yaml")
        answers = calls(client, REVIEWS, 20)
        say(f"all-v1.yaml was put into the rules directory. 20 calls to reviews: {by_version(answers)}.")
        expect({answer.version for answer in answers} == {"v1"}, "all should have been v1")
        say(decided(client.log_of(answers[0].request_id)[0]))

    with demo.step("jason sees v2") as say:
        net.set_rules("destination-rules.yaml", "reviews-jason-v2.yaml")
        jason, others = calls(client, REVIEWS, 10, headers=JASON), calls(client, REVIEWS, 10)
        say(f"reviews-jason-v2.yaml replaced it. As jason: {by_version(jason)}. As anybody else: {by_version(others)}.")
        expect({a.version for a in jason} == {"v2"} and {a.version for a in others} == {"v1"}, "wrong versions")
        say("jason: " + decided(client.log_of(jason[0].request_id)[0]) + " Others: " + decided(client.log_of(others[0].request_id)[0]))

    with demo.step("80 to 20") as say:
        net.set_rules("destination-rules.yaml", "reviews-80-20.yaml")
        results = client.load_results(client.load(REVIEWS, "--count", "500", "-H", "x-request-id: split"))
        counts = collections.Counter(entry["version"] for entry in results)
        say(f"reviews-80-20.yaml: of 500 calls, v1 answered {counts['v1']} and v2 {counts['v2']}; {sum(e['status'] != 200 for e in results)} failed.")
        expect(len(results) == 500 and counts["v1"] + counts["v2"] == 500, f"unexpected answers: {dict(counts)}")
        expect(60 <= counts["v2"] <= 140, f"the smaller share should be 60 to 140, was {counts['v2']}")
        say(decided(client.log_of("split")[0]))

    with demo.step("A rule edited under load") as say:
        net.set_rules("destination-rules.yaml", "all-v1.yaml")
        file = net.rules_dir / "all-v1.yaml"
        text = file.read_text()
        edited = re.sub(r"(host: reviews\n\s+subset: )v1", r"\1v3", text)
        expect(edited != text, "the file has no line to edit")
        load = client.load(REVIEWS, "--rate", "200", "--seconds", "5", "--connections", "16", "-H", "x-request-id: live-edit")
        before = len(client.access_log())
        lab.wait_for(lambda: len(client.access_log()) > before + 200, 10, "the load to run")
        saved = net.put(file, edited)
        results = client.load_results(load)
        after = [entry for entry in results if entry["version"] == "v3"]
        failed = [entry for entry in results if entry["status"] != 200]
        expect(after, "no call ever reached v3")
        effect = min(entry["done"] for entry in after) - saved
        late = [entry for entry in results if entry["version"] == "v1" and entry["sent"] > saved]
        last = max((entry["sent"] for entry in late), default=saved) - saved
        say(f"While 200 requests a second ran, all-v1.yaml was edited: reviews v1 became v3. {len(results)} requests, {len(failed)} failed. "
            f"The first answer by v3 came {effect * 1000:.0f} ms after the save, the last request that still went to v1 was sent {last * 1000:.0f} ms after it.")
        expect(len(results) == 1000 and not failed, f"{len(failed)} of {len(results)} failed: {failed[:3]}")
        say(decided(client.access_log()[-1]))

    with demo.step("A delay for jason") as say:
        net.set_rules("destination-rules.yaml", "reviews-jason-v2.yaml", "ratings-delay-jason.yaml")
        jason, other = client.curl(PAGE, headers=JASON), client.curl(PAGE)
        say(f"ratings-delay-jason.yaml: productpage as jason took {jason.seconds:.2f} s, as anybody else {other.seconds:.2f} s. The delay sits between "
            "reviews and ratings, two calls away from the client: the programs passed the header on.")
        expect(jason.status == 200 and other.status == 200, f"status {jason.status} and {other.status}")
        expect(jason.seconds >= 1.0 > other.seconds, "the delay should be one second, and for jason only")
        say(decided(outbound(net["reviews-v2"], jason.request_id, "ratings")))

    with demo.step("An abort for jason") as say:
        net.set_rules("destination-rules.yaml", "reviews-jason-v2.yaml", "ratings-abort-jason.yaml")
        answer = client.curl(PAGE, headers=JASON)
        reviews = answer.json["reviews"]["answer"]
        say(f"ratings-abort-jason.yaml: reviews v2 got {reviews['ratings-status']} from its proxy and went on: \"{reviews['reviews'][0]['rating'].get('error')}\".")
        expect(reviews["ratings-status"] == 500, answer.body)
        entry = outbound(net["reviews-v2"], answer.request_id, "ratings")
        say(f"The log's flag is {entry['flags']} (fault injected). " + decided(entry))
        expect(entry["flags"] == "FI", entry["line"])

    with demo.step("A timeout") as say:
        net.set_rules("destination-rules.yaml", "reviews-timeout.yaml")
        answer = client.curl(REVIEWS, headers={"sample-delay-ratings": "2"})
        entry = client.log_of(answer.request_id)[0]
        say(f"reviews-timeout.yaml gives reviews half a second; ratings were told to take two. The client got {answer.status} after "
            f"{answer.seconds:.2f} s, flag {entry['flags']}. " + decided(entry))
        expect(answer.status == 504 and 0.5 <= answer.seconds < 1.5 and entry["flags"] == "UT", entry["line"])

    with demo.step("Retries") as say:
        net.set_rules("destination-rules.yaml")
        bare = client.curl("http://ratings:9080/ratings/0", headers={"sample-fail": "2"})
        net.set_rules("destination-rules.yaml", "ratings-retries.yaml")
        answer = client.curl("http://ratings:9080/ratings/0", headers={"sample-fail": "2"})
        tries = [entry["code"] for entry in net["ratings-v1"].log_of(answer.request_id, count=3)]
        say(f"ratings was told to fail the first two tries of a request. Without a rule the client got {bare.status}; with ratings-retries.yaml "
            f"{answer.status}, and the pod of ratings logged {', '.join(tries)}. " + decided(client.log_of(answer.request_id)[0]))
        expect(bare.status == 503 and answer.status == 200 and sorted(tries) == ["200", "503", "503"], f"{bare.status} {answer.status} {tries}")

    with demo.step("A host outside the mesh") as say:
        net.set_rules("destination-rules.yaml")
        answer = client.curl("http://outside.example/")
        entry = client.log_to(f"{lab.OUTSIDE4}:80")[-1]
        say(f"outside.example is in no service. By default it passes through: {answer.status} from \"{answer.version}\", cluster {entry['cluster']}.")
        expect(answer.version == "outside" and entry["cluster"] == "PassthroughCluster", entry["line"])
        net.set_mesh("REGISTRY_ONLY")
        lab.wait_for(lambda: client.curl("http://outside.example/").status == 0, 10, "REGISTRY_ONLY to take effect")
        refused = client.curl("http://outside.example/")
        by_host = lab.wait_for(lambda: (a := client.curl("http://outside.example:8000/")).status == 502 and a, 10, "502 for an unknown Host on an HTTP port")
        entry = client.log_to(f"{lab.OUTSIDE4}:80", "BlackHoleCluster")[-1]
        say(f"After the mesh configuration was changed to REGISTRY_ONLY it is refused: the connection is closed ({refused.error.split(')')[-1].strip()}; cluster "
            f"{entry['cluster']}), and on a port where the mesh speaks HTTP the answer is {by_host.status}.")
        expect(entry["flags"] == "UH", entry["line"])
        net.set_mesh("ALLOW_ANY")
        lab.wait_for(lambda: client.curl("http://outside.example/").status == 200, 10, "ALLOW_ANY to take effect")

    with demo.step("Raw TCP, and servers that speak first") as say:
        with client.connect("echo", 9000) as connection:
            connection.sendall(b"hello")
            connection.shutdown(lab.socket.SHUT_WR)
            text = connection.makefile("rb").read().decode()
        say(f"5 bytes went to the TCP echo on port 9000, then the client closed its half: back came {text!r}.")
        expect(text == "hellototal 5\n", text)
        for port, what in ((9001, "declared as TCP"), (9002, "whose name tells no protocol")):
            begin = time.monotonic()
            with client.connect("echo", port) as connection:
                greeting = connection.recv(100)
                waited = time.monotonic() - begin
                connection.sendall(b"hi\n")
                reply = connection.recv(100)
            say(f"The server on port {port} ({what}) speaks first: heard after {waited * 1000:.0f} ms, {greeting.strip().decode()!r}.")
            expect(greeting.startswith(b"220 ") and reply == b"250 you said hi\r\n", f"{greeting} {reply}")
        entry = client.log_to(f"{net.address('echo')}:9000")[-1]
        say(f"Logged as {entry['cluster']}.")

    with demo.step("The proxy dies") as say:
        client.stop_proxy(signal.SIGKILL)
        closed = client.curl(REVIEWS)
        expect(closed.status == 0, f"the call should have failed, got {closed.status}")
        client.start_proxy()
        back = client.curl(REVIEWS)
        say(f"The client's proxy was killed: calls fail closed ({closed.error.split(')')[-1].strip()}) instead of slipping past the rules. "
            f"Started again: {back.status}.")
        expect(back.status == 200, f"status {back.status} {back.error}")

    with demo.step("weir leaves a pod") as say:
        client.release()
        lines = len(client.access_log())
        answer = client.curl("http://outside.example/")
        left = client.run(["nft", "list", "ruleset"], check=True).stdout
        say(f"weir-init remove in the client pod; its nft ruleset is {repr(left) if left.strip() else 'empty'}. A call outside: {answer.status}, seen there as "
            f"coming from {answer.json['peer'].removeprefix('::ffff:')}; the proxy's log got no new line. Traffic is direct.")
        expect(answer.status == 200 and not left.strip() and len(client.access_log()) == lines, "something of weir is left")


def outbound(pod, request_id, service):
    """The access-log entry of a pod's own call to a service."""
    def found():
        return next((e for e in pod.access_log() if e["request_id"] == request_id and f"|{service}." in e["cluster"]), None) or \
            next((e for e in pod.access_log() if e["request_id"] == request_id and e["authority"].startswith(service)), None)
    return lab.wait_for(found, 5, f"a log line of {pod.name} to {service}")


def main():
    lab.enter()
    demo = Demo()
    with lab.Lab() as net:
        try:
            run(net, demo)
        except AssertionError as error:  # something between the steps: rules that never arrived, say
            demo.failed += 1
            print(f"   FAILED: {error}")
        if demo.failed:
            net.report()
        if KEEP:
            print("\nAll of it goes on running. From another terminal, as root:\n")
            print("\n".join("   " + line for line in net.look_inside()))
            print(f"\nThen, for instance: curl -s reviews:9080/reviews/0; curl -s localhost:15000/config_dump; nft list ruleset\n"
                  f"Rules to edit: {net.rules_dir} (inside any of them); logs: {net.logs}")
            lab.wait_for_interrupt()
    print(f"\ndemo: {demo.passed} passed, {demo.failed} failed", flush=True)
    sys.exit(1 if demo.failed else 0)


if __name__ == "__main__":
    main()
