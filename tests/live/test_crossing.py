"""The crossing from end to end: `watari up`, users under load, steps, the guard, verbs, kills, files, a full disk."""

import concurrent.futures
import contextlib
import itertools
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import rig
from crossing_rig import BACKENDS, GATEWAYS, MIGRATIONS, Load, Service, Up, backend, route, standing_alone, within


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    u = Up(tmp_path_factory.mktemp("up")).start()
    yield u.wait_ready()
    u.close()


@pytest.fixture
def serve(up):
    """serve(NAME) makes a Service in the shared Up and waits until it is served."""
    made = []

    def make(name, **more):
        s = Service(up, name, **more)
        made.append(s)
        rig.wait_for(lambda: rig.ask(up.port, host=f"{name}.test").status == 200, 10, f"{name} to be served")
        return s

    yield make
    for s in made:
        for file in (f"{s.name}-migration.yaml", f"{s.name}.yaml"):
            with contextlib.suppress(FileNotFoundError):
                up.remove(file)
        s.close()


class Watch(threading.Thread):
    """Notes each change of weight, as the API tells it."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.service, self.stopping, self.notes = service, False, []

    def run(self):
        while not self.stopping:
            s = self.service.status()
            key = (s.get("epoch"), s.get("step"), s.get("weight"), s.get("phase"))
            if s and (not self.notes or self.notes[-1][1] != key):
                self.notes.append((time.monotonic(), key))
            time.sleep(0.03)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join(5)


def weights_told(up, name):
    """Of a Migration, in the order in which they came into force."""
    of_it = [e for e in up.events("WeightSet") if e["involvedObject"]["name"] == name]
    of_it.sort(key=lambda e: int(e["metadata"]["resourceVersion"]))
    return [e["message"].partition(" of users")[0] for e in of_it]


# ---- the whole of it ----


def test_the_whole_crossing(up, serve):
    users = 300
    shop = serve("shop")
    steps = [{"setWeight": 1}, {"pause": {"duration": "1s"}}, {"setWeight": 10}, {"pause": {"duration": "1200ms"}},
             {"setWeight": 50}, {"pause": {"duration": "1200ms"}}, {"setWeight": 100}, {"retire": {}}, {"finish": {}}]  # fmt: skip
    with Load(up.port, "shop.test", users, rate=320, anonymous=True) as load:
        assert not load.cohort(users=users)
        shop.migrate(steps)
        shop.wait_in_force(100, 20)
        last = time.monotonic()
        s = shop.wait(lambda s: s["phase"] == "Retiring", 5, "Retiring")
        assert "watari migrate finish shop" in s["message"]
        assert "watari.dev/share" in up.migration("shop")["metadata"]["finalizers"]
        assert load.cohort(users=users) == set(range(users))

        shop.point_route("new")
        shop.wait(lambda s: s["phase"] == "Completed", 5, "Completed")
        assert not up.migration("shop")["metadata"].get("finalizers")
        up.remove("shop-migration.yaml")
        rig.wait_for(lambda: up.migration("shop") is None, 5, "the object to go")
        gone = time.monotonic()
        rig.wait_for(lambda: len(load.since(gone)) > 100, 5, "requests after the end")

    assert not load.lost() and not load.bad(), (load.lost()[:5], load.bad()[:5])
    assert not load.strays()
    assert {a.side for a in load.since(last)} == {"new"}
    assert weights_told(up, "shop") == ["1 %", "10 %", "50 %", "100 %"]
    # What ran at which step, the log says: the proxy is at the next one before the status tells of it.
    step_of = {e["path"]: e["step"] for e in up.log("shop.test")}
    for weight, at in (1, (0, 1)), (10, (2, 3)), (50, (4, 5)):
        answers = [a for a in load.since() if step_of.get(a.path) in at]
        seen = [a for a in answers if a.user is None]
        assert seen and within(sum(a.side == "new" for a in seen), len(seen), weight / 100), (weight, len(seen))
        cohort = {a.user: a.side for a in answers if a.user is not None}
        assert within(sum(v == "new" for v in cohort.values()), len(cohort), weight / 100), (weight, len(cohort))


# Those that stand alone begin here, beside what follows.
def test_deletion_waits_until_the_share_is_given_back(up, serve, alone):
    s = serve("leaving").migrate([{"setWeight": 50}, {"pause": {}}])
    with Load(up.port, "leaving.test", 60, threads=2, rate=80) as load:
        s.wait_in_force(50)
        before = load.cohort(users=60)
        up.remove("leaving-migration.yaml")
        rig.wait_for(lambda: [e for e in up.events("Kept") if "default/leaving" in e["message"]], 10, "it to be kept")
        assert not up.migration("leaving")["metadata"].get("deletionTimestamp")
        assert up.api("DELETE", f"{MIGRATIONS}/leaving")[0] == 200
        rig.wait_for(lambda: (up.migration("leaving") or {}).get("metadata", {}).get("deletionTimestamp"), 5, "deletion")
        assert "deletion waits" in s.wait(lambda st: "deletion" in st["message"], 3)["message"]
        assert load.cohort(users=60) == before  # nobody moves because a file went
        up.ask_for("leaving", "abort", wait=False)
        rig.wait_for(lambda: up.migration("leaving") is None, 5, "the object to go")
        rig.wait_for(lambda: not load.cohort(users=60), 5, "users to be back")
    assert not load.lost()


# ---- the guard ----

# What is slow is far from what a busy machine is; with it go as many threads as keep the load up.
FAULTS = {"errors": (dict(status=500), {}, 6), "slowness": (dict(delay_s=1.5), {"slowerThan": "1s"}, 12)}


def lasted_s(load, begun, bad):
    """Until the last request with a bad answer; the guard's clock is requests, of which a busy machine sends fewer a second."""
    last = max(a.at for a in bad)
    return min(last - begun, load.seconds(begun, last))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_guard_takes_users_back_and_resume_brings_the_same_ones(up, serve, fault):
    users, (broken, guard, threads) = 300, FAULTS[fault]
    s = serve("guard-" + fault).migrate([{"setWeight": 20}, {"pause": {}}], guard=guard)
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(Load(up.port, f"guard-{fault}.test", users, threads, rate=250))
        s.wait_in_force(20)
        cohort = load.cohort(users=users)
        assert within(len(cohort), users, 0.2)
        starved = stack.enter_context(rig.Starved(up.pid("proxy")))
        begun = time.monotonic()
        s.new.break_(**broken)
        status = s.wait(lambda st: st["phase"] == "RolledBack", 8, "a rollback")
        settled = time.monotonic()  # control knows it from the proxy, which has acted before
        assert status["weight"] == 0 and status["stuck"] is False and status["epoch"] == 1
        assert status["verdict"]["cause"] == "Errors" and status["verdict"]["epoch"] == 1
        assert not load.cohort(users=users)  # their cookies say no longer where they belong
        # A busy machine makes the old side slow too.
        bad = load.bad(begun) + [a for a in load.bad(begun, slower_than=1) if a.side == "new"]
        lasted = lasted_s(load, begun, bad) if fault == "errors" else max(a.at for a in bad) - begun
        assert lasted <= 5 + starved.s(), bad[-1]
        s.new.break_()
        resumed = time.monotonic()
        assert s.say("resume")["result"] == "Done"
        status = s.wait_in_force(20)
        assert status["epoch"] == 2
        assert load.cohort(users=users) == cohort
    assert not load.lost()
    assert {a.side for a in load.since(settled) if a.at + a.took < resumed} == {"old"}
    assert not load.strays(back=[(begun, resumed)])


