"""Thousands of objects in watched files: the API answers while they are taken in, and nobody is served a half of them."""

import json
import os
import socket
import threading
import time

import pytest
import rig
from test_up import Up

ROUTES = 1000
HOSTS = ["one.test", *(f"h{i}.test" for i in range(0, ROUTES, 50))]
SILENT_S = 3  # a sanitized control on a busy machine; one transaction an object took twice as long for all


def many(origin, prefix):
    """Routes come before the Backends that they name."""
    site = rig.Site().simple_route("one", prefix + "0")
    for i in range(ROUTES):
        site.simple_route(f"h{i}", f"{prefix}{i}")
    for i in range(ROUTES):
        site.backend(f"{prefix}{i}", origin)
    return site


class Pulse:
    """Asks the API all the time: its first answer, and the longest wait for one."""

    def __init__(self, port):
        self.port, self.longest, self.first, self.ended = port, 0, None, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            begin = time.monotonic()
            try:
                with socket.create_connection((rig.HOST, self.port), 60) as s:
                    s.sendall(f"GET /healthz HTTP/1.1\r\nHost: {rig.HOST}:{self.port}\r\nConnection: close\r\n\r\n".encode())
                    answered = s.recv(100).startswith(b"HTTP/1.1 200")
            except OSError:
                answered = False
            if answered:
                self.first = self.first or time.monotonic()
                self.longest = max(self.longest, time.monotonic() - begin)
            time.sleep(0.01)

    def close(self):
        self.ended = True
        self.thread.join()


class Many(Up):
    def start(self):
        self.pulse = Pulse(self.api_port)
        super().start()
        self.served = time.monotonic()

    def close(self):
        self.pulse.close()
        super().close()

    def replace(self, site):
        """In one moment, as one reading."""
        site.port = self.port
        new = self.files.with_suffix(".new")
        new.write_text(site.text())
        os.rename(new, self.files)

    def applied(self):
        """Readings; None while nobody answers."""
        try:
            lines = self.api("/metrics").body.decode().splitlines()
        except (OSError, rig.Ended, rig.WasReset):
            return None
        return next(int(line.split()[1]) for line in lines if line.startswith("watari_control_files_applied_total "))

    def routes(self):
        return json.loads(self.api("/apis/gateway.networking.k8s.io/v1/httproutes").body)


def watch(port, version, generation, n):
    """All changes of HTTPRoutes, (type, resourceVersion, name, generation), until n are of that generation."""
    path = f"/apis/gateway.networking.k8s.io/v1/httproutes?watch=1&resourceVersion={version}"
    seen, changed = [], set()
    with socket.create_connection((rig.HOST, port), 60) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {rig.HOST}:{port}\r\n\r\n".encode())
        for line in s.makefile("rb"):
            if line.startswith(b"{"):
                event = json.loads(line)
                meta = event["object"]["metadata"]
                seen.append((event["type"], int(meta["resourceVersion"]), meta["name"], meta["generation"]))
                changed |= {meta["name"]} if meta["generation"] == generation else set()
            if len(changed) == n:
                return seen


class Asking:
    """Users: what they were answered but for 200."""

    def __init__(self, port):
        self.port, self.n, self.wrong, self.ended = port, 0, [], False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            host = HOSTS[self.n % len(HOSTS)]
            status = rig.ask(self.port, host=host).status
            self.n += 1
            if status != 200:
                self.wrong.append((host, status))

    def close(self):
        self.ended = True
        self.thread.join()


@pytest.fixture
def up(world):
    return world.keep(Many(world.directory / "many", many(world.origin(), "a")))


def test_the_api_answers_during_a_first_reading(up):
    assert [rig.ask(up.port, host=h).status for h in HOSTS] == [200] * len(HOSTS)
    assert up.pulse.first < up.served - up.pulse.longest
    assert up.pulse.longest < SILENT_S
    assert len(up.routes()["items"]) == ROUTES + 1
    assert up.api("/readyz").status == 200


def test_all_routes_and_backends_change_at_once(up, world):
    listed = up.routes()
    asking = world.keep(Asking(up.port))
    up.pulse.longest = 0
    up.replace(many(world.origin(), "b"))
    seen = watch(up.api_port, listed["metadata"]["resourceVersion"], 2, ROUTES + 1)
    rig.wait_for(lambda: up.applied() == 2, 30, "the second reading")
    n = asking.n
    rig.wait_for(lambda: asking.n > n + len(HOSTS), 30, "users of what is new")
    assert not asking.wrong
    assert up.pulse.longest < SILENT_S
    versions = [version for _, version, _, _ in seen]
    assert versions == sorted(set(versions)) and versions[0] > int(listed["metadata"]["resourceVersion"])
    assert {kind for kind, _, _, _ in seen} == {"MODIFIED"}


def test_control_killed_half_way(up, world):
    """What it left in the store is the half of a change; the one after it makes it whole first."""
    listed = up.routes()
    asking = world.keep(Asking(up.port))
    up.replace(many(world.origin(), "b"))
    watch(up.api_port, listed["metadata"]["resourceVersion"], 2, 1)
    up.kill("control")
    rig.wait_for(lambda: up.applied() == 1, 60, "the first reading of another control")
    generations = [r["metadata"]["generation"] for r in up.routes()["items"]]
    n = asking.n
    rig.wait_for(lambda: asking.n > n + len(HOSTS), 30, "users of what is new")
    assert set(generations) == {2} and not asking.wrong
