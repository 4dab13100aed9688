"""What the tests of the crossing stand on: `watari up` in a watched directory, two sides that can be broken, users under load.

A user belongs to one thread, so that what happened to him has one order. Every request is strict: a kept connection that dies
after a request was written counts as failed, although a browser would ask again.
"""

import contextlib
import http.client
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import rig

MIGRATIONS = "/apis/watari.dev/v1alpha1/namespaces/default/migrations"
BACKENDS = "/apis/watari.dev/v1alpha1/namespaces/default/backends"
GATEWAYS = "/apis/gateway.networking.k8s.io/v1/namespaces/default"
EVENTS = "/api/v1/namespaces/default/events"


# ---- the sides ----


class Side:
    """An origin whose answers name it. `status`, `delay_s` break what users see, `fails(head)` one request; `healthy` is what its
    health check says. /held is answered once `go_on` is set."""

    def __init__(self, name):
        self.name, self.status, self.delay_s, self.healthy = name, 200, 0.0, True
        self.fails = None
        self.probes = self.waiting = 0
        self.answered = 0
        self.go_on = threading.Event()  # /held waits for it
        self.port = 0
        self.wires = set()
        self.open()

    def open(self):
        self.port = self.port or rig.free_port()  # not one that a connection may take while the side is closed
        self.listener = socket.create_server((rig.HOST, self.port), backlog=512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def break_(self, status=200, delay_s=0.0):
        self.status, self.delay_s = status, delay_s

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.wires.add(sock)
            if self.listener is not listener:  # closed since: close() may not have seen this one
                self._end(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    more = sock.recv(65536)
                    if not more:
                        return
                    buffer += more
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                sock.sendall(self._answer(head))
        except OSError:
            pass
        finally:
            self.wires.discard(sock)
            sock.close()

    def _answer(self, head):
        target = head.split(b" ", 2)[1]
        if target == b"/healthz":
            self.probes += 1
            status = 200 if self.healthy else 503
        else:
            status = self.status
            if self.fails and self.fails(head):
                status = 500
            if target == b"/held":
                self.waiting += 1
                self.go_on.wait(120)
                self.waiting -= 1
            elif self.delay_s:
                time.sleep(self.delay_s)
            self.answered += 1
        body = f"{self.name}\n"
        return (f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Side: {self.name}\r\n"
                f"Cache-Control: private\r\n\r\n{body}").encode()  # fmt: skip

    @staticmethod
    def _end(sock):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        listener, self.listener = self.listener, None
        if listener:
            self._end(listener)
            listener.close()
        for sock in list(self.wires):
            self._end(sock)


# ---- watari up ----


class Up:
    """`watari up -f DIRECTORY/site`, its children, its API."""

    def __init__(self, directory, state=None, drain_s=1, remove_after_s=1):
        self.directory = Path(directory)
        self.files = self.directory / "site"
        self.state = Path(state or self.directory / "state")
        self.files.mkdir(parents=True, exist_ok=True)
        self.port, self.api_port, self.admin_port = rig.free_port(), rig.free_port(), rig.free_port()
        self.errors_path = self.directory / "stderr"
        self.drain_s, self.remove_after_s = drain_s, remove_after_s
        self.process = None
        gateway = {"apiVersion": rig.GATEWAY_API, "kind": "Gateway", "metadata": {"name": "web"},
                   "spec": {"gatewayClassName": "watari", "addresses": [{"type": "IPAddress", "value": rig.HOST}],
                            "listeners": [{"name": "http", "port": self.port, "protocol": "HTTP"}]}}  # fmt: skip
        self.write("gateway.yaml", gateway)

    # -- files --

    def write(self, name, *docs):
        """Whole or not at all; JSON is YAML. A str is written as it is."""
        draft = self.directory / (name + ".draft")
        draft.write_text("\n---\n".join(d if isinstance(d, str) else json.dumps(d) for d in docs) + "\n")
        draft.rename(self.files / name)

    def remove(self, name):
        (self.files / name).unlink()

    # -- processes --

    def start(self):
        env = dict(os.environ)
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=4:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        command = [rig.binary(), "up", "-f", str(self.files), "--remove-after", str(self.remove_after_s),
                   "--state-dir", str(self.state), "--listen",
                   f"{rig.HOST}:{self.api_port}", "--admin", f"{rig.HOST}:{self.admin_port}", "--workers", "2",
                   "--access-log", str(self.directory / "access.log"), "--access-log-format", "json",
                   "--drain-seconds", str(self.drain_s)]  # fmt: skip
        with open(self.errors_path, "ab") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=env)
        return self

    def wait_ready(self, seconds=15):
        rig.wait_for(self._is_ready, seconds, "watari up to serve; it says " + self.tail())
        return self

    def _is_ready(self):
        assert self.process.poll() is None, f"watari up ended with {self.process.returncode}: {self.errors()}"
        try:
            rig.ask(self.port, host="nobody.test")
            return self.api("GET", "/readyz")[0] == 200
        except (OSError, rig.Ended, rig.WasReset):
            return False

    def errors(self):
        return self.errors_path.read_text(errors="replace")

    def tail(self):
        return self.errors()[-2000:] if self.errors_path.exists() else ""

    def pid(self, name):
        """Of a child that runs now, or None."""
        for run in (self.state / "run", self.state):
            if (run / "children").exists():
                for line in (run / "children").read_text().splitlines():
                    who, pid, _ = line.split(" ")
                    if who == name and _command_of(int(pid)).startswith("watari"):
                        return int(pid)
        return None

    def kill(self, name):
        """SIGKILL, and until its sockets are closed; returns the pid that was."""
        if name == "supervisor":
            self.process.kill()
            self.process.wait()
            return self.process.pid
        pid = rig.wait_for(lambda: self.pid(name), 5, f"{name} to run")
        os.kill(pid, signal.SIGKILL)
        rig.wait_for(lambda: _is_gone(pid), 5, f"the end of {name}")
        return pid

    def lose_store(self):
        """Control's database is gone; so is control, to be started anew."""
        for file in self.state.rglob("control.db*"):
            file.unlink()
        before = self.kill("control")
        rig.wait_for(lambda: self.pid("control") not in (None, before), 5, "a new control")

    def close(self):
        pids = [self.pid(n) for n in ("control", "proxy")]
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in filter(None, pids):
            if _command_of(pid).startswith("watari"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        text = self.errors() if self.errors_path.exists() else ""
        found = re.search(r"^.*(Sanitizer|runtime error).*$(.*\n){0,40}", text, re.M)
        assert not found, found[0]

    # -- the API --

    def api(self, method, path, body=None, timeout=20, port=None):
        c = http.client.HTTPConnection(rig.HOST, port or self.api_port, timeout=timeout)
        try:
            data = json.dumps(body) if body is not None else None
            c.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            r = c.getresponse()
            text = r.read().decode()
        except http.client.HTTPException as e:
            raise OSError(str(e)) from e
        finally:
            c.close()
        try:
            return r.status, json.loads(text)
        except ValueError:
            return r.status, text

    def stats(self):
        """{name: value} of the proxy."""
        return {s["name"]: s["value"] for s in self.api("GET", "/stats?format=json", port=self.admin_port)[1]["stats"]}

    def in_force(self, name, weight):
        """Whether every worker of the proxy runs this weight."""
        try:
            stats = self.stats()
            text = self.api("GET", "/metrics", port=self.admin_port)[1]
        except OSError:
            return False
        lowest = int(re.search(r"^watari_snapshot_version (\d+)$", text, re.M)[1])
        return stats.get(f"migration.default/{name}.weight") == weight and lowest >= stats["snapshot.version"]

    def migration(self, name):
        """The object, or None while there is none or nobody answers."""
        try:
            code, doc = self.api("GET", f"{MIGRATIONS}/{name}")
        except OSError:
            return None
        return doc if code == 200 else None

    def status(self, name):
        return (self.migration(name) or {}).get("status") or {}

    def wait_status(self, name, condition, seconds=10, what=""):
        """Until the condition holds; returns the status it held for."""

        def holds():
            s = self.status(name)
            return s if s and condition(s) else None

        try:
            return rig.wait_for(holds, seconds)
        except AssertionError as e:
            raise AssertionError(f"{name}: {what or 'its status'}: {e}; it is {self.status(name)}; log: {self.tail()}") from e

    def ask_for(self, name, verb, wait=True, **more):
        """As the CLI does: read, set status.request, write back with the resourceVersion; again on a conflict."""
        for _ in range(20):
            doc = rig.wait_for(lambda: self.migration(name), 5, f"{name} to be there")
            request = {"id": f"{verb}-{time.monotonic_ns()}", "verb": verb, **more}
            doc["status"]["request"] = request
            code, said = self.api("PUT", f"{MIGRATIONS}/{name}/status", doc)
            if code == 200:
                break
            assert code == 409, (code, said)
        else:
            raise AssertionError("always a conflict")
        if not wait:
            return request
        last = self.wait_status(name, lambda s: s.get("lastRequest", {}).get("id") == request["id"], 8, f"{verb} to be carried out")
        return last["lastRequest"]

    def log(self, authority):
        """The access log's entries of a host name."""
        entries = [json.loads(line) for line in (self.directory / "access.log").read_text().splitlines() if line[-1:] == "}"]
        return [e for e in entries if e["authority"] == authority]

    def events(self, reason=None):
        items = self.api("GET", EVENTS)[1]["items"]
        return [e for e in items if reason in (None, e.get("reason"))]


@contextlib.contextmanager
def standing_alone(directory, **more):
    """An Up that a test may kill."""
    u = Up(directory, **more).start()
    try:
        yield u.wait_ready()
    finally:
        u.close()


def _command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _is_gone(pid):
    """Not only dead: a process lets go of its sockets with its last thread, some time after the signal."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        return len(threads) == 1 and Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


# ---- a service that moves ----


def run_by_all(status):
    """Whether there are proxies, and all their workers run what this status says."""
    rows = status.get("proxies", [])
    return rows and all(row[k] == status[k] for row in rows for k in ("epoch", "step", "tableVersion"))


def backend(name, *sides):
    endpoints = [{"address": rig.HOST, "port": s if isinstance(s, int) else s.port} for s in sides]
    return {"apiVersion": rig.WATARI_API, "kind": "Backend", "metadata": {"name": name}, "spec": {"endpoints": endpoints}}


def policy(*backends):
    check = {"type": "HTTP", "http": {"path": "/healthz", "expectedStatuses": [200]}, "interval": "200ms", "timeout": "1s",
             "healthyThreshold": 1, "unhealthyThreshold": 2}  # fmt: skip
    return {"apiVersion": rig.WATARI_API, "kind": "BackendTrafficPolicy", "metadata": {"name": "for-" + "-".join(backends)},
            "spec": {"targetRefs": [rig.ref(b) for b in backends], "healthCheck": {"active": check}}}  # fmt: skip


def route(name, to, filters=()):
    rule = {"backendRefs": [rig.ref(to)]}
    if filters:
        rule["filters"] = list(filters)
    return {"apiVersion": rig.GATEWAY_API, "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": "web"}], "hostnames": [f"{name}.test"], "rules": [rule]}}  # fmt: skip


class Service:
    """NAME.test on two sides, with its files in the directory of an Up."""

    def __init__(self, up, name, checked=False):
        self.up, self.name = up, name
        self.old, self.new = Side("old"), Side("new")
        docs = [backend(f"{name}-old", self.old), backend(f"{name}-new", self.new), route(name, f"{name}-old")]
        if checked:
            docs.append(policy(f"{name}-old", f"{name}-new"))
        self.docs = docs
        up.write(f"{name}.yaml", *docs)

    def migrate(self, steps, **spec):
        spec = {"routeRefs": [{"kind": "HTTPRoute", "name": self.name}], "from": rig.ref(f"{self.name}-old"),
                "to": rig.ref(f"{self.name}-new"), "state": "Shared", "userKey": {"cookie": "sid"}, "steps": steps,
                "guard": {"excluding": 0.5}, **spec}  # fmt: skip
        self.up.write(f"{self.name}-migration.yaml", {"apiVersion": rig.WATARI_API, "kind": "Migration",
                                                      "metadata": {"name": self.name}, "spec": spec})  # fmt: skip
        return self

    def point_route(self, side):
        docs = [d if d["kind"] != "HTTPRoute" else route(self.name, f"{self.name}-{side}") for d in self.docs]
        self.up.write(f"{self.name}.yaml", *docs)

    def status(self):
        return self.up.status(self.name)

    def wait(self, condition, seconds=10, what=""):
        return self.up.wait_status(self.name, condition, seconds, what)

    def wait_in_force(self, weight, seconds=10):
        """The weight in the status; every proxy has told control that it runs it, and says so itself."""
        s = self.wait(lambda s: s["weight"] == weight and run_by_all(s), seconds, f"weight {weight} in force")
        rig.wait_for(lambda: self.up.in_force(self.name, weight), 5, f"the proxy to run weight {weight}")
        return s

    def say(self, verb, **more):
        return self.up.ask_for(self.name, verb, **more)

    def close(self):
        self.old.close()
        self.new.close()


# ---- users ----


class Answer:
    __slots__ = ("at", "took", "user", "path", "side", "status", "why")

    def __init__(self, at, took, user, path, side, status, why):
        self.at, self.took, self.user, self.path = at, took, user, path
        self.side, self.status, self.why = side, status, why

    def __repr__(self):
        return f"{self.at:.3f} +{self.took:.3f}s user {self.user}: {self.status} {self.side} {self.why}"


class Load:
    """`threads` connections at a steady rate in all. Users 0..N-1 carry a session cookie and keep what the proxy sets; the last
    thread, if asked, sends requests without any cookie (user None)."""

    def __init__(self, port, host, users=300, threads=6, rate=300, anonymous=False):
        self.port, self.host, self.anonymous = port, host, anonymous
        self.answers = []
        self.cookies = {}
        self.rate, self.stopping = rate, False
        n = threads + bool(anonymous)
        self.interval = n / rate
        self.threads = []
        for i in range(threads):
            self.threads.append(threading.Thread(target=self._run, args=(list(range(i, users, threads)),), daemon=True))
        if anonymous:
            self.threads.append(threading.Thread(target=self._run, args=([None],), daemon=True))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join(20)

    def _run(self, users):
        sock, turn = None, 0
        due = time.monotonic()
        while not self.stopping:
            due = max(due + self.interval, time.monotonic() - 0.2)
            time.sleep(max(0, due - time.monotonic()))
            user = users[turn % len(users)]
            turn += 1
            path = f"/page/{user}/{turn}"
            start = time.monotonic()
            # The server may end an idle connection: a client that looks first loses nothing.
            if sock and select.select([sock], [], [], 0)[0]:
                sock.close()
                sock = None
            side = status = None
            why = ""
            try:
                if not sock:
                    sock = socket.create_connection((rig.HOST, self.port), 20)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                status, side, close = self._exchange(sock, user, path)
                if close:
                    sock.close()
                    sock = None
            except (OSError, ValueError) as e:
                why = repr(e)
                if sock:
                    sock.close()
                sock = None
            self.answers.append(Answer(start, time.monotonic() - start, user, path, side, status, why))

    def _exchange(self, sock, user, path):
        cookie = f"Cookie: sid=user-{user}" if user is not None else ""
        if user in self.cookies:
            cookie += f"; {self.cookies[user]}"
        lines = [f"GET {path} HTTP/1.1\r\nHost: {self.host}", *([cookie] if cookie else [])]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            more = sock.recv(65536)
            if not more:
                raise ValueError("ended before the head")
            buffer += more
        head, _, body = buffer.partition(b"\r\n\r\n")
        m = rig.Message(head)
        status = int(head.split(b" ", 2)[1])
        length = int(m.get("content-length") or 0)
        while len(body) < length:
            more = sock.recv(65536)
            if not more:
                raise ValueError("cut short")
            body += more
        cookie = m.get("set-cookie")
        if cookie and user is not None:
            self.cookies[user] = cookie.split(";")[0]
        return status, m.get("x-side"), (m.get("connection") or "").lower() == "close"

    # -- what happened --

    def since(self, at=0.0, until=float("inf")):
        return [a for a in list(self.answers) if at <= a.at < until]

    def seconds(self, at, until):
        """How long the requests that began in between take at the full rate: the time as the load goes, on a machine that is too
        busy to send them."""
        return len(self.since(at, until)) / self.rate

    def lost(self, at=0.0):
        """No complete answer, or one that no server made."""
        return [a for a in self.since(at) if a.why or a.side is None]

    def bad(self, at=0.0, slower_than=float("inf")):
        return [a for a in self.since(at) if not a.why and (a.status >= 500 or a.took > slower_than)]

    def sides(self, at=0.0):
        """{user: the side of his newest answer}"""
        return {a.user: a.side for a in self.since(at) if a.user is not None and a.side}

    def cohort(self, users, patience=20):
        """The users on the new side now: asks until each has been seen since this call."""
        start = time.monotonic()
        rig.wait_for(lambda: len(self.sides(start)) == users, patience, "every user to be seen")
        return {u for u, s in self.sides(start).items() if s == "new"}

    def strays(self, back=()):
        """Users who went from new to old with a request that ran in none of the intervals of `back`."""
        now, out = {}, []
        for a in list(self.answers):
            if a.user is None or not a.side:
                continue
            if now.get(a.user) == "new" and a.side == "old" and not any(f <= a.at + a.took and a.at <= t for f, t in back):
                out.append(a)
            now[a.user] = a.side
        return out


def within(n, total, share, by_chance=1e-11):
    """Whether n of total is what a share would give: so few, or so many, are no rarer than that (the binomial law, exactly)."""
    ways = lambda k: math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)  # noqa: E731
    chances = [math.exp(ways(k) + k * math.log(share) + (total - k) * math.log1p(-share)) for k in range(total + 1)]
    return min(sum(chances[: n + 1]), sum(chances[n:])) >= by_chance
