"""What a client or a host does on purpose: it costs itself something, and nobody else."""

import contextlib
import threading
import time

import pytest

from fault_rig import kept
from rig import Client, Ended, Site, Starved, WasReset, echo, wait_for

KIB, MIB = 1 << 10, 1 << 20


def one_origin(world, behave=echo, **more):
    origin = world.origin("one", behave)
    return world.proxy(Site().backend("one", origin).simple_route("one"), **more), origin


def alive(proxy):
    assert proxy.ask("/alive").status == 200


# ---- what other clients would get to feel ----


def test_connect_makes_no_tunnel_of_a_kept_connection(world):
    def behave(wire, request):
        if request.method == "CONNECT":
            wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            return True
        return echo(wire, request)

    proxy, origin = one_origin(world, behave)
    client = world.client(proxy)
    client.send(b"CONNECT one.test:80 HTTP/1.1\r\nHost: one.test:80\r\n\r\n")
    assert client.response().status == 405
    assert [r for r in origin.requests if r.method == "CONNECT"] == []
    alive(proxy)


# (name, method of the request, what the host sends, what it sends later)
SURPLUS = [
    ("a body after HEAD", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"evil"),
    ("a body after 204", "GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"evil"),
    ("a body after 304", "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", b"evil"),
    ("more than its length", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"evil"),
    ("more at once", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokevil", b""),
]


@pytest.mark.parametrize("method,first,later", [row[1:] for row in SURPLUS], ids=[row[0] for row in SURPLUS])
def test_a_host_that_sends_too_much_gets_no_two_requests_on_a_connection(world, method, first, later):
    """What comes after an answer is met by whoever uses the connection next, if it comes a moment later than that request."""
    told = threading.Event()

    def behave(wire, request):
        if "/much" not in request.target:
            return echo(wire, request)
        wire.send(first)
        if later:
            told.wait(60)
            wire.send(later)
        return True

    proxy, origin = one_origin(world, behave)
    client = world.client(proxy)
    before = kept(client)
    client.on_head = told.set  # at once: after a second it would be a last word
    client.ask("/much", method=method)
    assert origin.seen("/much")[0].connection == before
    wait_for(lambda: proxy.metric("watari_cluster_upstream_cx_surplus") == 1, 5, "it to be noticed")
    after = [client.ask(f"/after{i}").json for i in range(4)]
    assert len({a["connection"] for a in after}) == 4, after
    assert all(["connection", "close"] in a["fields"] for a in after), after
    assert proxy.errors().count("sends more than its answers") == 1


def test_a_last_word_on_an_idle_connection_is_no_surplus(world):
    """Some servers send 408 before they close a connection that was idle: that is no reason to distrust them."""
    answered = threading.Event()

    def behave(wire, request):
        echo(wire, request)
        if request.target == "/last":
            answered.wait(60)
            time.sleep(1.3)  # the point: longer than answers are late
            wire.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        return True

    proxy, _ = one_origin(world, behave)
    client = world.client(proxy)
    before = kept(client)
    assert client.ask("/last").json["connection"] == before
    answered.set()
    wait_for(lambda: proxy.metric("envoy_cluster_upstream_cx_active") == 0, 5, "the connection to be given up")
    assert kept(client) > before
    assert proxy.metric("watari_cluster_upstream_cx_surplus") == 0


def worst_of(proxy, n=15):
    client = Client(proxy.port, timeout=60)
    times = []
    for _ in range(n):
        begin = time.monotonic()
        with Starved(proxy.process.pid) as starved:
            client.ask("/other")
            times.append(time.monotonic() - begin - starved.s())
    client.close()
    return sorted(times)[n // 2], times


def besides(work, look):
    """What `look` says while threads do `work(stop)`."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,), daemon=True) for _ in range(2)]
    [t.start() for t in threads]
    time.sleep(0.2)  # into the middle of it
    try:
        return look()
    finally:
        stop.set()
        [t.join(5) for t in threads]


def test_a_flood_of_requests_that_wait_for_nobody(world):
    proxy, _ = one_origin(world)
    batch = b"GET /none HTTP/1.1\r\nHost: nobody.test\r\n\r\n" * 400

    def drink(client):
        try:
            while client.sock.recv(MIB):
                pass
        except OSError:
            pass

    def flood(stop):
        client = Client(proxy.port)
        threading.Thread(target=drink, args=(client,), daemon=True).start()
        while not stop.is_set():
            client.send(batch)
        client.close()

    middle, times = besides(flood, lambda: worst_of(proxy))
    assert middle < 0.3, times


def test_chunks_of_one_byte_do_not_buy_a_longer_turn(world):
    proxy, origin = one_origin(world)
    batch = b"1\r\nx\r\n" * 20000

    def dribble(stop):
        client = Client(proxy.port)
        client.send(b"POST /dribble HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not stop.is_set():
            client.send(batch)
        client.close()

    middle, times = besides(dribble, lambda: worst_of(proxy))
    assert middle < 0.3, times


def test_thousands_of_connection_options_are_refused(world):
    proxy, origin = one_origin(world)
    fields = "".join(f"a{i}: b\r\n" for i in range(80))
    client = world.client(proxy)
    client.send((f"GET /few HTTP/1.1\r\nHost: one.test\r\n{fields}Connection: " + ", ".join(f"a{i}" for i in range(60)) + "\r\n\r\n").encode())
    few = client.response()
    assert few.status == 200 and not few.seen("a59") and few.seen("a60")
    for line in ("Connection: " + "a1," * 15000, "\r\n".join(["Connection: a1,a2"] * 60), "Connection: " + "," * 30000):
        client = world.client(proxy)
        client.send(f"GET /many HTTP/1.1\r\nHost: one.test\r\n{line}\r\n\r\n".encode())
        assert client.response().status == 431
    assert origin.seen("/many") == []


def test_a_slow_upload_is_no_evidence_against_a_side(world):
    old, new = world.origin("old"), world.origin("new")
    site = Site().backend("old", old).backend("new", new).simple_route("one", "old")
    site.migration("m", 100, route="one", guard={"slowerThan": "1500ms"}, userKey={"header": "X-User", "stable": True})
    proxy = world.proxy(site)

    origins = []

    def upload(i):
        client = Client(proxy.port, timeout=60)
        client.send(f"POST /up HTTP/1.1\r\nHost: one.test\r\nX-User: u{i}\r\nContent-Length: 10\r\n\r\n".encode())
        time.sleep(2.5)  # far over slowerThan
        client.send(b"x" * 10)
        origins.append(client.response().json["origin"])
        client.close()

    threads = [threading.Thread(target=upload, args=(i,)) for i in range(80)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert origins == ["new"] * 80
    assert proxy.ask("/after").json["origin"] == "new"
    assert "verdict" not in proxy.errors()
    assert proxy.metric("watari_migration_bad_total") < 20


# ---- 100-continue ----


def test_no_100_into_an_answer(world):
    """The host answers while the body is under way and takes none of it: a 100 that was still owed must not come in the middle."""

    def behave(wire, request):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        time.sleep(0.3)  # there is time for the 100
        wire.send(b"67890")
        wire.rest()  # a close with a body that nobody has read is a reset, which may overtake the answer

    proxy, _ = one_origin(world, behave)
    for first in (b"", b"x" * 10):
        client = world.client(proxy)
        client.send(b"POST / HTTP/1.1\r\nHost: one.test\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n" + first)
        response = client.response()
        assert response.body == b"1234567890" and response.says_close


def test_a_client_that_expects_100_and_sends_all_keeps_its_connection(world):
    proxy, _ = one_origin(world)
    client = world.client(proxy)
    for _ in range(3):
        client.send(b"POST / HTTP/1.1\r\nHost: one.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
        response = client.response()
        assert response.status == 200 and response.json["body"] == "abc" and not response.says_close


# ---- bounds ----


def test_endless_things_end(world):
    """(sent by the client, first status)"""
    proxy, origin = one_origin(world)
    start = b"GET / HTTP/1.1\r\nHost: one.test\r\n"
    chunked = b"POST / HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    rows = [
        (start + b"a: b\r\n" * 5000 + b"\r\n", 431),
        (start + b"a: " + b"x" * 200000, 431),
        (b"GET /" + b"x" * 100000, 414),
        (b"GET /" + b"%2e" * 2600 + b" HTTP/1.1\r\nHost: one.test\r\n\r\n", 200),
        (start + b"Content-Length: 9223372036854775808\r\n\r\n", 400),
        (start + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n", 400),
        (chunked + b"1;" + b"a" * 10000 + b"\r\nx\r\n0\r\n\r\n", 400),
        (chunked + b"1;a\r\nx\r\n" * 5000, 400),
        (chunked + b"0" * 100 + b"\r\n\r\n", 400),
        (chunked + b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n", 400),
        (start + b"a\0b: c\r\n\r\n", 400),
        (b"\r\n" * 5000, 400),
    ]
    before = proxy.rss_kib()
    for sent, status in rows:
        client = world.client(proxy)
        try:
            client.send(sent)
        except WasReset:
            pass
        try:
            assert client.head().status == status, sent[:80]
        except (WasReset, Ended):
            pytest.fail(f"no answer to {sent[:80]}")
    alive(proxy)
    assert proxy.rss_kib() - before < 24 * KIB
    assert not [r for r in origin.requests if r.target.startswith("/x")]


@pytest.mark.parametrize(
    "start, more",
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\na: ", b"x" * 1000),
        (b"", b"x" * 1000),
        (b"HTTP/1.1 200 ", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nConnection: a", b",a" * 500),
    ],
)
def test_a_host_that_never_comes_to_the_point(world, start, more):
    def behave(wire, request):
        wire.send(start)
        for _ in range(2000):
            wire.send(more)

    proxy, _ = one_origin(world, behave)
    before = proxy.rss_kib()
    response = proxy.ask()
    assert response.status == 502
    assert proxy.rss_kib() - before < 8 * KIB


def test_an_answer_cut_at_each_byte(world):
    """A cut answer is a failure that the client sees; it is whole only where it was whole."""
    whole = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    }

    def behave(wire, request):
        _, kind, n = request.target.split("/")
        wire.send(whole[kind][: int(n)])

    proxy, _ = one_origin(world, behave)
    for kind, data in whole.items():
        for n in range(len(data) + 1):
            try:
                told = proxy.ask(f"/{kind}/{n}").status
            except (Ended, WasReset):
                told = "cut"
            head = data.index(b"\r\n\r\n") + 4
            assert told == (502 if n < head else "cut" if n < len(data) else 200), (kind, n)


def test_a_client_that_never_reads(world):
    proxy, origin = one_origin(world)
    client = world.client(proxy, receive_buffer=4096)
    before = proxy.rss_kib()
    batch = b"GET /flood HTTP/1.1\r\nHost: one.test\r\n\r\n" * 100
    client.sock.setblocking(False)
    sent = 0

    def stuck():
        """The client can send no more, and for a while nothing comes to the host."""
        nonlocal sent
        served = len(origin.requests)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                sent += client.sock.send(batch[sent % len(batch) :])
            return False
        time.sleep(0.5)
        return served and len(origin.requests) - served < 5

    wait_for(stuck, 10, "the requests to stop, since nobody takes the answers")
    assert proxy.rss_kib() - before < 4 * KIB
    alive(proxy)


def test_a_flood_of_connections_and_what_is_left_of_it(world):
    proxy, _ = one_origin(world, nofile=256)
    clients = []
    for i in range(400):
        client = Client(proxy.port)
        clients.append(client)
        if i % 2:
            client.send(b"GET / HT")

    def rests():
        spent = proxy.cpu_s()
        time.sleep(0.5)  # the span of the measurement
        return proxy.cpu_s() - spent < 0.2

    wait_for(rests, 5, "it to rest, not spin")
    for client in clients:
        client.reset() if client is not clients[0] else client.close()
    wait_for(lambda: proxy.metric("envoy_http_downstream_cx_active") <= 2, 5, "the connections to end")
    alive(proxy)


# ---- the admin port ----


def admin_says(proxy, data):
    client = Client(proxy.admin_port)
    try:
        client.send(data)
    except WasReset:
        pass
    try:
        return client.head().status
    except (Ended, WasReset):
        return 0
    finally:
        client.close()


def test_the_admin_port(world):
    proxy, _ = one_origin(world)
    here = f"Host: 127.0.0.1:{proxy.admin_port}\r\n".encode()
    rows = [
        (b"GET /metrics HTTP/1.1\r\n" + here + b"\r\n", 200),
        (b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /config HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403),  # a name that was made to point here: DNS rebinding
        (b"GET /config HTTP/1.1\r\nHost: 127.0.0.1.evil.test\r\n\r\n", 403),
        (b"POST /quitquitquit HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 0\r\n\r\n", 403),
        (b"POST /quitquitquit HTTP/1.1\r\n" + here + b"Origin: http://evil.test\r\nContent-Length: 0\r\n\r\n", 403),
        (b"POST /quitquitquit HTTP/1.1\r\n" + here + b"Origin: null\r\nContent-Length: 0\r\n\r\n", 403),
        (b"GET /quitquitquit HTTP/1.1\r\n" + here + b"\r\n", 405),
        (b"DELETE /metrics HTTP/1.1\r\n" + here + b"\r\n", 405),
        (b"GET /../../etc/passwd HTTP/1.1\r\n" + here + b"\r\n", 404),
        (b"GET /%2e%2e%2fetc/passwd HTTP/1.1\r\n" + here + b"\r\n", 404),
        (b"GET /%00 HTTP/1.1\r\n" + here + b"\r\n", 400),
        (b"POST /logging?level=" + b"x" * 4000 + b" HTTP/1.1\r\n" + here + b"Content-Length: 0\r\n\r\n", 400),
        (b"POST /logging HTTP/1.1\r\n" + here + b"Content-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\n" + here + b"a: b\r\n" * 3000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + here + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ]
    for data, status in rows:
        assert admin_says(proxy, data) == status, data[:100]
    assert proxy.process.poll() is None
    alive(proxy)
    idle = [Client(proxy.admin_port) for _ in range(80)]
    for c in idle:
        c.close()
    wait_for(lambda: admin_says(proxy, rows[0][0]) == 200, 5, "the admin port to serve again")
