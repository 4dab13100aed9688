"""One crossing after the other: where the first has ended the next begins."""

import contextlib
import time

import rig
from crossing_rig import Load, Service, Side, backend


def test_the_next_migration_waits_for_the_one_before(up):
    with contextlib.closing(Service(up, "chain")) as s, contextlib.closing(Side("third")) as third:
        rig.wait_for(lambda: rig.ask(up.port, host="chain.test").status == 200, 10, "it to be served")
        s.migrate([{"setWeight": 100}, {"finish": {}}])
        s.wait_in_force(100)
        up.write("third.yaml", backend("chain-third", third))
        spec = {"routeRefs": [{"kind": "HTTPRoute", "name": "chain"}], "from": rig.ref("chain-new"), "to": rig.ref("chain-third"),
                "state": "Shared", "userKey": {"cookie": "sid"}, "steps": [{"setWeight": 100}, {"pause": {}}]}  # fmt: skip
        up.write("a-next.yaml", {"apiVersion": rig.WATARI_API, "kind": "Migration", "metadata": {"name": "a-next"}, "spec": spec})
        waits = "Migration chain moves users of the same routes"
        blocked = up.wait_status("a-next", lambda st: st["phase"] == "Blocked" and waits in st.get("message", ""), 10, "it to wait")
        assert blocked["weight"] == 0
        refused = up.ask_for("a-next", "setWeight", weight=50)
        assert refused["result"] == "Refused" and "another Migration" in refused["message"]
        with Load(up.port, "chain.test", 20, threads=2, rate=50) as load:
            load.cohort(users=20)
            assert {a.side for a in load.since()} == {"new"}
            s.point_route("new")
            s.wait(lambda st: st["phase"] == "Completed", 10, "the first one to end")
            up.wait_status("a-next", lambda st: st["weight"] == 100, 10, "the next one to go on")
            rig.wait_for(lambda: up.in_force("a-next", 100), 5, "the proxy to run it")
            rig.wait_for(lambda: {"third"} == set(load.sides(time.monotonic() - 0.3).values()), 5, "all to be on the third side")
        assert not load.lost()


def test_a_migration_whose_routes_name_neither_side_moves_nobody(up):
    with contextlib.closing(Service(up, "one")) as s, contextlib.closing(Side("third")) as third:
        up.write("third.yaml", backend("third", third), backend("fourth", third))
        s.migrate([{"setWeight": 50}, {"pause": {}}], **{"from": rig.ref("third"), "to": rig.ref("fourth")})
        # A reading of the directory may still be without the Backends, or without the route.
        why = "names spec.from or spec.to"
        status = s.wait(lambda st: st["phase"] == "Blocked" and why in st.get("message", ""), 10, "it to be blocked")
        assert status["weight"] == 0