def test_on_trip_pause_holds_and_users_stay(up, serve):
    s = serve("held").migrate([{"setWeight": 30}, {"pause": {"duration": "60s"}}], guard={"onTrip": "Pause"})
    users = 150  # the guard needs some fifteen on the new side: never fewer by chance
    with Load(up.port, "held.test", users, threads=4, rate=200) as load:
        s.wait_in_force(30)
        cohort = load.cohort(users)
        s.new.break_(status=503)
        status = s.wait(lambda st: st["held"], 6, "being held")
        assert status["phase"] == "Paused" and status["weight"] == 30 and status["verdict"]["cause"] == "Errors"
        assert load.cohort(users) == cohort
        s.new.break_()
        assert s.say("resume")["result"] == "Done"
        status = s.wait(lambda st: st["epoch"] == 2, 3)
        assert status["weight"] == 30 and not status["held"]
        assert load.cohort(users) == cohort
    assert not load.lost() and not load.strays()


def test_separate_state_is_not_rolled_back(up, serve):
    s = serve("apart").migrate([{"setWeight": 30}, {"pause": {"duration": "60s"}}], state="Separate")
    users = 150  # as above
    with Load(up.port, "apart.test", users, threads=4, rate=200) as load:
        s.wait_in_force(30)
        cohort = load.cohort(users)
        s.new.break_(status=500)
        status = s.wait(lambda st: st["phase"] == "Blocked", 6, "Blocked")
        assert status["weight"] == 30 and "allowDataLoss" in status["message"]
        assert load.cohort(users) == cohort
        assert s.say("abort")["result"] == "Refused"
        s.new.break_()
        assert s.say("resume")["result"] == "Done"
        assert load.cohort(users) == cohort
    assert not load.lost() and not load.strays()


