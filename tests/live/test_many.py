"""Thousands of objects in watched files: the API answers while they are taken in, and nobody is served a half of them."""

import contextlib
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
    """Asks the API all the time: the longest wait for an answer."""

    def __init__(self, port):
        self.port, self.longest, self.ended = port, 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)
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
                self.longest = max(self.longest, time.monotonic() - begin)
            time.sleep(0.01)

    def close(self):
        self.ended = True
        self.thread.join()


class Disk:
    """That of an Up; slow while it is asked to be, so that a reading has a middle."""

    def __init__(self, directory):
        self.slow_path = directory / "slow"
        self.environment = {"LD_PRELOAD": str(rig.shim(directory, "slow_disk_shim")), "SLOW_DISK_FILE": str(self.slow_path)}

    def slow(self):
        self.slow_path.touch()

    def fast(self):
        self.slow_path.unlink()


class Many(Up):
    def __init__(self, directory, site, disk=None):
        self.disk = disk
        super().__init__(directory, site)

    def environment(self):
        env = super().environment()
        if self.disk:
            env |= {**self.disk.environment, "ASAN_OPTIONS": env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        return env

    def launch(self):
        self.pulse = Pulse(self.api_port)
        super().launch()

    def close(self):
        self.pulse.close()
        super().close()

    def has(self, path):
        try:
            return self.api(f"/apis/{path}").status == 200
        except (OSError, rig.Ended, rig.WasReset):
            return None

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


@contextlib.contextmanager
def watching(port, listed):
    """All changes of HTTPRoutes since then: until(GENERATION, N) are those until N are of that generation, as (type,
    resourceVersion, name, generation)."""
    path = f"/apis/gateway.networking.k8s.io/v1/httproutes?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
    with socket.create_connection((rig.HOST, port), 60) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {rig.HOST}:{port}\r\n\r\n".encode())

        def until(generation, n):
            seen, changed = [], set()
            for line in s.makefile("rb"):
                if not line.startswith(b"{"):
                    continue
                event = json.loads(line)
                meta = event["object"]["metadata"]
                seen.append((event["type"], int(meta["resourceVersion"]), meta["name"], meta["generation"]))
                changed |= {meta["name"]} if meta["generation"] == generation else set()
                if len(changed) == n:
                    return seen
            raise AssertionError("the watch has ended")

        yield until


class Asking:
    """Users: what they were answered but for 200."""

    def __init__(self, port):
        self.port, self.n, self.wrong, self.ended = port, 0, [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended:
            host = HOSTS[self.n % len(HOSTS)]
            try:
                status = rig.ask(self.port, host=host).status
            except Exception as e:
                status = repr(e)
            self.n += 1
            if status != 200:
                self.wrong.append((host, status))

    def close(self):
        self.ended = True
        self.thread.join()


def are_all_at(origin):
    return {r.get("host") for r in origin.requests[-10 * len(HOSTS) :]} >= set(HOSTS)


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


def test_the_api_answers_during_a_first_reading(world, disk):
    class Half(Many):
        def wait_until_up(self):
            # Routes come first, Backends last.
            rig.wait_for(lambda: self.has("gateway.networking.k8s.io/v1/namespaces/default/httproutes/one"), 30, "the first route")
            assert self.has(f"watari.dev/v1alpha1/namespaces/default/backends/a{ROUTES - 1}") is False
            disk.fast()
            super().wait_until_up()

    disk.slow()
    with rig.Starved() as starved:
        up = world.keep(Half(world.directory / "many", many(world.origin(), "a"), disk))
        assert up.pulse.longest < SILENT_S + starved.s(up.process.pid, up.pids()["control"])
    assert [rig.ask(up.port, host=h).status for h in HOSTS] == [200] * len(HOSTS)
    assert len(up.routes()["items"]) == ROUTES + 1
    assert up.api("/readyz").status == 200


def test_all_routes_and_backends_change_at_once(world):
    up = world.keep(Many(world.directory / "many", many(world.origin(), "a")))
    listed = up.routes()
    asking = world.keep(Asking(up.port))
    new = world.origin("new")
    up.pulse.close()
    with rig.Starved(up.pids()["control"]) as starved, watching(up.api_port, listed) as until:
        up.pulse = Pulse(up.api_port)
        up.replace(many(new, "b"))
        seen = until(2, ROUTES + 1)
        rig.wait_for(lambda: (up.applied() or 0) >= 2, 30, "the second reading")
        rig.wait_for(lambda: are_all_at(new), 30, "users of what is new")
        assert up.pulse.longest < SILENT_S + starved.s()
    assert not asking.wrong
    versions = [version for _, version, _, _ in seen]
    assert versions == sorted(set(versions)) and versions[0] > int(listed["metadata"]["resourceVersion"])
    assert {kind for kind, _, _, _ in seen} == {"MODIFIED"}


def test_control_killed_half_way(world, disk):
    """What it left in the store is the half of a change; the one after it makes it whole first."""
    up = world.keep(Many(world.directory / "many", many(world.origin(), "a"), disk))
    asking = world.keep(Asking(up.port))
    new = world.origin("new")
    with watching(up.api_port, up.routes()) as until:
        disk.slow()
        up.replace(many(new, "b"))
        until(2, 1)
        up.kill("control")
    disk.fast()
    rig.wait_for(lambda: (up.applied() or 0) >= 1, 60, "the first reading of another control")
    assert {r["metadata"]["generation"] for r in up.routes()["items"]} == {2}
    rig.wait_for(lambda: are_all_at(new), 30, "users of what is new")
    assert not asking.wrong
