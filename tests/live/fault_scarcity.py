"""Items 40-46 of the fault catalogue: what runs out, and who feels it."""

import os
import select
import signal
import socket
import threading
import time

from fault_rig import (CUT, GET, IDLE_TIMEOUT, LOST, NOTHING, OVERLOAD_CLOSE, OVERLOAD_REJECT, POST, PROTOCOL_ERROR, RQ_TIMEOUT,
                       TX_RESET, driven, rise_of, served, target_is)  # fmt: skip
from rig import Ended, Site, WasReset, answer, echo, wait_for

KIB, MIB = 1 << 10, 1 << 20

# ---- 40: patience ----


def patience(id, drive, options, status=408, **more):
    """Only the limit in question is short: no other may strike first."""
    return driven(id, drive, status, **{"closes": True, "seen": 0, "proxy": {"options": options}, "within_s": 8, **more})


def head_by_the_byte(scene):
    """No single silence is long: the whole head is what counts (slowloris)."""
    client = scene.client()
    scene.out.address = client.address
    client.sock.settimeout(0.05)
    for byte in scene.request(GET + b"X-A: " + b"x" * 200 + b"\r\n"):
        client.send(bytes([byte]))
        try:
            client.more()
            break
        except TimeoutError:
            pass
    client.sock.settimeout(5)
    scene.answer(client)


def no_head(scene):
    scene.answer(scene.client())


def no_next_request(scene):
    client = scene.client()
    assert client.ask("/before").status == 200
    scene.answer(client)


def half_a_body(scene):
    scene.play(scene.request(POST + b"Content-Length: 100\r\n", b"hello"))


def body_by_the_byte(scene):
    """Slower in all than any limit, and never silent for long: a large upload over a thin line."""
    client = scene.client()
    client.send(scene.request(POST + b"Content-Length: 14\r\n"))
    for _ in range(14):
        time.sleep(0.25)
        client.send(b"x")
    scene.answer(client)


def endless(wire, request):
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def no_reader(scene):
    client = scene.client(receive_buffer=32 * KIB)
    client.send(scene.request())
    scene.proxy.wait_log(client=client.address)
    scene.answer(client)


PATIENCE = [
    patience("40 a head by the byte", head_by_the_byte, ["--header-timeout", "2s"], flags="DPE",
             counter=(RQ_TIMEOUT, PROTOCOL_ERROR)),
    patience("40 no head", no_head, ["--header-timeout", "600ms"], NOTHING, flags=False, counter=IDLE_TIMEOUT),
    patience("40 no next request", no_next_request, ["--idle-timeout", "500ms", "--header-timeout", "5m"], NOTHING, flags=False,
             counter=IDLE_TIMEOUT),
    patience("40 half a body", half_a_body, ["--body-timeout", "1s"], flags="SI", partly=True, counter=(RQ_TIMEOUT, TX_RESET)),
    patience("40 a body by the byte is served", body_by_the_byte,
             ["--header-timeout", "2500ms", "--body-timeout", "2500ms", "--idle-timeout", "2500ms"], 200, closes=False, flags=None,
             seen=1, policy={"timeout": {"http": {"requestTimeout": "2500ms"}}}),
    patience("40 nobody reads the answer", no_reader, ["--body-timeout", "1s"], CUT, flags="DC", behave=endless, seen=1,
             counter=TX_RESET),
]  # fmt: skip


# ---- 41, 42: connections and descriptors ----

PATIENT = {"timeout": {"http": {"requestTimeout": "90s"}}}  # for hosts that a test keeps waiting


def stays(client):
    try:
        return client.ask("/stays").status == 200
    except (Ended, WasReset, OSError):
        return False


def one_too_many(scene):
    """Over all workers; another address, and who comes when one has left, are not the same client."""
    first = [scene.client() for _ in range(3)]
    assert all(stays(c) for c in first)
    scene.answer(scene.client())
    assert "client 127.0.0.1 has all the connections" in scene.proxy.errors()
    assert stays(scene.client(source="127.0.0.2"))
    assert all(stays(c) for c in first)
    first.pop().close()
    wait_for(lambda: scene.metric("envoy_http_downstream_cx_active") == 3, 5, "the connection to end")
    assert stays(scene.client())


def one_more_than_half(scene):
    first = [scene.client() for _ in range(16)]
    assert all(stays(c) for c in first)
    scene.answer(scene.client())


def from_everywhere(scene, n):
    """Connections from several addresses, so that no single one is over its share."""
    clients = [scene.client(source=f"127.0.0.{1 + i % 8}") for i in range(n)]
    wait_for(lambda: refusals(scene.proxy) > 0, 5, "the limit to be reached")
    return clients


def all_who_fit(scene):
    """With every client that fits connected, those that ask are still served: hosts need descriptors too."""
    first = scene.client()
    assert stays(first)
    from_everywhere(scene, 100)
    scene.play(scene.request(), first)


