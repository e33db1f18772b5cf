#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--run-validation, as Istio's istio-validation init container runs it: it tells whether somebody programmed this network namespace.

    pod client (both families): weir-init, once as root to program, then as the proxy's uid to validate
"""
import lab

ISTIO = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020",
         "--log_output_level=default:info"]


def report(done):
    return f"exit {done.returncode}\n{done.stdout}{done.stderr}"


lab.enter()
with lab.Lab(pods=["client"]) as net:
    cases = lab.Cases(net)
    client = net["client"]
    init = net.program("weir-init")

    def validate(uid=lab.PROXY_UID, *flags):
        return client.run([init, *ISTIO, "--run-validation", "--skip-rule-apply", "--probe-timeout=200ms", *flags], uid=uid)

    with cases("a namespace without rules: exit 126, and the reason"):
        done = validate()
        assert done.returncode == 126 and "127.0.0.6:15002" in done.stderr and "Connection refused" in done.stderr, report(done)
        assert client.run(["nft", "list", "ruleset"]).stdout == ""
    client.run([init, *ISTIO], check=True)
    rules = client.run(["nft", "list", "ruleset"]).stdout
    with cases("a programmed namespace, as the proxy's uid: exit 0, and no rule is touched"):
        done = validate()
        assert done.returncode == 0 and "validated" in done.stdout, report(done)
        assert client.run(["nft", "list", "ruleset"]).stdout == rules
    with cases("the probe port may be another"):
        done = validate(lab.PROXY_UID, "--iptables-probe-port=4242")
        assert done.returncode == 0, report(done)
    with cases("another uid is not redirected: exit 126, and the message says whose uid it must be"):
        done = validate(lab.APP_UID)
        assert done.returncode == 126 and f"by uid {lab.APP_UID}" in done.stderr and "--proxy-uid" in done.stderr, report(done)
    with cases("IPv6 that is not redirected, where the pod has IPv6: exit 126"):
        client.sh("ip addr del ::6/128 dev lo")
        done = validate()
        assert done.returncode == 126 and "::6 is not an address" in done.stderr, report(done)
        client.run([init, *ISTIO], check=True)
    with cases("a redirection that is gone: exit 126"):
        client.sh("nft flush chain inet weir to_inbound")
        done = validate()
        assert done.returncode == 126, report(done)
    with cases("one command applies and validates, if it runs as the proxy's uid"):
        done = client.run([init, "-b", "*", "-i", "*", "-u", "0", "--run-validation"])
        assert done.returncode == 0 and "applied" in done.stdout and "validated" in done.stdout, report(done)
        client.run([init, *ISTIO], check=True)
    with cases("a proxy that runs already: its port is taken, exit 2"):
        server = client.start(["python3", "-B", "-c", "import socket; s = socket.create_server(('127.0.0.1', 15006)); print('up', flush=True); s.accept()"], "server.log")
        lab.wait_for(lambda: "up" in (net.logs / "server.log").read_text(), 10, "the server to listen")
        done = validate()
        assert done.returncode == 2 and "15006" in done.stderr, report(done)
        server.kill()
        server.wait()

    cases.finish()
