"""A proxy that starts with an old snapshot on its disk: control's word comes before the first request."""

import threading

import rig
from crossing_rig import Service

STEPS = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}]
LATE = "control takes its time"


class Asking(threading.Thread):
    """One request after another, each on a connection of its own; nobody there is no answer."""

    def __init__(self, port, host):
        super().__init__(daemon=True)
        self.port, self.host, self.bodies, self.ended = port, host, [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                self.bodies.append(rig.ask(self.port, host=self.host).body)
            except (OSError, ValueError):
                self.ended.wait(0.001)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(10)


def start_with(up, path, snapshot):
    """What is answered at first, and whether control was late."""
    said = up.errors().count(LATE)
    up.kill("supervisor")
    up.kill("proxy")
    path.write_bytes(snapshot)
    with Asking(up.port, "shop.test") as asking:
        up.start().wait_ready()
        rig.wait_for(lambda: len(asking.bodies) >= 20, 20, "answers of the new proxy")
    return asking.bodies, up.errors().count(LATE) > said


def test_an_old_snapshot_is_not_served_when_control_knows_better(up):
    s = Service(up, "shop")
    try:
        s.migrate(STEPS).wait_in_force(10)
        (path,) = up.state.rglob("proxy/snapshot")
        rig.wait_for(lambda: b'"weight":10' in path.read_bytes(), 10, "10 % on the proxy's disk")
        older = path.read_bytes()
        s.say("promote")
        s.wait_in_force(100)
        rig.wait_for(lambda: b'"weight":100' in path.read_bytes(), 10, "100 % on the proxy's disk")
        for _ in range(5):
            bodies, late = start_with(up, path, older)
            if not late:
                break
        assert not late, up.tail()
        assert set(bodies) == {b"new\n"}, bodies
    finally:
        s.close()