def refusals(proxy):
    return proxy.metric("watari_accept_failures_total") + proxy.metric(OVERLOAD_REJECT)


def rests(proxy, count=lambda: 0):
    """It comes to rest; how far `count` goes in a second of it."""

    def resting():
        begin, cpu, before = time.monotonic(), proxy.cpu_s(), count()
        time.sleep(1)
        return proxy.cpu_s() - cpu < 0.3 and ((count() - before) / (time.monotonic() - begin),)

    return wait_for(resting, 5, "it to rest, not spin")[0]


def no_more_clients(scene):
    clients = from_everywhere(scene, 100)
    assert rests(scene.proxy, lambda: refusals(scene.proxy)) < 25, "it hardly rests"
    for c in clients:
        c.close()
    wait_for(lambda: scene.metric("envoy_http_downstream_cx_active") == 0, 5, "the connections to end")
    scene.play(scene.request())


def no_descriptors(scene):
    """Requests under way take two each: neither accept() nor connect() nor the admin port gets any."""
    go = threading.Event()

    def hold(wire, request):
        go.wait(100)
        return echo(wire, request)

    scene.behaves = hold
    clients = []
    for i in range(60):
        clients.append(scene.client(source=f"127.0.0.{1 + i % 8}"))
        clients[-1].send(scene.request())
        if i < 20:  # one by one, so that the hosts get their part
            wait_for(lambda: len(scene.origin.requests) == len(clients), 5, "the request at the host")
    rests(scene.proxy)
    go.set()
    for c in clients[1:]:
        assert c.response().status in (200, 503)
        c.close()
    scene.answer(clients[0])  # and its next request, for which there is room now
    assert scene.metric("watari_accept_failures_total") > 0


def few_files(n, *options):
    return {"nofile": n, "options": list(options)}


CONNECTIONS = [
    driven("41 one too many of a client", one_too_many, NOTHING, closes=True, flags=False, seen=0, counter=OVERLOAD_REJECT,
           proxy={"workers": 2, "options": ["--max-connections-per-client", "3"]}),
    driven("41 a client has half unless told", one_more_than_half, NOTHING, closes=True, flags=False, seen=0,
           counter=OVERLOAD_REJECT, proxy=few_files(64)),
    driven("41 all clients leave some for hosts", all_who_fit, proxy=few_files(64)),
    driven("42 no more clients", no_more_clients, proxy=few_files(64)),
    driven("42 no descriptors left", no_descriptors, seen=None, proxy=few_files(64), policy=PATIENT),
]  # fmt: skip


# ---- 43: memory ----

SHRINKS = "envoy_overload_envoy_overload_actions_shrink_heap_active"
REFUSES = "envoy_overload_envoy_overload_actions_stop_accepting_requests_active"
PRESSURE = "envoy_overload_envoy_resource_monitors_fixed_heap_pressure"
ROOM = 6 * MIB
# Freed memory goes back to the system at once, as malloc_trim() has it without a sanitizer.
GIVES_BACK = ("detect_leaks=0:abort_on_error=0:quarantine_size_mb=0:thread_local_quarantine_size_kb=0:"
              "allocator_release_to_os_interval_ms=50")  # fmt: skip
FIELD = b"X-A: " + b"x" * 4000 + b"\r\n"
LARGEST_HEAD = GET + FIELD * 14 + b"\r\n"
LARGE_HEAD = GET + FIELD * 3 + b"\r\n"  # no larger than a buffer: until memory is short they are all taken


def little_memory(world, sanitized_room=ROOM):
    """A limit that leaves some room above what a proxy needs at rest, whatever it was built with."""
    proxy = world.proxy(Site().backend("one", world.origin("any")).simple_route("one"), env={"ASAN_OPTIONS": GIVES_BACK})
    assert proxy.ask().status == 200
    rest = proxy.rss_kib() << 10
    limit = rest + (sanitized_room if rest > 10 * MIB else ROOM)
    proxy.stop()
    options = ["--memory-limit", str(limit), "--max-connections-per-client", "1000", "--header-timeout", "5m"]
    return {"options": options, "env": {"ASAN_OPTIONS": GIVES_BACK}}


def answered(clients):
    """Those for whom something has come."""
    poll, by_fd = select.poll(), {c.sock.fileno(): c for c in clients}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(0)]


