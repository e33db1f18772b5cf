#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy's life: the start gate, fail closed, last good without the agent, drain, following its workload, and removal.

    client ── weir-proxy ── echo-v1, outside      the client's proxy comes and goes; echo-v1's stays
"""
import signal
import time

import lab

lab.enter()
URL = "http://echo:8000/"


def is_refused(host, port):
    """By who stands outside of the mesh."""
    try:
        net.outside.connect(host, port).close()
        return False
    except ConnectionRefusedError:
        return True


with lab.Lab(pods=["client", "echo-v1"]) as net:
    cases = lab.Cases(net)
    client, echo = net["client"], net["echo-v1"]
    net.set_rules(wait=False)
    net.start_agent()
    net.start_outside()
    echo.enrol()
    echo.start_apps()
    echo.start_proxy()

    with cases("the start gate: a connection made before the proxy runs waits for it, and is then routed"):
        client.enrol(gate="hold:30s")
        waiting = client.start(["curl", "-sS", "-4", "-m", "25", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "-H", "x-request-id: early-bird", URL], "early.log", uid=lab.APP_UID)
        lab.wait_for(lambda: client.run(["ss", "-tnH", "state", "syn-sent"]).stdout.strip(), 5, "the connection to wait")
        assert waiting.poll() is None, net.log("early.log")
        client.start_proxy()
        assert waiting.wait(25) == 0 and net.log("early.log").startswith("200 "), net.log("early.log")
        assert client.log_of("early-bird")[0]["cluster"].startswith("outbound|8000|")

    with cases("the proxy killed: calls fail, none slips past; and back"):
        client.stop_proxy(signal.SIGKILL)
        seen = net.log("echo-v1.http.log").count("GET") + net.log("outside.log").count("GET")
        for url in (URL, "http://outside.example/"):
            answer = client.curl(url, timeout=3)
            assert answer.status == 0, answer
        assert seen == net.log("echo-v1.http.log").count("GET") + net.log("outside.log").count("GET"), "a request arrived"
        client.start_proxy()
        assert client.curl(URL).status == 200

    # A pod is stopped: proxy and workload hear of it at the same time, and the workload still has calls to make.
    for follows in (True, False):
        until = "the workload has gone" if follows else "they have ceased for --drain-time"
        with cases(f"SIGTERM: inbound ends first, a request under way is finished; outbound calls are served until {until}, both families"):
            log = f"last-calls-{follows}.log"
            echo.stop_proxy(signal.SIGKILL)
            workload = echo.start([lab.PYTHON, "-B", net.src / "tests/netns/last_calls.py", lab.OUTSIDE4, f"[{lab.OUTSIDE6}]"], log, uid=lab.APP_UID)
            proxy = echo.start_proxy("--drain-time", "500ms", *(["--follow", str(workload.pid)] if follows else []))
            lab.wait_for(lambda: "calls" in net.log(log), 10, "the first calls")
            slow = client.start(["curl", "-sS", "-4", "-m", "25", "http://echo:8000/slow/5/0.4"], f"slow-{follows}.log", uid=lab.APP_UID)
            lab.wait_for(lambda: "chunk 0" in net.log(f"slow-{follows}.log"), 10, "the first chunk")
            for process in (proxy, workload):
                process.send_signal(signal.SIGTERM)
            assert slow.wait(20) == 0, net.log(f"slow-{follows}.log")
            assert net.log(f"slow-{follows}.log") == "".join(f"chunk {n}\n" for n in range(5)), net.log(f"slow-{follows}.log")
            for there in (echo.ip4, echo.ip6):
                lab.wait_for(lambda there=there: is_refused(there, 8000), 10, f"{there} to refuse new connections")
            made = net.log(log).count("calls")
            lab.wait_for(lambda: net.log(log).count("calls") > made + 20, 20, "calls after that")
            assert proxy.poll() is None
            workload.send_signal(signal.SIGINT)
            assert workload.wait(10) == 0 and " 0 failed" in net.log(log), net.log(log)
            assert proxy.wait(10) == 0, proxy.returncode
    echo.start_proxy()

    with cases("the agent away: calls go on"):
        net.stop_agent(signal.SIGKILL)
        for _ in range(5):
            assert client.curl(URL).status == 200

    with cases("the agent away, the proxy started anew: it serves with the last good configuration"):
        client.stop_proxy(signal.SIGKILL)
        client.start_proxy()
        answer = client.curl(URL)
        assert answer.status == 200, answer
        assert client.log_of(answer.request_id)[0]["cluster"] == "outbound|8000||echo.default.svc.cluster.local"

    with cases("the agent back: rules flow again"):
        net.start_agent()
        net.set_mesh("REGISTRY_ONLY")
        lab.wait_for(lambda: client.curl("http://outside.example/", timeout=3).status == 0, 40, "REGISTRY_ONLY to arrive")
        net.set_mesh("ALLOW_ANY")
        lab.wait_for(lambda: client.curl("http://outside.example/", timeout=3).status == 200, 40, "ALLOW_ANY to arrive")

    with cases("neither agent nor last good: connections wait for --config-wait, then end"):
        client.stop_proxy(signal.SIGKILL)
        begin = time.monotonic()
        state = net.run_dir / "empty"
        proxy = client.start_proxy("--config-wait", "1s", "--state-dir", state, agent=f"unix:{net.run_dir}/nobody.sock", wait=False)
        answer = client.curl(URL, timeout=10)
        assert answer.status == 0 and time.monotonic() - begin < 10, answer
        assert proxy.poll() is None
        client.stop_proxy(signal.SIGKILL)

    with cases("SIGTERM: an open request is finished first, then the proxy ends with 0"):
        proxy = client.start_proxy()
        slow = client.start(["curl", "-sS", "-4", "-m", "25", "http://echo:8000/slow/5/0.4"], "slow.log", uid=lab.APP_UID)
        lab.wait_for(lambda: "chunk 0" in net.log("slow.log"), 10, "the first chunk")
        proxy.send_signal(signal.SIGTERM)
        assert slow.wait(20) == 0, net.log("slow.log")
        assert net.log("slow.log") == "".join(f"chunk {n}\n" for n in range(5)), net.log("slow.log")
        assert proxy.wait(30) == 0, proxy.returncode

    with cases("--follow: the proxy leaves by itself when its workload has gone"):
        workload = client.start(["sleep", "infinity"], "workload.log", uid=lab.APP_UID)
        proxy = client.start_proxy("--follow", str(workload.pid))
        assert client.curl(URL).status == 200
        workload.kill()
        workload.wait()
        assert proxy.wait(60) == 0, proxy.returncode

    with cases("/quitquitquit ends the proxy"):
        proxy = client.start_proxy()
        client.admin("/quitquitquit", "POST")
        assert proxy.wait(60) == 0, proxy.returncode

    with cases("--when-proxy-down=open: with the proxy killed, calls go direct once its window is over; and back"):
        client.enrol("--when-proxy-down=open:2s", gate="")
        client.start_proxy()
        answer = client.curl(URL)
        assert answer.status == 200 and client.log_of(answer.request_id), answer
        client.stop_proxy(signal.SIGKILL)
        lab.wait_for(lambda: client.curl(URL, timeout=3).status == 200, 20, "calls to go direct")
        assert client.curl("http://outside.example/", family=6).status == 200
        client.start_proxy()
        answer = client.curl(URL)
        assert answer.status == 200 and client.log_of(answer.request_id), answer
        client.stop_proxy(signal.SIGKILL)

    with cases("removal: nothing of weir is left, and traffic is direct"):
        client.proxy = None
        client.release()
        assert client.run(["nft", "list", "ruleset"]).stdout.strip() == ""
        answer = client.curl("http://outside.example/")
        assert answer.status == 200 and answer.json["peer"].removeprefix("::ffff:") == client.ip4, answer

    cases.finish()
