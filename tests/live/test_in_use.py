"""What users depend on does not go: the Migration while the routes do not say what it says, and the Backends of its sides."""

import contextlib
import time

import rig
from crossing_rig import BACKENDS, GATEWAYS, MIGRATIONS, Load, Service, backend, route


def told(up, reason, text):
    return rig.wait_for(lambda: [e for e in up.events(reason) if text in e["message"]], 10, f"an event {reason}: {text}")


def complete(up, s, name):
    """All users are on the new side, and the route names it."""
    up.wait_status(name, lambda st: st["weight"] == 100, 10, "all users on the new side")
    rig.wait_for(lambda: up.in_force(name, 100), 5, "the proxy to run it")
    s.point_route("new")
    up.wait_status(name, lambda st: st["phase"] == "Completed", 10, "the end")


def is_kept(up, name):
    doc = up.migration(name)
    return doc and "watari.dev/share" in doc["metadata"].get("finalizers", [])


def only_new(load):
    """A hundred requests from now on are answered by the new side."""
    begun = time.monotonic()
    rig.wait_for(lambda: len(load.since(begun)) > 100, 15, "requests")
    assert {a.side for a in load.since(begun)} == {"new"}


def test_the_files_put_the_route_back_and_drop_the_migration(up):
    with contextlib.closing(Service(up, "shop")) as s:
        s.migrate([{"setWeight": 100}, {"retire": {"after": "0s"}}])
        complete(up, s, "shop")
        with Load(up.port, "shop.test", 40, threads=2, rate=100) as load:
            only_new(load)
            s.point_route("old")
            status = s.wait(lambda st: st["phase"] == "Retiring", 10, "it to be open again")
            assert "watari migrate finish shop" in status["message"] and status["weight"] == 100
            told(up, "Reopened", "name the old side again")
            rig.wait_for(lambda: is_kept(up, "shop"), 5, "the finalizer")
            s.old.close()  # it is retired: nobody needs it
            up.remove("shop-migration.yaml")
            told(up, "Kept", "Migration/default/shop")
            assert not up.migration("shop")["metadata"].get("deletionTimestamp")
            only_new(load)
            s.point_route("new")
            rig.wait_for(lambda: up.migration("shop") is None, 15, "it to go")
            only_new(load)
        assert not load.lost() and not load.bad()


def test_a_deletion_right_after_the_route_was_put_back_waits(up):
    with contextlib.closing(Service(up, "shop")) as s:
        rig.wait_for(lambda: rig.ask(up.port, host="shop.test").status == 200, 10, "it to be served")
        spec = {"routeRefs": [{"kind": "HTTPRoute", "name": "shop"}], "from": rig.ref("shop-old"), "to": rig.ref("shop-new"),
                "state": "Shared", "userKey": {"cookie": "sid"}, "steps": [{"setWeight": 100}, {"finish": {}}]}  # fmt: skip
        doc = {"apiVersion": rig.WATARI_API, "kind": "Migration", "metadata": {"name": "shop"}, "spec": spec}
        assert up.api("POST", MIGRATIONS, doc)[0] == 201
        complete(up, s, "shop")
        with Load(up.port, "shop.test", 40, threads=2, rate=100) as load:
            only_new(load)
            s.old.close()
            assert up.api("PUT", f"{GATEWAYS}/httproutes/shop", route("shop", "shop-old"))[0] == 200
            code, last = up.api("DELETE", f"{MIGRATIONS}/shop")
            assert code == 200 and last["metadata"]["finalizers"] == ["watari.dev/share"]
            assert "deletion waits" in s.wait(lambda st: "deletion" in st["message"], 10)["message"]
            only_new(load)
            assert up.api("PUT", f"{GATEWAYS}/httproutes/shop", route("shop", "shop-new"))[0] == 200
            rig.wait_for(lambda: up.migration("shop") is None, 10, "it to go")
            only_new(load)
        assert not load.lost() and not load.bad()


def test_the_backends_of_a_crossing_stay(up):
    with contextlib.closing(Service(up, "shop")) as s:
        s.migrate([{"setWeight": 50}, {"pause": {}}])
        s.wait_in_force(50)
        with Load(up.port, "shop.test", 40, threads=2, rate=100) as load:
            before = load.cohort(users=40)
            for side in ("old", "new"):
                code, said = up.api("DELETE", f"{BACKENDS}/shop-{side}")
                assert code == 409 and said["reason"] == "Conflict", said
                assert "Migration shop" in said["message"] and "watari migrate abort shop" in said["message"]
            up.write("shop.yaml", route("shop", "shop-old"))
            told(up, "Kept", "Backend/default/shop-old")
            assert load.cohort(users=40) == before
            s.say("abort")
            rig.wait_for(lambda: up.api("GET", f"{BACKENDS}/shop-new")[0] == 404, 15, "the new side's to go")
            rig.wait_for(lambda: not load.cohort(users=40), 10, "users to be back")
            assert up.api("GET", f"{BACKENDS}/shop-old")[0] == 200  # its route names it, and its users are there
        assert not load.lost() and not load.bad()


def test_backends_go_once_nobody_needs_them(up):
    with contextlib.closing(Service(up, "shop")) as s:
        s.migrate([{"setWeight": 100}, {"retire": {"after": "0s"}}])
        s.wait_in_force(100)
        code, said = up.api("DELETE", f"{BACKENDS}/shop-old")
        assert code == 409 and "watari migrate finish --apply shop" in said["message"]
        with Load(up.port, "shop.test", 40, threads=2, rate=100) as load:
            up.write("shop.yaml", backend("shop-new", s.new), route("shop", "shop-old"))
            told(up, "Kept", "Backend/default/shop-old")
            only_new(load)
            up.write("shop.yaml", backend("shop-new", s.new), route("shop", "shop-new"))
            rig.wait_for(lambda: up.api("GET", f"{BACKENDS}/shop-old")[0] == 404, 15, "the old side's to go")
            s.wait(lambda st: st["phase"] == "Completed", 10, "the end")
            only_new(load)
        assert not load.lost() and not load.bad()