class Pressure:
    """Requests that are under way and hold memory, until they are let go."""

    def __init__(self, scene):
        self.scene, self.go, self.clients = scene, threading.Event(), []
        scene.behaves = self.hold

    def hold(self, wire, request):
        if "held" in request.target:
            self.go.wait(120)
        return echo(wire, request)

    def one_more(self):
        """Whether it is under way now."""
        scene = self.scene
        client, n = scene.client(timeout=90), len(scene.origin.requests)
        client.send(LARGE_HEAD.replace(b"%T", scene.row.target.encode() + b"/held"))
        wait_for(lambda: len(scene.origin.requests) > n or answered([client]), 20, "the request at the host")
        if answered([client]):
            return False  # it came too late
        self.clients.append(client)
        assert len(self.clients) < 400
        return True

    def until(self, percent, metric):
        """More of them until so much is used and the proxy has noticed. It looks five times a second, and what it gives back
        meanwhile has to be used again."""
        scene = self.scene

        def noticed():
            while scene.metric(PRESSURE) < percent and self.one_more():
                pass
            return scene.metric(metric) == 1

        wait_for(noticed, 20, metric)

    def while_at(self, percent, metric, attempt):
        """Until `attempt()` holds while it lasts: what the proxy gives back may end it at any moment, and then it was in vain."""
        for _ in range(20):
            self.until(percent, metric)
            if attempt():
                return
            assert self.scene.metric(metric) == 0, f"{metric}, and it makes no difference"
        raise AssertionError(f"{metric} never lasts")

    def end(self):
        """All of them are answered, and it is over."""
        self.go.set()
        assert [c.response().status for c in self.clients] == [200] * len(self.clients)
        for c in self.clients:
            c.close()
        wait_for(lambda: self.scene.metric(SHRINKS) == 0, 20, "the memory to be given back")
        assert not self.scene.proxy.ask("/over").says_close


def shrinks(scene):
    """Idle connections end, on both sides; whoever asks is served, and then has to connect anew."""
    idle = scene.client()
    assert idle.ask("/before").status == 200
    pressure = Pressure(scene)
    pressure.until(95, SHRINKS)
    scene.answer(idle)
    assert scene.metric(REFUSES) == 0
    pressure.while_at(95.5, SHRINKS, lambda: scene.proxy.ask("/meanwhile").says_close)
    wait_for(lambda: len(scene.origin.open) == len(pressure.clients), 20, "the idle connection to the host to end")
    pressure.end()
    wait_for(lambda: scene.metric("envoy_overload_envoy_overload_actions_shrink_heap_shrink_count") >= 1, 5, "memory given back")


def refuses(scene):
    """What is under way goes on; whoever comes then is refused, and no side of a Migration is to blame."""
    late = [scene.client() for _ in range(20)]
    for client in late:
        client.send(b"GET %b HTTP/1.1\r\n" % scene.row.target.encode())
    pressure = Pressure(scene)
    sides = ("watari_migration_requests_total", "watari_migration_bad_total", "watari_migration_lost_total")

    def refused():
        client, before, totals = late.pop(), [scene.metric(m) for m in sides], scene.proxy.metrics()
        client.send(b"Host: one.test\r\n\r\n")
        response = client.response()
        if response.status == 200:
            return False
        assert [scene.metric(m) for m in sides] == before
        rise = rise_of(scene.proxy, totals, (OVERLOAD_CLOSE, LOST))
        assert all(n == 1 for n in rise.values()), rise
        scene.out.address, scene.out.response, scene.out.closed = client.address, response, client.is_closed()
        return True

    def turned_away():
        rejected, client = scene.metric(OVERLOAD_REJECT), scene.client()
        try:
            client.ask("/turned-away")
            return False
        except (Ended, WasReset):
            return scene.metric(OVERLOAD_REJECT) == rejected + 1

    pressure.while_at(98.5, REFUSES, refused)
    pressure.while_at(98.5, REFUSES, turned_away)
    pressure.end()
    wait_for(lambda: scene.metric(sides[0]) > len(pressure.clients), 5, "the last to be counted")
    assert scene.metric(sides[1]) == 0


def much_memory(world):
    """What a burst needs to be served in part: with sanitizers a request takes five times as much."""
    return little_memory(world, sanitized_room=5 * ROOM)


def peak_percent(scene):
    return 100 * (scene.proxy.peak_kib() << 10) / scene.metric("watari_memory_limit_bytes")


def burst(data, rest=b""):
    """All at once, also for the proxy, which stands still meanwhile: it goes past its limit with none of them. Without a
    look at the memory while it takes them it went to 1.2 to 3 times the limit."""

    def drive(scene):
        clients = [scene.client(timeout=90) for _ in range(400)]
        wait_for(lambda: scene.metric("envoy_http_downstream_cx_active") == len(clients), 20, "all to be connected")
        pressure = Pressure(scene)
        os.kill(scene.proxy.process.pid, signal.SIGSTOP)
        for c in clients:
            c.send(data.replace(b"%T", scene.row.target.encode() + b"/held"))
        os.kill(scene.proxy.process.pid, signal.SIGCONT)
        refused = lambda: answered(clients)
        if rest:
            wait_for(refused, 20, "some to be refused")
            for c in clients:
                if not answered([c]):
                    c.send(rest)
        wait_for(lambda: len(scene.origin.requests) + len(refused()) == len(clients), 30, "each to be held or refused")
        pressure.go.set()
        statuses = {c.response().status for c in clients}
        assert peak_percent(scene) < 105
        assert 503 in statuses <= {200, 503}
        assert rest or 200 in statuses
        for c in clients:
            c.close()
        wait_for(lambda: scene.metric(SHRINKS) == 0, 20, "the memory to be given back")
        scene.play(scene.request())

    return drive


