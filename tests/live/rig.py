"""What the live tests stand on: a site's documents, the real binary, an origin that can misbehave, a client that can too.

Nothing here knows HTTP better than it must: the origin and the client send bytes as they are given them, so that a test can say
exactly what went over the wire.
"""

import contextlib
import itertools
import json
import os
import random
import re
import resource
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]


def binary():
    if os.environ.get("WATARI_BINARY"):
        return os.environ["WATARI_BINARY"]
    build = Path(os.environ.get("WATARI_BUILD", "build-test"))
    return str((build if build.is_absolute() else ROOT / build) / "watari")


def shim(directory, name):
    """A library to be loaded in front of the C library, from NAME.c beside this. The children of `watari up` read it, and what
    else lies in the directory, as users of their own."""
    library = Path(directory) / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source, "-ldl"], check=True)
    for p in (library.parent, *library.parent.parents[:3]):  # pytest keeps them to itself
        if p.stat().st_uid == os.getuid():
            p.chmod(p.stat().st_mode | 0o055)
    return library


# A wait's bound is no promise: it ends a test that hangs. What is promised within a time is measured, beside `Starved`.
PATIENCE = 4


def wait_for(condition, seconds=10.0, what="a condition"):
    """The condition's first true value; fails loudly when it stays false. `seconds` are ample on a machine that is not busy; a
    moment in which the machine stands still counts as a second of them at most."""
    seconds *= PATIENCE
    left, last = seconds, time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if left <= 0:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)
        now = time.monotonic()
        left, last = left - min(now - last, 1.0), now