def wait_dead(up, name):
    """Until control has it from the proxy: a side that has answered users in the last three seconds is not dead."""
    rig.wait_for(lambda: re.search(f"default/{name}.* is unhealthy", up.errors()), 5, "the probes to see it")
    rig.wait_for(lambda: up.api("GET", f"{BACKENDS}/{name}")[1].get("status", {}).get("healthy") == 0, 10, "control to hear of it")


def test_no_way_back_to_a_dead_side(up, serve):
    s = serve("dead", checked=True).migrate([{"setWeight": 50}, {"pause": {}}])
    s.wait_in_force(50)
    s.old.close()
    wait_dead(up, "dead-old")
    last = s.say("abort")
    assert last["result"] == "Refused" and "no healthy endpoint" in last["message"]
    with Load(up.port, "dead.test", 40, threads=3, rate=100) as load:
        load.cohort(users=40)
        assert {a.side for a in load.since()} == {"new"}
        assert s.status()["weight"] == 50
        s.old.open()
        opened = time.monotonic()
        rig.wait_for(lambda: {"old", "new"} == set(load.sides(opened).values()), 5, "its users to be back")
        # the proxy knows first, control after the report
        rig.wait_for(lambda: s.say("abort")["result"] == "Done", 3, "control to have heard of it")
        s.wait(lambda st: st["phase"] == "RolledBack", 6, "the rollback")
        rig.wait_for(lambda: not load.cohort(users=40), 5, "users to be back")
    assert not load.lost()


@pytest.mark.parametrize("steps", [[100], [40, 100]], ids=["at once", "after a step"])
def test_back_from_a_new_side_alone(up, serve, steps):
    """At 100 % nobody is left to compare with, and long good times must not hide what comes then."""
    name, users = f"late{len(steps)}", 60
    s = serve(name)
    with Load(up.port, f"{name}.test", users, rate=130) as load:
        s.migrate([x for w in steps for x in ({"setWeight": w}, {"pause": {"duration": "2s"}})])
        s.wait_in_force(100, 20)
        started = time.monotonic()
        rig.wait_for(lambda: len(load.since(started)) >= 10 * users, 30, "many good answers")
        assert load.cohort(users=users) == set(range(users)) and not load.bad()
        with rig.Starved(up.pid("proxy")) as starved:
            broken = time.monotonic()
            s.new.break_(status=500)
            status = s.wait(lambda st: st["phase"] == "RolledBack", 12, "a rollback")
            assert status["weight"] == 0 and status["verdict"]["cause"] == "Errors"
            assert not load.cohort(users=users)
            bad = load.bad(broken)
            assert lasted_s(load, broken, bad) <= 6 + starved.s(), (len(bad), bad[-1])
        assert max(a.at for a in bad) - min(a.at for a in bad) >= 1, (bad[0], bad[-1])  # a hiccup is no verdict
    assert not load.lost()


