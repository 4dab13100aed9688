"""Mutated HTTP/1 against a proxy, from a seed: requests from a hostile client, answers from a hostile origin.

    WATARI_BUILD=build-asan python3 tests/slow/test_mutated.py [--requests 50000] [--answers 20000] [--seed N] [--only NUMBER]

What must hold: the proxy lives, no sanitizer speaks, its counters come back to rest, it serves a plain request at any time, and the
origin (strict here) never sees a request that it cannot read or that nobody sent. Each failure names the seed and the number of the
stream, which --only repeats. And the requests that the proxy passes on are as many for nginx and HAProxy as they were for the proxy:
two readers that count differently are how requests are smuggled.
"""

import argparse
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "live"))

from rig import HOST, Ended, Origin, Proxy, Site, WasReset, answer, ask, free_port, wait_for  # noqa: E402

TOKENS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x85", b"\xff", b"%00", b"%2e%2e/", b"../", b"//", b"#",
    b"0\r\n\r\n", b"1\r\na\r\n", b"ffffffffffffffff\r\n", b"-1", b"+5", b"0x5", b"5;a=b", b"99999999999999999999",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 5, 5\r\n", b"Content_Length: 5\r\n",
    b"Content-Length : 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: identity, chunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding\r\n : chunked\r\n",
    b"Transfer_Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive, x\r\n", b"Connection: content-length\r\n",
    b"Connection: host, transfer-encoding\r\n", b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"Upgrade: h2c\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"TE: trailers\r\n", b"Trailer: x\r\n", b"Host: two.test\r\n", b"Host:\r\n",
    b"X-Forwarded-For: 1.2.3.4\r\n", b"Cookie: watari=AAAA\r\n", b" folded\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/9.9",
    b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n", b"CONNECT one.test:80 HTTP/1.1\r\nHost: one.test\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"a" * 300, b"a: b\r\n" * 40, b"x" * 9000,
]  # fmt: skip

REQUESTS = [
    b"GET /%d HTTP/1.1\r\nHost: one.test\r\n\r\n",
    b"HEAD /%d?q=1 HTTP/1.1\r\nHost: one.test\r\nAccept: */*\r\n\r\n",
    b"GET /%d HTTP/1.0\r\nHost: one.test\r\nConnection: keep-alive\r\n\r\n",
    b"POST /%d HTTP/1.1\r\nHost: one.test\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /%d HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    b"PUT /%d HTTP/1.1\r\nHost: one.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET http://one.test/%d HTTP/1.1\r\nHost: other.test\r\nCookie: a=b; watari=x\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: one.test\r\nX-Stream: %d\r\n\r\n",
]

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nno",
]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        line = rng.choice([m.end() for m in re.finditer(rb"\r\n", bytes(data))] or [0])
        kind = rng.randrange(9)
        if kind == 0:
            data[at:at] = rng.choice(TOKENS)
        elif kind <= 2:
            data[line:line] = rng.choice(TOKENS)
        elif kind == 3:
            del data[at : at + rng.choice((1, 1, 2, 8, 40))]
        elif kind == 4 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 5 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 6:
            end = min(len(data), at + rng.randrange(60))
            data[at:at] = data[at:end] * rng.choice((1, 1, 3))
        elif kind == 7:
            del data[at:]
        elif kind == 8:
            data += rng.choice(REQUESTS).replace(b"%d", b"extra")
    return bytes(data)


def pieces(rng, data):
    """How it is cut on the wire: mostly whole."""
    if rng.random() < 0.7 or len(data) < 2:
        return [data]
    cuts = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.randrange(1, 4))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


def send_stream(port, parts, timeout):
    """What comes back until the end, or for a while."""
    s = socket.create_connection((HOST, port), timeout=5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(timeout)
    got = b""
    try:
        for p in parts:
            s.sendall(p)
        s.shutdown(socket.SHUT_WR)
        while len(got) < 1 << 20:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except (TimeoutError, ConnectionError, OSError):
        pass
    s.close()
    return got


class Strict(Origin):
    """Reads only requests of the plainest form; anything else is what the proxy should have refused. With `answers` set, says what
    the target's number picks of a mutated stream."""

    HEAD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ (/[!-~]*|\*) HTTP/1\.1\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*\r\n)*\Z")

    def __init__(self, seed):
        self.seed = seed
        self.answers = False
        self.wrong = []
        self.count = 0
        super().__init__("strict", None)

    def _serve(self, wire, number):
        try:
            while True:
                head = wire.until(b"\r\n\r\n") + b"\r\n"
                with self.lock:
                    self.count += 1
                if not self.HEAD.match(head):
                    self.wrong.append(head)
                fields = [l.split(b":", 1) for l in head.split(b"\r\n")[1:-1]]
                names = [f[0].lower() for f in fields]
                lengths = [f[1].strip() for f in fields if f[0].lower() == b"content-length"]
                chunked = b"transfer-encoding" in names
                if len(lengths) + chunked > 1 or names.count(b"host") != 1 or any(not l.isdigit() for l in lengths):
                    self.wrong.append(head)
                if chunked:
                    wire.chunked()
                elif lengths:
                    wire.exactly(int(lengths[0]))
                if not self.respond(wire, head):
                    break
        except (Ended, WasReset, OSError):
            pass  # the proxy may give up at any time
        except Exception as e:
            self.wrong.append(repr(e).encode())
        with self.lock:
            self.open.pop(number, None)
        wire.close()

    def respond(self, wire, head):
        if not self.answers:
            wire.send(answer(200, b"" if head.startswith(b"HEAD") else b"ok"))
            return True
        found = re.match(rb"\w+ /a/(\d+) ", head)
        if not found:
            wire.send(answer(200, b"ok"))
            return True
        rng = random.Random(f"{self.seed}/a/{int(found[1])}")
        for p in pieces(rng, mutate(rng, rng.choice(ANSWERS))):
            wire.send(p)
        wire.sock.settimeout(1)  # a body that we left unfinished ends then
        return rng.random() < 0.3