class Starved:
    """What a busy machine took: s() is how long, since this was made, one of `pids` was ready to run and had no CPU (the kernel's
    own count: Documentation/scheduler/sched-stats.rst), and how much too long a thread here slept, which is also what the host of
    a virtual machine takes. A bound that starvation alone can break is `BOUND + s()`."""

    def __init__(self, *pids):
        self.before, self.ended = {pid: self._waited(pid) for pid in pids}, threading.Event()
        self.slept = 0.0, time.monotonic()  # too long so far; since when it sleeps
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def _waited(pid):
        total = 0
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError):  # a thread that has ended
                total += int(task.read_text().split()[1])
        return total / 1e9

    def _watch(self):
        while not self.ended.is_set():
            time.sleep(0.005)
            self.slept = self._overslept(), time.monotonic()

    def _overslept(self):
        """With the sleep that goes on: whoever asks may have woken up before the one that watches."""
        over, since = self.slept
        return over + max(0.0, time.monotonic() - since - 0.01)

    def s(self, *more_pids):
        """`more_pids` began since."""
        waits = [self._waited(pid) - self.before.get(pid, 0.0) for pid in {*self.before, *more_pids}]
        return self._overslept() + sum(w for w in waits if w > 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()


# Each of the processes that run tests side by side has ports of its own, and gives each of them once.
_LANES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_LANE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _LANES
_EPHEMERAL = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
_LANE_PORTS = ((_EPHEMERAL if _EPHEMERAL > 15000 else 32768) - 10000) // _LANES
_turns = itertools.count(random.randrange(_LANE_PORTS))


def free_port():
    """Below the range from which the kernel takes the local ports of connections: there nobody slips in by chance."""
    while True:
        with socket.socket() as s:
            try:
                s.bind((HOST, 10000 + _LANE * _LANE_PORTS + next(_turns) % _LANE_PORTS))
            except OSError:
                continue
            return s.getsockname()[1]


def listener():
    """On a port of our own: once it is closed, that is nobody's."""
    while True:
        with contextlib.suppress(OSError):
            return socket.create_server((HOST, free_port()), backlog=512)


class Refusing:
    """A port that refuses: held by a socket that does not listen, so that nobody else gets it."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


class Blackhole:
    """A port on which connects wait for ever: the queue of a listener that never accepts is full."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind((HOST, 0))
        self.socket.listen(0)
        self.port = self.socket.getsockname()[1]
        self.fillers = []
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            try:
                s.connect((HOST, self.port))
            except BlockingIOError:
                pass
            self.fillers.append(s)
        wait_for(lambda: any(map(self._is_connected, self.fillers)), what="the one place of the queue to be taken")

    @staticmethod
    def _is_connected(sock):
        try:
            return sock.getpeername()
        except OSError:
            return None

    def close(self):
        for s in self.fillers + [self.socket]:
            s.close()


# ---- bytes of one side ----


class Ended(Exception):
    """The peer ended cleanly (FIN) before all was there."""


class WasReset(Exception):
    """The peer reset the connection."""


class Wire:
    """A socket with a buffer for reading."""

    def __init__(self, sock, timeout=30.0):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError) as e:
            raise WasReset() from e

    def more(self, n=65536):
        try:
            data = self.sock.recv(n)
        except ConnectionResetError as e:
            raise WasReset() from e
        if not data:
            raise Ended()
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        part, _, self.buffer = self.buffer.partition(mark)
        return part

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more(max(65536, n - len(self.buffer)))
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def rest(self):
        """All up to a clean end."""
        try:
            while True:
                self.more()
        except Ended:
            part, self.buffer = self.buffer, b""
            return part

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def end(self):
        """Both ways; whoever sits in recv() wakes up. The descriptor stays, so that it cannot become another's under a thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.end()
        self.sock.close()

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def chunked(self):
        """A chunked body: its bytes and its trailers."""
        body = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        trailers = []
        while line := self.until(b"\r\n"):
            trailers.append(split_field(line))
        return body, trailers


def split_field(line):
    name, _, value = line.partition(b":")
    return name.decode("latin-1"), value.strip().decode("latin-1")


class Message:
    """A request or an answer as it was read."""

    def __init__(self, head):
        lines = head.split(b"\r\n")
        self.start = lines[0].decode("latin-1")
        self.fields = [split_field(line) for line in lines[1:]]
        self.body = b""
        self.trailers = []

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def chunked(self):
        return "chunked" in (self.get("transfer-encoding") or "").lower()


# ---- the origin ----


class Request(Message):
    def __init__(self, head, connection, origin):
        super().__init__(head)
        self.method, self.target, self.version = self.start.split(" ", 2)
        self.connection = connection
        self.origin = origin
        self.whole = False  # the body was read to its end
        self.sent = 0  # of a body without end

    def __repr__(self):
        return f"<{self.start} on {self.origin}#{self.connection}>"


def answer(status=200, body=b"", *fields, reason="OK"):
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def take_body(wire, request):
    if request.chunked:
        request.body, request.trailers = wire.chunked()
    elif request.get("content-length"):
        request.body = wire.exactly(int(request.get("content-length")))
    request.whole = True


def echo(wire, request, *fields):
    """The default behaviour: reads the body, tells what it saw. True: goes on with the connection."""
    take_body(wire, request)
    seen = {
        "origin": request.origin,
        "connection": request.connection,
        "method": request.method,
        "target": request.target,
        "fields": request.fields,
        "body": request.body.decode("latin-1") if len(request.body) < 4096 else len(request.body),
        "trailers": request.trailers,
    }
    body = json.dumps(seen).encode()
    wire.send(answer(200, b"" if request.method == "HEAD" else body, "Content-Type: application/json", *fields))
    return True


def echo_once(wire, request):
    """The same, and the connection ends."""
    echo(wire, request, "Connection: close")


class Origin:
    """A TCP server with a thread for each connection. `behave(wire, request)` is called after each head; its true value keeps the
    connection open, otherwise it is closed. `on_connect(wire)` is called first, if set."""

    def __init__(self, name="origin", behave=echo, on_connect=None):
        self.name = name
        self.behave = behave
        self.on_connect = on_connect
        self.requests = []
        self.connections = 0
        self.open = {}
        self.closed = False
        self.errors = []
        self.lock = threading.Lock()
        self.listener = listener()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=self._enter(sock), daemon=True).start()

    def _enter(self, sock):
        with self.lock:
            self.connections += 1
            wire = self.open[self.connections] = Wire(sock, 120)
            if self.closed:  # accepted in the last moment
                wire.end()
            return wire, self.connections

    def _serve(self, wire, number):
        try:
            if self.on_connect:
                self.on_connect(wire)
            while True:
                request = Request(wire.until(b"\r\n\r\n"), number, self.name)
                with self.lock:
                    self.requests.append(request)
                if not self.behave(wire, request):
                    break
        except (Ended, WasReset, OSError):
            pass
        except Exception as e:  # a test's own mistake must not vanish in a thread
            self.errors.append(e)
        with self.lock:
            self.open.pop(number, None)
        wire.close()

    def seen(self, part):
        """Requests whose target contains `part`."""
        with self.lock:
            return [r for r in self.requests if part in r.target]

    def drop_connections(self):
        with self.lock:
            wires = list(self.open.values())
        for w in wires:
            w.end()

    def close(self):
        with self.lock:
            self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_connections()
        assert not self.errors, self.errors


class Prefork(Origin):
    """An origin of `processes` that serve one connection each, to its end, as Apache's prefork does: others wait in the queue."""

    def __init__(self, name="origin", behave=echo, processes=2):
        self.processes = processes
        super().__init__(name, behave)

    def _accept(self):
        for _ in range(self.processes - 1):
            threading.Thread(target=self._work, daemon=True).start()
        self._work()

    def _work(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._serve(*self._enter(sock))


# ---- the client ----


class Response(Message):
    def __init__(self, head, interim):
        super().__init__(head)
        self.version, status, *_ = self.start.split(" ", 2)
        self.status = int(status)
        self.interim = interim  # statuses of the 1xx before it

    @property
    def says_close(self):
        return "close" in (self.get("connection") or "").lower()

    @property
    def json(self):
        return json.loads(self.body)

    def seen(self, name):
        """Values of a field as the origin saw it (echo)."""
        return [v for n, v in self.json["fields"] if n.lower() == name.lower()]


class Client(Wire):
    """`on_head()` is called, if set, when the head of an answer is there."""

    def __init__(self, port, timeout=30.0, receive_buffer=None, source=None):
        sock = socket.socket()
        if source:
            sock.bind((source, 0))
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect((HOST, port))
        super().__init__(sock, timeout)
        self.address = "%s:%d" % sock.getsockname()
        self.on_head = None

    def head(self):
        interim = []
        while True:
            r = Response(self.until(b"\r\n\r\n"), interim)
            if r.status >= 200:
                if self.on_head:
                    self.on_head()
                return r
            interim.append(r.status)

    def response(self, method="GET"):
        """A whole answer; Ended or WasReset when it is not whole."""
        r = self.head()
        if method == "HEAD" or r.status in (204, 304):
            return r
        if r.chunked:
            r.body, r.trailers = self.chunked()
        elif r.get("content-length") is not None:
            r.body = self.exactly(int(r.get("content-length")))
        else:
            r.body = self.rest()
        return r

    def ask(self, target="/", host="one.test", method="GET", fields=(), body=None):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.response(method)

    def is_closed(self, seconds=10.0):
        """Whether the proxy ends the connection, in any way, without another byte."""
        self.sock.settimeout(seconds)
        try:
            self.more()
        except (Ended, WasReset):
            return True
        except TimeoutError:
            return False
        return False


def ask(port, target="/", host="one.test", **more):
    c = Client(port)
    try:
        return c.ask(target, host, **more)
    finally:
        c.close()


# ---- a site ----

GATEWAY_API = "gateway.networking.k8s.io/v1"
WATARI_API = "watari.dev/v1alpha1"


def ref(name, **more):
    return {"group": "watari.dev", "kind": "Backend", "name": name, **more}


class Site:
    """Documents; JSON is YAML."""

    def __init__(self, **listener):
        self.docs = []
        self.port = free_port()
        self.listeners = [{"name": "http", "protocol": "HTTP", **listener}]

    def add(self, api, kind, name, spec, status=None, **metadata):
        doc = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        if status:
            doc["status"] = status
        self.docs.append(doc)
        return self

    def backend(self, name, *hosts, **spec):
        """Hosts are ports, or things that have one."""
        if hosts:
            ports = [h if isinstance(h, int) else h.port for h in hosts]
            spec["endpoints"] = [{"address": HOST, "port": p} for p in ports]
        return self.add(WATARI_API, "Backend", name, spec)

    def policy(self, *backends, **spec):
        targets = [ref(b) for b in backends]
        return self.add(WATARI_API, "BackendTrafficPolicy", "for-" + "-".join(backends), {"targetRefs": targets, **spec})

    def route(self, name, rules, hostnames=()):
        spec = {"parentRefs": [{"name": "web"}], "rules": rules}
        if hostnames:
            spec["hostnames"] = list(hostnames)
        return self.add(GATEWAY_API, "HTTPRoute", name, spec)

    def simple_route(self, name, *backends, **rule):
        """All of NAME.test to these backends."""
        return self.route(name, [{"backendRefs": [ref(b) for b in backends or [name]], **rule}], [f"{name}.test"])

    def migration(self, name, weight, route=None, from_="old", to="new", epoch=1, phase="Progressing", uid=None, started=None, **spec):
        """With the status that a proxy without control goes by."""
        spec = {
            "routeRefs": [{"kind": "HTTPRoute", "name": route or name}],
            "from": {"name": from_},
            "to": {"name": to},
            "state": "Shared",
            "steps": [{"setWeight": max(weight, 0.002)}],
            **spec,
        }
        status = {"phase": phase, "epoch": epoch, "step": 0, "weight": weight, "tableVersion": 1}
        if started:
            status["startedAt"] = started
        more = {"uid": uid} if uid else {}
        return self.add(WATARI_API, "Migration", name, spec, status, **more)

    def text(self):
        listeners = [{"port": self.port, **l} for l in self.listeners]
        spec = {
            "gatewayClassName": "watari",
            "addresses": [{"type": "IPAddress", "value": HOST}],
            "listeners": listeners,
        }
        gateway = {"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": {"name": "web"}, "spec": spec}
        return "\n---\n".join(json.dumps(d) for d in [gateway, *self.docs]) + "\n"


# ---- the proxy ----


class Proxy:
    """`watari proxy` with a site of its own. `state` may be that of an earlier one; `options` are more words of its command line."""

    def __init__(self, directory, site, state=None, workers=1, log_format="json", log=None, nofile=None, env=None, options=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = Path(state or self.directory / "state")
        self.log_path = Path(log or self.directory / "access.log")
        self.site = site
        self.options = dict(workers=workers, log_format=log_format, nofile=nofile, env=env or {}, more=list(options))
        self.process = None
        for attempt in range(4):
            try:
                self._start()
                return
            except AssertionError:
                # Somebody took the port between the kernel's word and our bind.
                if "in use" not in self.errors() or attempt == 3:
                    raise
                site.port = free_port()

    def _start(self):
        o = self.options
        path = self.directory / "site.yaml"
        path.write_text(self.site.text())
        self.errors_path = self.directory / "stderr"
        env = dict(os.environ, **o["env"])
        # Connections that still run at the end are not freed one by one: no leaks worth telling.
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:quarantine_size_mb=4:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (o["nofile"], o["nofile"]))) if o["nofile"] else None
        command = [binary(), "proxy", "-f", str(path), "--state-dir", str(self.state), "--admin", f"{HOST}:0",
                   "--workers", str(o["workers"]), "--access-log", str(self.log_path),
                   "--access-log-format", o["log_format"], "--drain-seconds", "1", *o["more"]]  # fmt: skip
        with open(self.errors_path, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=env,
                                            preexec_fn=limit)  # fmt: skip
        self.port = self.site.port
        try:
            wait_for(self._is_up, 30, "the proxy to start")
        except AssertionError as e:
            self.kill()
            raise AssertionError(f"{e}: {self.errors()}") from e

    def _is_up(self):
        assert self.process.poll() is None, f"the proxy ended with {self.process.returncode}: {self.errors()}"
        found = re.search(r"admin on http://127\.0\.0\.1:(\d+)\n", self.errors())
        self.admin_port = int(found[1]) if found else None
        assert f":{self.port}: Address already in use" not in self.errors()
        return self.admin_port and re.search(rf"listening on http://127\.0\.0\.1:{self.port}\b", self.errors())

    def errors(self):
        return self.errors_path.read_text(errors="replace")

    def ask(self, target="/", host="one.test", **more):
        return ask(self.port, target, host, **more)

    # -- what it says of itself --

    def admin(self, path, method="GET"):
        c = Client(self.admin_port)
        try:
            return c.ask(path, f"{HOST}:{self.admin_port}", method=method)
        finally:
            c.close()

    def metrics(self):
        """{'name{labels}': value}"""
        out = {}
        for line in self.admin("/metrics").body.decode().splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def settled(self):
        """Itself, once no request is under way: what came of one is counted a moment after its client has the answer."""
        wait_for(lambda: self.metric("envoy_http_downstream_rq_active") == 0, 5, "all requests to be counted")
        return self

    def metric(self, name, *labels):
        """The sum of a family's lines that carry all of these label texts."""
        total = 0.0
        for key, value in self.metrics().items():
            family, _, rest = key.partition("{")
            if family == name and all(l in rest for l in labels):
                total += value
        return total

    def log_lines(self):
        """Those that are whole: a write of many is seen page by page."""
        try:
            text = self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return []
        return text[: text.rfind("\n") + 1].splitlines()

    def log(self, client=None, **fields):
        """Entries (JSON format) of a client's address or with these values."""
        out = []
        for line in self.log_lines():
            entry = json.loads(line)
            if client and entry["downstream_remote_address"] != client:
                continue
            if all(entry.get(k) == v for k, v in fields.items()):
                out.append(entry)
        return out

    def wait_log(self, n=1, client=None, **fields):
        return wait_for(lambda: (lambda l: l if len(l) >= n else None)(self.log(client, **fields)), 5,
                        f"{n} log entries of {client} {fields}")  # fmt: skip

    def _memory_kib(self, name):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(name + r":\s+(\d+)", status)[1])

    def rss_kib(self):
        return self._memory_kib("VmRSS")

    def peak_kib(self):
        """The most that it ever had."""
        return self._memory_kib("VmHWM")

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- its end --

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the proxy did not end after SIGTERM: " + self.errors())
            assert self.process.returncode == 0, f"ended with {self.process.returncode}: {self.errors()}"
        text = self.errors()
        assert "Sanitizer" not in text and "runtime error" not in text, text


class World:
    """Makes things and ends them, last made first; what went wrong in one of them fails the test."""

    def __init__(self, directory):
        self.directory = directory
        self.things = []
        self.n_proxies = 0

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def origin(self, name="origin", behave=echo, **more):
        return self.keep(Origin(name, behave, **more))

    def refusing(self):
        return self.keep(Refusing())

    def blackhole(self):
        return self.keep(Blackhole())

    def proxy(self, site, **more):
        self.n_proxies += 1
        proxy = Proxy(self.directory / f"proxy{self.n_proxies}", site, **more)
        self.things.append(proxy)
        return proxy

    def client(self, proxy, **more):
        return self.keep(Client(proxy.port, **more))

    def end(self):
        wrong = []
        for thing in reversed(self.things):
            try:
                thing.stop() if isinstance(thing, Proxy) else thing.close()
            except Exception as e:  # the others must end all the same
                wrong.append(e)
        assert not wrong, wrong