def test_no_way_back_from_alone_to_a_dead_side(up, serve):
    s = serve("alone-dead", checked=True).migrate([{"setWeight": 100}, {"pause": {}}])
    with Load(up.port, "alone-dead.test", 40, threads=3, rate=100) as load:
        s.wait_in_force(100)
        s.old.close()
        wait_dead(up, "alone-dead-old")
        s.new.break_(status=500)
        status = s.wait(lambda st: st["phase"] == "Blocked", 12, "Blocked")
        assert status["weight"] == 100 and "no healthy endpoint" in status["message"]
        assert load.cohort(users=40) == set(range(40))
        assert not load.lost()
        s.old.open()
        s.wait(lambda st: st["phase"] == "RolledBack", 8, "the rollback")
        rig.wait_for(lambda: not load.cohort(users=40), 5, "users to be back")
    assert not load.lost()


def test_without_traffic_it_waits_and_promote_overrides(up, serve):
    s = serve("silent").migrate([{"setWeight": 10}, {"pause": {"duration": "200ms"}}, {"setWeight": 60}, {"pause": {}}])
    s.wait(lambda st: st["phase"] == "Inconclusive", 6)
    time.sleep(0.6)  # thrice the pause: it stays where it is
    status = s.status()
    assert status["phase"] == "Inconclusive" and status["weight"] == 10
    assert s.say("promote")["result"] == "Done"
    s.wait(lambda st: st["weight"] == 60, 3)


# ---- verbs ----


def test_verbs(up, serve):
    s = serve("verbs").migrate([{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 100}])
    s.wait_in_force(10)
    # verb, more, result, then: weight, held, epoch, phase
    table = [
        ("pause", {}, "Done", 10, True, 1, "Paused"),
        ("resume", {}, "Done", 10, False, 1, "Paused"),
        ("resume", {}, "Refused", 10, False, 1, "Paused"),
        ("promote", {"step": 0}, "Refused", 10, False, 1, "Paused"),
        ("promote", {}, "Done", 50, False, 1, "Paused"),
        ("setWeight", {"weight": 20}, "Done", 20, True, 2, "Paused"),
        ("undo", {}, "Done", 10, True, 3, "Paused"),
        ("finish", {}, "Refused", 10, True, 3, "Paused"),
        ("promoteFull", {}, "Done", 100, False, 3, "Retiring"),
        ("abort", {}, "Done", 0, False, 3, "RolledBack"),
        ("undo", {}, "Refused", 0, False, 3, "RolledBack"),
        ("resume", {}, "Done", 10, False, 4, "Paused"),
    ]
    for verb, more, result, weight, held, epoch, phase in table:
        last = s.say(verb, **more)
        assert last["result"] == result, (verb, last)

        def is_so(st):
            return (st["weight"], st["held"], st["epoch"], st["phase"]) == (weight, held, epoch, phase)

        s.wait(is_so, 4, f"{verb}: weight {weight}, held {held}, epoch {epoch}, {phase}")


def test_of_two_at_once_one_is_told_to_look_again(up, serve):
    s = serve("two").migrate([{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 100}])
    s.wait_in_force(10)

    def promote(doc, i):
        mine = json.loads(json.dumps(doc))
        mine["status"]["request"] = {"id": f"p{i}", "verb": "promote"}
        return up.api("PUT", f"{MIGRATIONS}/two/status", mine)[0]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            doc = up.migration("two")
            codes = sorted(pool.map(promote, [doc, doc], range(2)))
            if codes != [409, 409]:  # control itself may write in between: both look again
                break
    assert codes == [200, 409]
    s.wait(lambda st: st["weight"] == 50 and st["lastRequest"]["id"] in ("p0", "p1"), 4)
    time.sleep(0.3)  # nobody is promoted twice
    assert s.status()["weight"] == 50