def under_migration(site, world):
    site.backend("new", world.origin("new"))
    site.migration("m", 0, route="one", from_="one", to="new")


MEMORY = [
    driven("43 at 95 per cent it shrinks", shrinks, NOTHING, closes=True, flags=False, seen=None, proxy=little_memory,
           policy=PATIENT, within_s=120),
    driven("43 at 98 per cent it refuses", refuses, 503, closes=True, flags="OM", seen=None, proxy=little_memory,
           policy=PATIENT, within_s=120, site=under_migration),
    *(driven("43 a burst of " + what, burst(*data), seen=None, proxy=much_memory, policy=PATIENT, within_s=120)
      for what, *data in [("small heads", GET + b"\r\n"), ("large heads", LARGEST_HEAD),
                          ("heads in two parts", GET + b"X-A: " + b"x" * 8000, b"\r\n\r\n")]),
]  # fmt: skip


# ---- 44: the fast and the slow ----

LARGE = 64 * MIB  # the kernel's buffers hold some MiB of it, ours a window


def stands_still(sent):
    def check():
        was = sent()
        time.sleep(0.3)
        return 0 < was == sent()

    wait_for(check, 20, "the fast side to be slowed down")
    assert sent() < LARGE * 2 / 3


def swallow(wire):
    """A large body, without keeping it."""
    left, scratch = LARGE - len(wire.buffer), bytearray(MIB)
    wire.buffer = b""
    while left:
        n = wire.sock.recv_into(scratch, min(left, MIB))
        assert n
        left -= n


def send_large(wire, request):
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    wire.sock.settimeout(None)
    while request.sent < LARGE:
        wire.send(b"x" * 65536)
        request.sent += 65536
    request.whole = True
    return True


def slow_reader(scene):
    client = scene.client(receive_buffer=32 * KIB)
    before = scene.proxy.rss_kib()
    client.send(scene.request())
    wait_for(lambda: scene.origin.requests, 5, "the request at the host")
    stands_still(lambda: scene.origin.requests[0].sent)
    assert scene.proxy.rss_kib() - before < 1 * KIB
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
    scene.out.address, scene.out.response = client.address, client.head()
    swallow(client)
    scene.out.again = client.ask("/after" + scene.row.target).json["target"]


def slow_host(scene):
    go, sent = threading.Event(), [0]

    def behave(wire, request):
        go.wait(60)
        swallow(wire)
        wire.send(answer(200, b"ok"))
        return True

    def send(client):
        while sent[0] < LARGE:
            sent[0] += client.sock.send(b"x" * 65536)

    scene.behaves = behave
    client = scene.client()
    client.send(scene.request(POST + b"Content-Length: %d\r\n" % LARGE))
    before = scene.proxy.rss_kib()
    thread = threading.Thread(target=send, args=(client,))
    thread.start()
    stands_still(lambda: sent[0])
    assert scene.proxy.rss_kib() - before < 1 * KIB
    go.set()
    thread.join()
    scene.answer(client)


PACE = [
    driven("44 a slow reader slows the host down", slow_reader, behave=send_large, within_s=60),
    driven("44 a slow host slows the client down", slow_host, within_s=60),
]


# ---- 45: what a client can make long; 46: the log ----


def no_room_for_the_log(scene):
    for _ in range(3):
        assert scene.proxy.ask("/before").status == 200
        time.sleep(0.25)
    scene.play(scene.request())
    wait_for(lambda: scene.metric("watari_access_log_write_errors_total") >= 1, 5, "the loss to be told")


SCARCITY = [
    *PATIENCE,
    *CONNECTIONS,
    *MEMORY,
    *PACE,
    served("45 many cookies", GET + b"Cookie: " + b"; ".join(b"c%d=%d" % (i, i) for i in range(3000)) + b"\r\n\r\n", within_cpu_s=1),
    served("45 many dots", b"GET " + b"/a/.." * 1600 + b"%T HTTP/1.1\r\nHost: one.test\r\n\r\n", target_is("/row/45-many-dots"),
           within_cpu_s=1),  # fmt: skip
    served("45 many fields of one name", GET + b"X-A: b\r\n" * 95 + b"\r\n", within_cpu_s=1),
    driven("46 no room for the log", no_room_for_the_log, flags=False, proxy={"log": "/dev/full"}),
]
