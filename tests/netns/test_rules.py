#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule file of samples/bookinfo does what its name says, over IPv4 and IPv6, and each access-log line names its file and line.

    client ── reviews v1 v2 v3 ── ratings;  productpage, details, echo      every pod captured, one agent on the node

The table is in expectations.py; here is what it takes a moving rule, or more than one proxy, to see.
"""
import collections

import expectations
import lab
from expectations import REVIEWS, at, place, rule_of

lab.enter()

PODS = ["client", "productpage-v1", "details-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1", "echo-v1"]

with lab.Lab(pods=PODS) as net:
    cases = lab.Cases(net)
    client = net["client"]
    net.start_all("destination-rules.yaml")

    with cases("every rule file of samples/bookinfo/rules has a row in the table"):
        files = {path.name for path in expectations.RULES.glob("*.yaml")} - {"destination-rules.yaml"}
        named = {file for row in expectations.rows_of_rules() for file in row.rules}
        assert named == files, named ^ files

    rows = [*expectations.rows_of_rules(), *expectations.rows_of_mesh(), *expectations.rows_of_tcp()]
    expectations.run(net, cases, {"weir": client}, rows)
    expectations.apply(net, "ALLOW_ANY", ("all-v1.yaml",))
    for family in (4, 6):
        with cases(f"all-v1: rules apply to the calls that a call causes (IPv{family})"):
            page = client.curl("http://productpage:9080/api/v1/products/0", family=family)
            assert page.json["reviews"]["answer"]["version"] == "v1" and page.json["details"]["answer"]["version"] == "v1", page.body
            places = {place(e) for e in net["productpage-v1"].log_of(page.request_id, count=3) if e["cluster"].startswith("outbound")}
            assert places == {at("all-v1.yaml", "details"), at("all-v1.yaml", "reviews")}, places

    text = (expectations.RULES / "all-v1.yaml").read_text()
    with cases("a rule that moves down in its file is logged at its new line"):
        moved = "# one\n# two\n# three\n" + text
        net.put(net.rules_dir / "all-v1.yaml", moved)
        net.wait_rules()
        answer = client.curl(REVIEWS)
        entry = client.log_of(answer.request_id)[0]
        assert (entry["rule"], place(entry)) == (rule_of("reviews"), at("all-v1.yaml", "reviews", text=moved)), entry["line"]
        assert at("all-v1.yaml", "reviews", text=moved) != at("all-v1.yaml", "reviews")

    with cases("a rule edited under load: not one request fails, and the new version answers"):
        net.set_rules("destination-rules.yaml", "all-v1.yaml")
        before = len(client.access_log())
        load = client.load(REVIEWS, "--rate", "200", "--seconds", "4", "--connections", "16")
        lab.wait_for(lambda: len(client.access_log()) > before + 100, 10, "the load to run")
        saved = net.put(net.rules_dir / "all-v1.yaml", text.replace("host: reviews\n            subset: v1", "host: reviews\n            subset: v3"))
        results = client.load_results(load)
        assert len(results) == 800 and all(e["status"] == 200 for e in results), [e for e in results if e["status"] != 200][:3]
        seen = [e["version"] for e in results]
        assert set(seen) == {"v1", "v3"} and seen[-1] == "v3", collections.Counter(seen)
        print(f"        from save to effect: {1000 * (min(e['done'] for e in results if e['version'] == 'v3') - saved):.0f} ms")

    cases.finish()