ANSWER = re.compile(rb"HTTP/1\.1 [1-5]\d\d [^\r\n\0]*\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*\r\n)*\r\n")


def request_stream(seed, n):
    rng = random.Random(f"{seed}/r/{n}")
    data = mutate(rng, rng.choice(REQUESTS).replace(b"%d", b"%d" % n))
    if rng.random() < 0.3:
        data = rng.choice(REQUESTS).replace(b"%d", b"before") + data
    return pieces(rng, data)


def run(numbers, threads, work):
    todo, lock, wrong = iter(numbers), threading.Lock(), []

    def go():
        while not wrong:
            with lock:
                n = next(todo, None)
            if n is None:
                return
            try:
                work(n)
            except Exception as e:
                wrong.append((n, repr(e)))

    crew = [threading.Thread(target=go) for _ in range(threads)]
    for t in crew:
        t.start()
    for t in crew:
        t.join()
    assert not wrong, f"stream {wrong[0][0]}: {wrong[0][1]}"


def check_rest(proxy):
    assert ask(proxy.port, "/plain").status == 200
    families = ("envoy_http_downstream_rq_active", "envoy_cluster_upstream_rq_active")
    wait_for(lambda: all(v == 0 for k, v in proxy.metrics().items() if k.split("{")[0] in families), 15, "requests to end")


def play(directory, seed, requests, answers, threads=16, only=None):
    print(f"seed {seed}", flush=True)
    origin = Strict(seed)
    site = Site().backend("one", origin).simple_route("one")
    site.policy("one", timeout={"http": {"requestTimeout": "1s"}})
    proxy = Proxy(directory, site, workers=2)

    def one_request(n):
        got = send_stream(proxy.port, request_stream(seed, n), 2)
        assert not got or ANSWER.match(got), got[:300]
        assert not origin.wrong, origin.wrong[:1]

    def one_answer(n):
        got = send_stream(proxy.port, [b"GET /a/%d HTTP/1.1\r\nHost: one.test\r\n\r\n" % n], 3)
        assert not got or ANSWER.match(got), got[:300]

    for name, count, work in (("requests", requests, one_request), ("answers", answers, one_answer)):
        origin.answers = name == "answers"
        start = time.monotonic()
        run([only] if only is not None else range(count), threads, work)
        check_rest(proxy)
        print(f"{count} mutated {name} in {time.monotonic() - start:.0f} s, {origin.count} reached the origin, "
              f"{proxy.rss_kib() >> 10} MiB", flush=True)  # fmt: skip
    proxy.stop()
    origin.close()


def test_mutated_streams(tmp_path):
    play(tmp_path, str(random.SystemRandom().randrange(1 << 32)), 50000, 20000)


NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors;
events {{}}
http {{
  log_format line '$request_method'; access_log {dir}/log line; keepalive_requests 1000000;
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout client 10s
  log stdout format raw local0
  log-format line
frontend f
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string ok
"""


def peer(name, directory, port):
    """The command that runs it, and where it writes a line for each request."""
    path = directory / f"{name}.conf"
    path.write_text((NGINX if name == "nginx" else HAPROXY).format(dir=directory, port=port))
    log = directory / "log"
    command = ["nginx", "-c", path, "-p", directory] if name == "nginx" else ["haproxy", "-db", "-f", path]
    with open(log, "wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL), log


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_peers_count_as_many_requests(world, tmp_path, name):
    assert shutil.which(name), f"{name} is not here; ./dev test installs it"
    seed = str(random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}")
    port = free_port()
    process, log = peer(name, tmp_path, port)
    try:
        wait_for(lambda: not socket.socket().connect_ex((HOST, port)), 5, name)
        proxy = world.proxy(Site().backend("one", port).simple_route("one"))
        before = len(log.read_bytes().splitlines())
        run(range(8000), 12, lambda n: send_stream(proxy.port, request_stream(seed, n), 2))
        check_rest(proxy)

        def passed_on(*flags):
            return sum(e["attempts"] for e in proxy.log() if e["upstream_host"] and e["response_flags"] in (flags or (e["response_flags"],)))

        def logged():
            return len(log.read_bytes().splitlines()) - before

        # One that was broken off (its body was wrong) may go before the peer has looked at it.
        wait_for(lambda: passed_on("-", None) <= logged() <= passed_on(), 5,
                 f"{name} to log {passed_on()} requests, not {logged()}")  # fmt: skip
        assert passed_on("-", None) > 3000
    finally:
        process.terminate()
        process.wait()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--requests", type=int, default=50000)
    args.add_argument("--answers", type=int, default=20000)
    args.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    args.add_argument("--only", type=int)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        play(directory, args.seed, args.requests, args.answers, only=args.only)
    print("ok")


if __name__ == "__main__":
    main()
