"""Watched files beside the API: an object follows its own text in the files, and nothing else does anything to it."""

import collections
import json
import os
import subprocess

import pytest
import rig
from crossing_rig import BACKENDS, GATEWAYS, Service, backend, route

ROUTE = f"{GATEWAYS}/httproutes/shop"


@pytest.fixture
def shop(up):
    s = Service(up, "shop")
    rig.wait_for(lambda: side(up) == "old", 20, "the service on its old side")
    yield s
    s.close()


def side(up):
    r = rig.ask(up.port, host="shop.test")
    return r.body.decode().strip() if r.status == 200 else None


def get(up, path):
    """The object, or None; waits for whoever is to answer."""

    def asked():
        try:
            code, doc = up.api("GET", path)
        except OSError:
            return None
        return (doc if code == 200 else {}) if code in (200, 404) else None

    return rig.wait_for(lambda: asked() is not None and [asked()], 10, "an answer of the API")[0] or None


def put(up, path, change):
    """As another writer of the API does: read, change, write; again on a conflict with a status that was written meanwhile."""

    def done():
        doc = get(up, path)
        change(doc)
        code, said = up.api("PUT", path, doc)
        assert code in (200, 409), said
        return code == 200

    rig.wait_for(done, 10, "the change to be taken")


def restart_control(up):
    """SIGKILL; until the next one has read the files."""
    before = up.kill("control")
    rig.wait_for(lambda: up.pid("control") not in (None, before), 10, "a new control")
    up.wait_ready()


def change_another(up, port):
    """Until a reading is in force that has another object changed in another file."""
    up.write("another.yaml", backend("another", port))
    rig.wait_for(lambda: port_of(up, "another") == port, 15, "the other file to be read")


def port_of(up, name):
    doc = get(up, f"{BACKENDS}/{name}")
    return doc["spec"]["endpoints"][0]["port"] if doc else None


def told(up):
    """About whom it was said that a file undid what came through the API, and how often."""
    n = collections.Counter()
    for e in up.events("Overwritten"):
        n[e["involvedObject"]["kind"], e["involvedObject"]["name"]] += e["count"]
    return dict(n)


def backend_of(up):
    return get(up, ROUTE)["spec"]["rules"][0]["backendRefs"][0]["name"]


def test_a_change_through_the_api_stays_until_its_own_file_changes(up, shop):
    def to_new(doc):
        doc["spec"]["rules"][0]["backendRefs"][0]["name"] = "shop-new"

    put(up, ROUTE, to_new)
    rig.wait_for(lambda: side(up) == "new", 10, "the new side")
    restart_control(up)
    assert backend_of(up) == "shop-new" and side(up) == "new"
    change_another(up, 1001)
    assert backend_of(up) == "shop-new" and side(up) == "new"
    # A word beside it is no change of it.
    up.write("shop.yaml", "# a word", *shop.docs)
    change_another(up, 1002)
    restart_control(up)
    assert backend_of(up) == "shop-new" and side(up) == "new" and told(up) == {}
    changed = route("shop", "shop-old")
    changed["spec"]["hostnames"].append("shop2.test")
    up.write("shop.yaml", *[d if d["kind"] != "HTTPRoute" else changed for d in shop.docs])
    rig.wait_for(lambda: side(up) == "old", 15, "the old side, as the file says")
    rig.wait_for(lambda: told(up) == {("HTTPRoute", "shop"): 1}, 10, "an event about the route")
    assert up.errors().count("HTTPRoute default/shop: Overwritten: its file has changed") == 1
    restart_control(up)
    assert backend_of(up) == "shop-old" and told(up) == {("HTTPRoute", "shop"): 1}


def test_what_was_deleted_through_the_api_stays_deleted_until_its_own_file_changes(up):
    up.write("spare.yaml", backend("spare", 2001))
    rig.wait_for(lambda: port_of(up, "spare") == 2001, 15, "the Backend of the file")
    assert up.api("DELETE", f"{BACKENDS}/spare")[0] == 200
    restart_control(up)
    assert port_of(up, "spare") is None
    change_another(up, 1001)
    assert port_of(up, "spare") is None
    up.write("spare.yaml", "# a word", backend("spare", 2001))
    change_another(up, 1002)
    assert port_of(up, "spare") is None
    up.write("spare.yaml", backend("spare", 2002))
    rig.wait_for(lambda: port_of(up, "spare") == 2002, 15, "it to be made again")
    rig.wait_for(lambda: told(up) == {("Backend", "spare"): 1}, 10, "an event about it")


def test_after_a_lost_store_all_is_as_the_files_say(up):
    up.write("spare.yaml", backend("spare", 2001))
    up.write("gone.yaml", backend("gone", 3001))
    rig.wait_for(lambda: port_of(up, "spare") == 2001 and port_of(up, "gone") == 3001, 15, "the Backends of the files")
    put(up, f"{BACKENDS}/spare", lambda doc: doc["spec"]["endpoints"][0].update(port=7777))
    assert up.api("DELETE", f"{BACKENDS}/gone")[0] == 200
    restart_control(up)
    assert port_of(up, "spare") == 7777 and port_of(up, "gone") is None
    up.lose_store()
    up.wait_ready()
    assert port_of(up, "spare") == 2001 and port_of(up, "gone") == 3001 and told(up) == {}


def cli(up, *words, stdin=""):
    """What it warned of."""
    done = subprocess.run([rig.binary(), *words, "--state-dir", str(up.state)], input=stdin, capture_output=True, text=True,
                          timeout=60, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_what_the_cli_warns_of_is_what_happens(up):
    comes = ("warning: Backend/spare comes from a file that watari follows: change it there too, or the next change of it there "
             "takes this one back\n")  # fmt: skip
    came = ("warning: Backend/spare came from a file that watari follows: take it out there too, or the next change of it there "
            "makes it again\n")  # fmt: skip
    up.write("spare.yaml", backend("spare", 2001))
    rig.wait_for(lambda: port_of(up, "spare") == 2001, 15, "the Backend of the file")
    assert cli(up, "apply", "-f", "-", stdin=json.dumps(backend("spare", 7777))) == comes
    assert port_of(up, "spare") == 7777
    up.write("spare.yaml", backend("spare", 2002))
    rig.wait_for(lambda: port_of(up, "spare") == 2002, 15, "the change to be taken back")
    assert cli(up, "delete", "backend", "spare") == came
    assert port_of(up, "spare") is None
    up.write("spare.yaml", backend("spare", 2003))
    rig.wait_for(lambda: port_of(up, "spare") == 2003, 15, "it to be made again")
    # Changed there too, nothing is taken back; the same of one that is taken out.
    cli(up, "apply", "-f", "-", stdin=json.dumps(backend("spare", 2004)))
    up.write("spare.yaml", backend("spare", 2004))
    change_another(up, 1001)
    cli(up, "delete", "backend", "spare")
    up.remove("spare.yaml")
    change_another(up, 1002)
    assert port_of(up, "spare") is None and told(up) == {("Backend", "spare"): 2}