# ---- restarts ----


def lost_outside(load, excused):
    """Failed requests that did not run while a proxy was killed, and how many did, by kill: [(before it, after it)]."""
    out, counts = [], [0] * len(excused)
    for a in load.lost():
        hit = [i for i, (before, after) in enumerate(excused) if a.at <= after and before <= a.at + a.took]
        if hit:
            counts[hit[0]] += 1
        else:
            out.append(a)
    return out, counts


def table_on_disk(u):
    """Of the only Migration, as a proxy begins with it."""
    file = u.state / "proxy" / "snapshot"
    found = file.exists() and re.search(rb'"tableVersion":(\d+)', file.read_bytes())
    return int(found[1]) if found else 0


def run_kills(u, s, load, rng, n, most_s):
    """Kills in a seeded order while the steps go on; returns when proxies were killed: [(before it, after it)], and likewise when one
    may have begun with an older table, until it had the newest: a proxy writes a table down 0.2 s after it has it."""
    proxy_kills, behind, limit_s = [], [], back_within_s()
    whom = ["control", "supervisor", "proxy"]
    order = (whom * n)[:n]
    rng.shuffle(order)
    end = time.monotonic() + most_s
    for who in order:
        if time.monotonic() > end:
            break
        time.sleep(rng.uniform(0.1, 1.0))
        before, adopted = u.pid("proxy"), u.errors().count("adopted")
        written = table_on_disk(u)
        starved = rig.Starved(u.process.pid)
        at = time.monotonic()
        u.kill(who)
        dead = time.monotonic()
        if who == "supervisor":
            time.sleep(rng.uniform(0, 0.4))
            u.start()
            # Nobody is there to start a proxy before.
            rig.wait_for(lambda: u.errors().count("adopted") == adopted + 2, 5, "both to be adopted")
        elif who == "proxy":
            proxy_kills.append((at, dead))
            rig.wait_for(lambda: u.pid("proxy") not in (None, before), 5, "a new proxy")
            ok = rig.wait_for(lambda: [a for a in load.since(at + 0.005) if a.status == 200 and not a.why], 5, "an answer after the kill")
            back_s = min(a.at + a.took for a in ok) - at
            assert back_s < limit_s + starved.s(u.pid("proxy")), (back_s, ok[0])
            if s.wait(lambda st: st["tableVersion"])["tableVersion"] != written:
                rig.wait_for(lambda: table_on_disk(u) == s.status().get("tableVersion"), 5, "the newest table on disk")
                behind.append((at, time.monotonic()))
        else:
            rig.wait_for(lambda: s.status(), 5, "control to be back")
        starved.ended.set()
    return proxy_kills, behind


def back_within_s():
    """A build with sanitizers starts, and ends, at a third of the speed."""
    return 3.0 if b"__asan_init" in Path(rig.binary()).read_bytes() else 1.0


