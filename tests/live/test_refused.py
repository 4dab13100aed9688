"""What a proxy cannot or does not take is seen: in the log, in conditions and events, in `migrate status` and by who aborts."""

import contextlib
import http.client
import json
import socket
import sqlite3
import subprocess
import threading

import rig
from crossing_rig import GATEWAYS, Service, route, run_by_all

ROUTES, WEB = f"{GATEWAYS}/httproutes", f"{GATEWAYS}/gateways/web"
FIRST_HALF = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]


def sets(field, value="1"):
    return [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": field, "value": value}]}}]


def watari(*words):
    return subprocess.run([rig.binary(), *words], capture_output=True, text=True, timeout=60)


def migrate(up, *words):
    return watari("migrate", *words, "--state-dir", str(up.state))


def conditions(of):
    return {c["type"]: c for c in of.get("conditions", [])}


def sides(port, host, users=40):
    return {rig.ask(port, host=host, fields=[f"Cookie: sid=u{n}"]).body for n in range(users)}


def accepted(up, name):
    parents = up.api("GET", f"{ROUTES}/{name}")[1].get("status", {}).get("parents", [{}])
    return conditions(parents[0]).get("Accepted", {})


def halfway(up):
    s = Service(up, "shop")
    rig.wait_for(lambda: rig.ask(up.port, host="shop.test").status == 200, 10, "shop to be served")
    s.migrate(FIRST_HALF).wait_in_force(50)
    assert len(sides(up.port, "shop.test")) == 2
    return s


def test_reserved_fields_are_refused_before_they_are_stored(up):
    s = Service(up, "shop")
    try:
        rig.wait_for(lambda: rig.ask(up.port, host="shop.test").status == 200, 10, "shop to be served")
        file = up.directory / "route.yaml"
        for name in ("Content-Length", "connection"):
            file.write_text(json.dumps(route("odd", "shop-old", sets(name))))
            for words in (["validate"], ["apply", "--state-dir", str(up.state)]):
                done = watari(*words, "-f", str(file))
                assert done.returncode != 0 and "the proxy alone sets it" in done.stderr, done
            assert up.api("POST", ROUTES, json.loads(file.read_text()))[0] == 422
        assert up.api("GET", f"{ROUTES}/odd")[0] == 404
    finally:
        s.close()


def test_host_that_is_set_reaches_the_backend(world):
    origin = world.origin("one")
    site = rig.Site().backend("one", origin).route("one", [{"backendRefs": [rig.ref("one")], "filters": sets("Host", "in.example:81")}])
    assert world.proxy(site).ask(host="one.test").seen("host") == ["in.example:81"]


def tamper(up, name, old, new):
    """Into the store past the API, as a control of another release may have written it; all is stopped meanwhile."""
    up.process.terminate()
    up.process.wait(60)
    (path,) = up.state.rglob("control.db")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        rv = db.execute("SELECT max(rv) FROM objects").fetchone()[0] + 100
        text = db.execute("SELECT doc FROM objects WHERE name = ? AND kind = 'HTTPRoute'", [name]).fetchone()[0]
        doc = json.loads(text.replace(f'"{old}"', f'"{new}"'))
        doc["metadata"]["resourceVersion"] = str(rv)
        changed = db.execute("UPDATE objects SET doc = ?, rv = ? WHERE name = ? AND kind = 'HTTPRoute'", [json.dumps(doc), rv, name])
        assert changed.rowcount == 1
        db.execute("UPDATE kv SET value = ? WHERE key = 'rv'", [str(rv)])
    up.start().wait_ready()


def test_an_abort_comes_through_beside_a_route_that_does_not_compile(up):
    s = halfway(up)
    try:
        assert up.api("POST", ROUTES, route("odd", "shop-old", sets("X-Odd")))[0] == 201
        rig.wait_for(lambda: rig.ask(up.port, host="odd.test").status == 200, 10, "odd to be served")
        kept = lambda: any(b"X-Odd" in f.read_bytes() for f in up.state.rglob("snapshot"))  # noqa: E731
        rig.wait_for(kept, 10, "the proxy to have odd on its disk")
        tamper(up, "odd", "X-Odd", "Content-Length")
        named = "HTTPRoute/default/odd is not taken"
        rig.wait_for(lambda: named in up.errors(), 15, "the log to name it: " + up.tail())
        assert rig.ask(up.port, host="odd.test").status == 200  # as before
        rig.wait_for(lambda: accepted(up, "odd").get("status") == "False", 15, "the condition")
        condition = accepted(up, "odd")
        assert condition["reason"] == "UnsupportedValue" and '"Content-Length"' in condition["message"], condition
        (event,) = up.events("NotTaken")
        assert event["involvedObject"]["name"] == "odd" and "what it said before stays" in event["message"]
        done = migrate(up, "abort", "shop")
        assert done.returncode == 0, done
        assert sides(up.port, "shop.test") == {b"old\n"}
        assert "1 of 1 run this step" in migrate(up, "status", "shop").stdout
        fixed = up.api("GET", f"{ROUTES}/odd")[1]
        fixed["spec"]["rules"][0]["filters"] = sets("X-Odd")
        assert up.api("PUT", f"{ROUTES}/odd", fixed)[0] == 200
        rig.wait_for(lambda: accepted(up, "odd").get("status") == "True", 15, "the condition to go")
    finally:
        s.close()


class Reporter(threading.Thread):
    """A proxy that reports, and takes nothing."""

    def __init__(self, up, name, **report):
        super().__init__(daemon=True)
        (self.path,) = up.state.rglob("api.sock")
        self.report = {"proxy": name, "boot": "1", "waitMs": 100, "have": 1, "ack": {"version": 1}, "listeners": [], **report}
        self.ended, self.store = threading.Event(), ""
        self.start()

    def run(self):
        while not self.ended.is_set():
            c = http.client.HTTPConnection("control")
            c.sock = socket.socket(socket.AF_UNIX)
            c.sock.settimeout(5)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(c):
                c.sock.connect(str(self.path))
                c.request("POST", "/watari.dev/sync/v1", json.dumps({**self.report, "store": self.store}))
                self.store = json.loads(c.getresponse().read())["store"]
            self.ended.wait(0.1)

    def close(self):
        self.ended.set()
        self.join(10)


def test_an_abort_that_a_proxy_has_not_taken_up_is_not_done(up):
    s = halfway(up)
    try:
        doc = up.migration("shop")
        runs = {k: doc["status"][k] for k in ("epoch", "step", "tableVersion")}
        stays = {"uid": doc["metadata"]["uid"], "namespace": "default", "name": "shop", "weight": 50, **runs}
        other = Reporter(up, "other", migrations=[stays], rejected={"version": 9, "message": "no room"})
        try:
            refusing = lambda st: [p.get("refused") for p in st["proxies"] if p["name"] == "other"] == ["no room"]  # noqa: E731
            s.wait(lambda st: len(st["proxies"]) == 2 and run_by_all(st) and refusing(st), what="the other proxy")
            assert "2 of 2 run this step" in migrate(up, "status", "shop").stdout
            done = migrate(up, "abort", "shop", "--wait", "5s")
            assert done.returncode == 1 and not done.stdout, done
            assert "proxy other does not run it (no room): its users are where they were" in done.stderr
            told = migrate(up, "status", "shop").stdout
            assert "1 of 2 run this step" in told and "other does not: it runs snapshot 1, attempt 1, table 1 of 2; no room" in told, told
            programmed = lambda: conditions(up.api("GET", WEB)[1]["status"])["Programmed"]  # noqa: E731
            rig.wait_for(lambda: programmed()["message"] == "proxy other refuses the snapshot: no room", 10, "the Gateway to tell it")
            assert programmed()["status"] == "False"
            assert [e["involvedObject"]["kind"] for e in up.events("NotTaken")] == ["Gateway"]
        finally:
            other.close()
        rig.wait_for(lambda: programmed()["status"] == "True", 20, "the Gateway to be programmed without it")
    finally:
        s.close()