def kills(tmp_path, seed=20, n=10, most_s=14):
    rng = random.Random(seed)
    threads, users = 6, 120
    with standing_alone(tmp_path) as u:
        s = Service(u, "k")
        rig.wait_for(lambda: rig.ask(u.port, host="k.test").status == 200, 10, "k to be served")
        # No weight at which the new side may have no user by chance: without requests nothing goes on.
        steps = [{"setWeight": 20}, {"pause": {"duration": "2s"}}, {"setWeight": 35}, {"pause": {"duration": "2s"}},
                 {"setWeight": 50}, {"pause": {}}]  # fmt: skip
        with Load(u.port, "k.test", users, threads, rate=200) as load, Watch(s) as watch:
            s.migrate(steps)
            s.wait(lambda st: st["weight"] == 20, 8)
            kills, behind = run_kills(u, s, load, rng, n, most_s)
            s.wait_in_force(50, 15)
            cohort = load.cohort(users=users)

            # Control loses its store: what the proxy runs is taken over, nobody moves.
            u.lose_store()
            status = s.wait(lambda st: st["weight"] == 50, 8, "a status from the proxy")
            assert status["epoch"] == 1 and status["step"] >= 4
            assert load.cohort(users=users) == cohort
            rig.wait_for(lambda: u.events("StatusRestored"), 5, "the event")
        out, counts = lost_outside(load, kills)
        assert not out, (out[:5], len(out), kills)
        assert all(c <= threads for c in counts), counts
        assert not load.strays(back=behind) and not load.bad()
        marks = [(k[0], k[1], k[2]) for _, k in watch.notes if k[0]]
        assert marks == sorted(marks), marks  # a step once begun is never left backwards
        s.close()


def verdict(tmp_path):
    users = 150  # as above
    with standing_alone(tmp_path) as u:
        s = Service(u, "v").migrate([{"setWeight": 30}, {"pause": {"duration": "60s"}}])
        rig.wait_for(lambda: rig.ask(u.port, host="v.test").status == 200, 10, "v to be served")
        with Load(u.port, "v.test", users, 4, rate=200) as load:
            s.wait_in_force(30)
            cohort = load.cohort(users=users)
            assert cohort
            # Nobody is there to absorb it.
            u.kill("supervisor")
            u.kill("control")
            s.new.break_(status=500)
            rig.wait_for(lambda: not load.cohort(users=users), 6, "the proxy to act alone")
            settled = time.monotonic()
            verdicts = u.state / "proxy" / "verdicts.json"
            rig.wait_for(lambda: verdicts.exists() and json.loads(verdicts.read_text())["verdicts"], 3, "the verdict on disk")
            assert not load.lost()
            answered = s.new.answered
            # Now the proxy dies as well: what it decided is on its disk.
            os.kill(u.pid("proxy"), 9)
            u.start().wait_ready()
            restarted = time.monotonic()
            status = s.wait(lambda st: st["phase"] == "RolledBack", 8, "control to absorb it")
            assert status["epoch"] == 1 and status["weight"] == 0 and status["verdict"]["by"] == "proxy"
            # And without the store: from the proxy's report, then from what the snapshot told the proxy.
            for _ in range(2):
                u.lose_store()
                status = s.wait(lambda st: st["phase"] == "RolledBack", 8, "the verdict from the proxy")
                assert status["epoch"] == 1 and status["weight"] == 0
            before = u.kill("proxy")
            rig.wait_for(lambda: u.pid("proxy") not in (None, before), 5, "a new proxy")
            load.cohort(users=users)
            assert s.new.answered == answered  # not one request since the proxy's own verdict
            s.new.break_()
            assert s.say("resume")["result"] == "Done"
            assert s.wait_in_force(30)["epoch"] == 2
            assert load.cohort(users=users) == cohort
            # What a user decided is kept as well.
            assert s.say("abort")["result"] == "Done"
            s.wait(lambda st: st["phase"] == "RolledBack", 4)
            rig.wait_for(lambda: u.in_force("v", 0), 5, "the proxy to know")
            u.lose_store()
            status = s.wait(lambda st: st["phase"] == "RolledBack", 8, "the abort from the proxy")
            assert status["epoch"] == 2 and status["verdict"]["cause"] == "Abort"
        assert not {a for a in load.since(settled, restarted) if a.side == "new"}
        s.close()


# ---- files ----


def test_a_bad_file_changes_nothing(up, serve, binary):
    s = serve("files")
    good = (up.files / "files.yaml").read_text()
    bad = good.replace('"backendRefs"', '"backendRfs"')
    assert bad != good
    before = up.api("GET", f"{GATEWAYS}/httproutes/files")[1]
    up.write("files.yaml", bad)
    event = rig.wait_for(lambda: [e for e in up.events("Rejected") if "files.yaml" in e["message"]], 5, "an event")[0]
    told = subprocess.run([binary, "validate", str(up.files)], capture_output=True, text=True, timeout=20)
    sentence = (told.stdout + told.stderr).strip()
    assert told.returncode != 0
    for text in (event["message"], sentence):
        assert "files.yaml" in text and "backendRfs" in text and "did you mean" in text, text
    assert rig.ask(up.port, host="files.test").status == 200
    after = up.api("GET", f"{GATEWAYS}/httproutes/files")[1]  # its status may have been written meanwhile
    assert after["spec"] == before["spec"] and after["metadata"]["generation"] == before["metadata"]["generation"]
    # A good change beside it waits as well: all or nothing.
    up.write("other.yaml", route("other", "files-old"))
    time.sleep(0.5)  # five times the span in which control gathers changes: nothing comes of it
    assert rig.ask(up.port, host="other.test").status == 404
    up.write("files.yaml", good)
    rig.wait_for(lambda: rig.ask(up.port, host="other.test").status == 200, 5, "both")
    up.remove("other.yaml")
    rig.wait_for(lambda: rig.ask(up.port, host="other.test").status == 404, 6, "the route to go")
    assert s.old.answered


def test_swaps_under_load_fail_no_request(up, serve):
    s = serve("swap")
    s.docs.append({"apiVersion": rig.WATARI_API, "kind": "BackendTrafficPolicy", "metadata": {"name": "swap"},
                   "spec": {"targetRefs": [rig.ref("swap-old"), rig.ref("swap-new")],
                            "timeout": {"http": {"requestTimeout": "120s"}}}})  # fmt: skip
    up.write("swap.yaml", *s.docs)
    s.migrate([{"setWeight": 50}, {"pause": {}}])
    s.wait_in_force(50)
    base, swapped = list(s.docs), itertools.count()

    def swap():
        i = next(swapped)
        header = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-turn", "value": str(i)}]}}
        docs = [d if d["kind"] != "HTTPRoute" else route("swap", "swap-old", [header]) for d in base]
        docs.append(backend(f"swap-{i % 2}", s.old))
        docs.append(route(f"swap-{i % 2}", f"swap-{i % 2}"))
        up.write("swap.yaml", *docs)
        time.sleep(0.06)  # the rate of the changes: control gathers what changes within 100 ms
        return i

    with Load(up.port, "swap.test", 60, 4, rate=250) as load, contextlib.closing(socket.create_connection((rig.HOST, up.port), 60)) as slow:
        # A request that began before the swaps is counted until it ends.
        slow.sendall(b"GET /held HTTP/1.1\r\nHost: swap.test\r\nCookie: sid=slow\r\n\r\n")
        rig.wait_for(lambda: s.old.waiting + s.new.waiting, 5, "the slow request at its side")
        before = up.stats()["snapshot.version"]
        rig.wait_for(lambda: swap() >= 49 and up.stats()["snapshot.version"] - before >= 20, 10, "twenty swaps")
        last = next(swapped) - 1
        rig.wait_for(lambda: rig.ask(up.port, host="swap.test").get("x-turn") == str(last), 5, "the last one in force")
        s.wait(lambda st: st["proxies"][0]["inFlightOlder"] >= 1, 4, "the slow request to be on an older version")
        s.old.go_on.set()
        s.new.go_on.set()
        assert b" 200 " in slow.recv(65536)
        s.wait(lambda st: st["proxies"][0]["inFlightOlder"] == 0, 4, "nothing on older versions")
    assert not load.lost() and not load.bad(), (load.lost()[:3], load.bad()[:3])
    assert not load.strays()


# ---- a full disk ----


@contextlib.contextmanager
def tiny_disk(tmp_path):
    path = tmp_path / "tiny"
    path.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")
    try:
        yield path
    finally:
        # The last child may still be closing its files.
        if not any(subprocess.run(["umount", path], capture_output=True).returncode == 0 or time.sleep(0.1) for _ in range(30)):
            subprocess.run(["umount", "-l", path])


def fill(path):
    """What became free since is filled, too."""
    with open(path, "ab", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 65536)
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 512)


def full_disk(tmp_path):
    with tiny_disk(tmp_path) as tiny, standing_alone(tmp_path / "home", state=tiny / "state") as u:
        s = Service(u, "d").migrate([{"setWeight": 30}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}])
        rig.wait_for(lambda: rig.ask(u.port, host="d.test").status == 200, 10, "d to be served")
        users = 150  # as above
        with Load(u.port, "d.test", users, 4, rate=200) as load:
            s.wait_in_force(30)
            cohort = load.cohort(users)
            is_full = lambda: fill(tiny / "ballast") or re.search("reconcile .*: the disk is full", u.errors())  # noqa: E731
            rig.wait_for(is_full, 5, "control's own writes to fail")
            doc = u.migration("d")
            asked = json.loads(json.dumps(doc))
            asked["status"]["request"] = {"id": "full", "verb": "promote"}
            code, said = u.api("PUT", f"{MIGRATIONS}/d/status", asked)
            assert code == 503 and said["reason"] == "ServiceUnavailable", (code, said)
            assert said["message"] == "state store: the disk is full: nothing was changed"
            assert u.migration("d") == doc
            assert u.api("GET", f"{GATEWAYS}/httproutes")[0] == 200
            # The proxy's verdict needs no disk.
            s.new.break_(status=500)
            rig.wait_for(lambda: not load.cohort(users), 8, "users to be taken back")
            s.new.break_()
            (tiny / "ballast").unlink()
            s.wait(lambda st: st["phase"] == "RolledBack", 12, "control to write again")
            assert s.say("resume")["result"] == "Done"
            s.wait_in_force(30)
            assert load.cohort(users) == cohort
        assert not load.lost()
        s.close()


# ---- those that stand alone, side by side: they mostly wait ----

ALONE = {"kills cost nothing but a proxy's own requests": kills, "a verdict outlives everybody": verdict,
         "a full disk stops no request": full_disk}  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with concurrent.futures.ThreadPoolExecutor(len(ALONE)) as pool:
        yield {name: pool.submit(run, tmp_path_factory.mktemp("alone")) for name, run in ALONE.items()}


@pytest.mark.parametrize("what", ALONE)
def test_alone(alone, what):
    alone[what].result(500)


def test_a_file_written_slowly_and_a_directory_replaced_lose_nothing(tmp_path):
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(standing_alone(tmp_path / "up", remove_after_s=4))
        s = stack.enter_context(contextlib.closing(Service(up, "slow")))
        served = lambda: rig.ask(up.port, host="slow.test").status == 200  # noqa: E731
        rig.wait_for(served, 10, "the service")

        # In pieces a second apart: the last document is away for longer than --remove-after, and no pause is as long.
        text = (up.files / "slow.yaml").read_text()
        pieces = [p for doc in text.split("\n---\n") for p in ("# more to come\n", doc + "\n---\n")]
        with open(up.files / "slow.yaml", "w") as f:
            for k, piece in enumerate(pieces):
                f.write(piece)
                f.flush()
                up.write("beside.yaml", backend(f"beside-{k}", s.old))  # makes control read
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    assert served(), k
                    time.sleep(0.05)

        away = up.files.rename(up.files.parent / "away")
        time.sleep(0.3)  # control reads meanwhile: there is no directory
        up.files.mkdir()
        for file in sorted(away.iterdir()):
            up.write(file.name, file.read_text())
        up.write("late.yaml", route("late", "slow-old"))
        rig.wait_for(lambda: rig.ask(up.port, host="late.test").status == 200, 3, "the new directory to be watched")
        assert served()
