"""Whole exchanges: order, framing both ways, streams, connections kept and not kept."""

import collections
import hashlib
import os
import socket
import threading
import time
from email.utils import parsedate_to_datetime

import pytest

from rig import GATEWAY_API, HOST, Client, Prefork, Site, Starved, WasReset, answer, ask, echo, free_port, ref, take_body, wait_for


def one_origin(world, behave=echo, name="one", workers=1, origin=None, policy=None, **more):
    origin = origin or world.origin(name, behave)
    site = Site().backend("one", origin).simple_route("one")
    if policy:
        site.policy("one", **policy)
    return world.proxy(site, workers=workers, **more), origin


def kept_connection(client):
    """The number of the host's connection that carries the client's requests from now on. A new one is not kept when the host took
    half a second for its first answer."""
    numbers = [0]

    def again():
        numbers.append(client.ask("/again").json["connection"])
        return numbers[-1] == numbers[-2]

    wait_for(again, 10, "a connection to the host that is kept")
    return numbers[-1]


# ---- order and framing ----


def test_pipelined_requests_are_answered_in_order(world):
    def behave(wire, request):
        if request.target.endswith("0"):
            time.sleep(0.05)
        return echo(wire, request)

    proxy, _ = one_origin(world, behave)
    client = world.client(proxy)
    parts, want = [], []
    for i in range(20):
        target = f"/p/{i}"
        want.append(target)
        if i % 3 == 0:
            parts.append(f"POST {target} HTTP/1.1\r\nHost: one.test\r\nContent-Length: 5\r\n\r\nhello")
        elif i % 3 == 1:
            parts.append(f"POST {target} HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        else:
            parts.append(f"GET {target} HTTP/1.1\r\nHost: one.test\r\n\r\n")
    client.send("".join(parts).encode())
    answers = [client.response() for _ in parts]
    assert [a.json["target"] for a in answers] == want
    assert [a.json["body"] for a in answers] == ["hello", "hello", ""] * 6 + ["hello", "hello"]


def test_a_head_byte_by_byte(world):
    proxy, _ = one_origin(world)
    client = world.client(proxy)
    for byte in b"POST /slow HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX-T: v\r\n\r\n":
        client.send(bytes([byte]))
    assert client.response().json["body"] == "abc"


def test_bytes_are_counted_as_they_pass(world):
    """Heads, bodies and what is between them, both ways; an answer made here; a 100; a head that is none."""
    proxy, _ = one_origin(world)
    parts = [b"GET /a HTTP/1.1\r\nHost: one.test\r\n\r\n",
             b"POST /b HTTP/1.1\r\nHost: one.test\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000,
             b"GET /c HTTP/1.1\r\nHost: nobody.test\r\n\r\n",
             b"not HTTP\r\n\r\n"]  # fmt: skip
    expecting = b"POST /d HTTP/1.1\r\nHost: one.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    received = 0
    with socket.create_connection((HOST, proxy.port), 60) as s:
        s.sendall(expecting)
        first = s.recv(1 << 16)
        assert first.startswith(b"HTTP/1.1 100")
        received += len(first)
        s.sendall(b"abc" + b"".join(parts))
        while piece := s.recv(1 << 16):
            received += len(piece)
    sent = len(expecting) + 3 + sum(map(len, parts))

    def counted(way):
        return proxy.metric(f"envoy_http_downstream_cx_{way}_bytes_total")

    wait_for(lambda: counted("rx") == sent and counted("tx") == received, 5, f"{sent} in and {received} out to be counted")


def test_http_1_0(world):
    def behave(wire, request):
        if request.target == "/chunked":
            take_body(wire, request)
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            return True
        return echo(wire, request)

    proxy, _ = one_origin(world, behave)
    kept = world.client(proxy)
    for _ in range(2):
        kept.send(b"GET /kept HTTP/1.0\r\nHost: one.test\r\nConnection: keep-alive\r\n\r\n")
        response = kept.response()
        assert response.status == 200 and response.get("connection").lower() == "keep-alive"
    closed = world.client(proxy)
    closed.send(b"GET /closed HTTP/1.0\r\nHost: one.test\r\n\r\n")
    assert closed.response().json["target"] == "/closed"
    assert closed.is_closed()
    # A client of 1.0 knows no chunks: the end of the connection is the end of the body.
    for wish in (b"", b"Connection: keep-alive\r\n"):
        client = world.client(proxy)
        client.send(b"GET /chunked HTTP/1.0\r\nHost: one.test\r\n" + wish + b"\r\n")
        response = client.response()
        assert not response.chunked and response.get("content-length") is None
        assert response.body == b"hello"


def test_every_answer_has_one_date(world):
    """RFC 9110 §6.6.1: ours, and a host's that has none; a host's own stays as it is."""
    old = "Sun, 06 Nov 1994 08:49:37 GMT"

    def behave(wire, request):
        return echo(wire, request, *(["Date: " + old] if request.target == "/dated" else []))

    def dates(port, request):
        client = Client(port)
        client.send(request.encode())
        found = client.response().all("date")
        client.close()
        return found

    def get(target, host="one.test"):
        return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"

    redirect = {"type": "RequestRedirect", "requestRedirect": {"statusCode": 302, "path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}}
    remove = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["Date"]}}
    site = Site().backend("one", world.origin("one", behave)).simple_route("one").backend("dead", world.refusing()).simple_route("dead")
    site.route("moved", [{"filters": [redirect]}], ["moved.test"])
    site.route("undated", [{"filters": [remove], "backendRefs": [ref("one")]}], ["undated.test"])
    port = world.proxy(site).port
    assert dates(port, get("/dated")) == [old]
    assert dates(port, get("/", "undated.test")) == []
    for request in get("/"), get("/", "moved.test"), get("/", "dead.test"), get("/", "nobody.test"), "rubbish\r\n\r\n":
        found = dates(port, request)
        assert len(found) == 1, request
        assert abs(parsedate_to_datetime(found[0]).timestamp() - time.time()) < 60, request


def test_answers_without_a_body(world):
    heads = {
        "/204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
        "/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n",
        "/304-chunked": b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        "/head": b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
        "/head-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "/empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    }

    def behave(wire, request):
        if request.target in heads:
            take_body(wire, request)
            wire.send(heads[request.target])
            return True
        return echo(wire, request)

    proxy, _ = one_origin(world, behave)
    client = world.client(proxy)
    connection = kept_connection(client)
    for target in heads:
        method = "HEAD" if "head" in target else "GET"
        response = client.ask(target, method=method)
        assert response.status == (int(target[1:4]) if target[1].isdigit() else 200), target
        assert response.body == b""
        if target in ("/304", "/head"):
            assert response.get("content-length") == "1234", target
        if target == "/204":
            assert response.get("content-length") is None and not response.chunked
        seen = client.ask("/in-step").json
        assert seen["target"] == "/in-step", target
        assert seen["connection"] == connection, f"{target} costs the connection to the host"


def test_chunks_and_trailers_both_ways(world):
    def behave(wire, request):
        take_body(wire, request)
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Grpc-Status\r\n\r\n")
        for i in range(50):
            wire.send(b"%x;ext=%d\r\n%s\r\n" % (i + 1, i, b"d" * (i + 1)))
        wire.send(b"0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\nContent-Length: 7\r\n\r\n")
        return True

    proxy, origin = one_origin(world, behave)
    client = world.client(proxy)
    client.send(b"POST /up HTTP/1.1\r\nHost: one.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n")
    for i in range(50):
        client.send(b"%x\r\n%s\r\n" % (i + 1, b"u" * (i + 1)))
    client.send(b"0\r\nX-Up: 1\r\n\r\n")
    response = client.response()
    assert response.body == b"d" * (50 * 51 // 2)
    assert ("X-Sum", "1") in response.trailers and ("Grpc-Status", "0") in response.trailers
    assert "content-length" not in [n.lower() for n, _ in response.trailers], "framing may not come late"
    request = origin.seen("/up")[0]
    assert request.body == b"u" * (50 * 51 // 2)
    assert request.all("content-length") == []
    assert request.trailers == [("X-Up", "1")]


@pytest.mark.parametrize("modifier", [None, {"set": [{"name": f"x-{i}", "value": "y" * 4000} for i in range(8)]}])
def test_large_heads_of_answers(world, modifier):
    """Up to 64 KiB, whatever a filter adds; the connection goes on after them, and after one that is too large."""

    def behave(wire, request):
        n = int(request.target[1:])
        head = b"HTTP/1.1 200 OK\r\nX-Last: z\r\nContent-Length: 5000\r\n"
        fields = b"".join(b"X-%d: %s\r\n" % (i, b"v" * ((n - len(head) - 2) // 8 - 7)) for i in range(8))
        wire.send(head + fields + b"\r\n" + b"b" * 5000)
        return True

    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}] if modifier else []
    site = Site().backend("one", world.origin("one", behave)).simple_route("one", filters=filters)
    proxy = world.proxy(site)
    client = world.client(proxy)
    for n, status in ((1000, 200), (11000, 200), (14000, 200), (16000, 200), (30000, 200), (65000, 200), (66000, 502), (40000, 200), (100, 200)):
        response = client.ask(f"/{max(n, 300)}")
        assert response.status == status, n
        if status == 200:
            assert response.body == b"b" * 5000 and response.get("x-last") == "z"
            values = [response.get(f"x-{i}") for i in range(8)]
            assert all(v == "y" * 4000 for v in values) if modifier else sum(map(len, values)) > max(n, 300) - 200


def test_an_answer_is_streamed_not_collected(world):
    go_on = threading.Event()

    def behave(wire, request):
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert go_on.wait(60)
        wire.send(b"4\r\nlast\r\n0\r\n\r\n")
        return True

    proxy, _ = one_origin(world, behave)
    client = world.client(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
    client.head()
    assert client.until(b"\r\n") == b"5" and client.exactly(5) == b"first"
    go_on.set()
    assert client.until(b"0\r\n\r\n").endswith(b"last\r\n")


# ---- kept connections ----


def test_posts_never_go_out_twice_under_random_resets(world):
    """A host that breaks one in five: whatever the proxy's pool holds at that moment, a POST's id is seen once at most."""

    def behave(wire, request):
        number = int(request.target.rpartition("/")[2])
        if number % 5 == 0:
            wire.reset()
            return False
        if number % 7 == 0:
            echo(wire, request)
            return False  # closes without having said so
        return echo(wire, request)

    hosts = [world.origin(n, behave) for n in "abc"]
    site = Site().backend("one", *hosts).simple_route("one")
    site.policy("one", retry={"numRetries": 3, "retryOn": {"triggers": ["5xx", "reset", "connect-failure", "reset-before-request"]}})
    proxy = world.proxy(site, workers=2)
    statuses = {}

    def work(k):
        client = Client(proxy.port)
        for i in range(k, 300, 6):
            method = "POST" if i % 2 else "GET"
            statuses[i] = client.ask(f"/x/{i}", method=method, body=b"x" if i % 2 else None).status
        client.close()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(statuses) == 300
    unlucky = 0
    times = collections.Counter(r.target for h in hosts for r in h.requests)
    for i in range(300):
        seen = times[f"/x/{i}"]
        if i % 2 and i % 5 == 0:
            assert seen <= 1 and statuses[i] == 502, f"POST {i} went out {seen} times"
        elif i % 2:
            # A host's end may cross a POST on its way: then nobody knows, and nobody tries again.
            assert (seen, statuses[i]) in ((1, 200), (0, 502)), i
            unlucky += seen == 0
        elif i % 5:
            assert statuses[i] == 200, i
    assert unlucky <= proxy.metric("watari_cluster_upstream_cx_reused_stale")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_body_that_goes_by_gets_no_connection_near_its_end(world, method):
    """It is not kept, so that even an idempotent request can not be sent again when its connection dies."""
    enough = threading.Event()

    def behave(wire, request):
        echo(wire, request)
        return request.target != "/last" or not enough.wait(60)

    proxy, _ = one_origin(world, behave)
    client = world.client(proxy)

    def streamed():
        client.send(f"{method} /streamed HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
        client.send(b"0\r\n\r\n")
        seen = client.response().json
        assert seen["body"] == "hello"
        return seen["connection"]

    connection = kept_connection(client)
    assert streamed() == connection, "any will do before one was seen to end"
    begin = time.monotonic()
    client.ask("/last")
    proxy.settled()
    time.sleep(0.5)  # the host's patience: what is shorter than 0.2 s teaches nothing
    enough.set()
    wait_for(lambda: proxy.metric("envoy_cluster_upstream_cx_active") == 0, 5, "the host's end to be seen")
    patience = time.monotonic() - begin  # at least what the proxy has seen of it
    connection = kept_connection(client)
    proxy.ask(host="nobody.test")  # with its next turn the worker is done with all of that
    time.sleep(patience - 0.1)  # the point: below it, but near; the host itself has all the time from now on
    assert streamed() == connection + 1


# ---- many bytes ----


def rss_bounded(proxy, before_kib, limit_kib=8 * 1024):
    growth = proxy.rss_kib() - before_kib
    assert growth < limit_kib, f"{growth} KiB more"


MIB = 1 << 20


def test_an_upload_goes_through_in_little_memory(world):
    digest = hashlib.sha256()
    size = 200 * MIB

    def behave(wire, request):
        if request.target != "/big":
            return echo(wire, request)
        left = size
        digest.update(wire.buffer)
        left -= len(wire.buffer)
        wire.buffer = b""
        while left:
            part = wire.sock.recv(min(left, MIB))
            assert part
            digest.update(part)
            left -= len(part)
        wire.send(answer(200, b"ok"))
        return True

    proxy, _ = one_origin(world, behave)
    for _ in range(5):
        ask(proxy.port, "/warm", method="POST", body=b"x" * 100)
    before = proxy.rss_kib()
    block = os.urandom(MIB)
    want = hashlib.sha256()
    client = world.client(proxy, timeout=60)
    client.send(b"POST /big HTTP/1.1\r\nHost: one.test\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // MIB):
        client.send(block)
        want.update(block)
    assert client.response().body == b"ok"
    assert digest.hexdigest() == want.hexdigest()
    rss_bounded(proxy, before)
    entry = proxy.wait_log(path="/big")[0]
    assert entry["bytes_received"] == size


def flood(wire, request):
    """As many bytes as the peer takes, counted."""
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    wire.sock.settimeout(None)
    while True:
        wire.send(piece)
        request.sent += 65536


def test_two_streams_do_not_keep_others_waiting(world):
    def behave(wire, request):
        return flood(wire, request) if request.target == "/flood" else echo(wire, request)

    proxy, origin = one_origin(world, behave)
    stop = threading.Event()

    def drink():
        client = Client(proxy.port)
        client.send(b"GET /flood HTTP/1.1\r\nHost: one.test\r\n\r\n")
        while not stop.is_set():
            client.sock.recv(MIB)
        client.close()

    threads = [threading.Thread(target=drink) for _ in range(2)]
    [t.start() for t in threads]
    wait_for(lambda: sum(r.sent > MIB for r in origin.seen("/flood")) == 2, 10, "two streams under way")
    times = []
    client = world.client(proxy, timeout=60)
    for _ in range(20):
        begin = time.monotonic()
        with Starved(proxy.process.pid) as starved:
            assert client.ask("/small").status == 200
            times.append(time.monotonic() - begin - starved.s())
    stop.set()
    [t.join() for t in threads]
    assert sorted(times)[10] < 0.5, times


# ---- those who go away ----


def test_a_client_that_goes_away_is_noticed_while_the_host_thinks(world):
    ended = threading.Event()

    def behave(wire, request):
        if request.target != "/think":
            return echo(wire, request)
        try:
            wire.rest()
        except WasReset:
            pass
        ended.set()

    proxy, origin = one_origin(world, behave)
    client = Client(proxy.port)
    client.send(b"GET /think HTTP/1.1\r\nHost: one.test\r\n\r\n")
    wait_for(lambda: origin.seen("/think"), 5, "the request at the host")
    client.reset()
    assert ended.wait(60), "the host's connection outlives the client"
    entry = proxy.wait_log(path="/think")[0]
    assert (entry["response_code"], entry["response_flags"]) == (0, "DC")
    assert proxy.metric("watari_requests_lost_total") == 0, "the client left; nothing was lost"
    assert proxy.metric("envoy_http_downstream_rq_rx_reset") == 1
    wait_for(lambda: proxy.metric("envoy_cluster_upstream_rq_tx_reset") == 1, 5, "the reset to count")


def test_a_client_that_has_said_all_may_close_its_half(world):
    closed = threading.Event()

    def behave(wire, request):
        assert closed.wait(60)
        time.sleep(0.2)  # the half is closed for a while by then
        return echo(wire, request)

    proxy, origin = one_origin(world, behave)
    client = world.client(proxy)
    client.send(b"GET /half HTTP/1.1\r\nHost: one.test\r\n\r\n")
    wait_for(lambda: origin.seen("/half"), 5, "the request at the host")
    client.fin()
    closed.set()
    assert client.response().json["target"] == "/half"


def test_a_body_cut_off_by_the_client_is_not_a_request(world):
    done = threading.Event()

    def behave(wire, request):
        try:
            take_body(wire, request)
        finally:
            done.set()
        wire.send(answer(200))

    proxy, origin = one_origin(world, behave)
    client = Client(proxy.port)
    client.send(b"POST /cut HTTP/1.1\r\nHost: one.test\r\nContent-Length: 10\r\n\r\nhello")
    wait_for(lambda: origin.requests, 5, "the head at the origin")
    client.fin()
    assert done.wait(60)
    assert not origin.requests[0].whole
    client.close()


# ---- scarcity ----


def test_a_port_that_somebody_else_holds_is_taken_once_it_is_free(world):
    origin = world.origin("one")
    site = Site().backend("one", origin).simple_route("one")
    port = free_port()
    with socket.create_server((HOST, port)):
        site.add(GATEWAY_API, "Gateway", "second", {
            "gatewayClassName": "watari", "addresses": [{"type": "IPAddress", "value": HOST}],
            "listeners": [{"name": "http", "protocol": "HTTP", "port": port}]})  # fmt: skip
        proxy = world.proxy(site)
        assert "in use" in proxy.errors()
        assert ask(proxy.port, "/").status == 200, "the other listener does not suffer"

    def served():
        try:
            return ask(port, "/").status == 404  # no route is attached there
        except ConnectionRefusedError:  # who is not refused is served, however soon he comes
            return False

    wait_for(served, 10, "the second listener")
    assert ask(proxy.port, "/").status == 200


def test_retries_stay_within_their_budget(world):
    """Item 52: hosts that all fail slowly must not be given twice the load."""
    first, second = threading.Event(), threading.Event()
    seen = set()

    def behave(wire, request):
        take_body(wire, request)
        # A retry waits for a gate of its own, so that it runs while all first tries end.
        gate = second if request.target in seen else first
        seen.add(request.target)
        gate.wait(60)
        wire.send(answer(503, b"busy"))
        return True

    hosts = [world.origin(n, behave) for n in "ab"]
    site = Site().backend("one", *hosts).simple_route("one")
    site.policy("one", retry={"numRetries": 1, "retryOn": {"httpStatusCodes": [503]}, "budget": {"percent": 20, "minRetries": 3}})
    proxy = world.proxy(site)
    clients = [Client(proxy.port, timeout=60) for _ in range(40)]
    for i, c in enumerate(clients):
        c.send(b"GET /s/%d HTTP/1.1\r\nHost: one.test\r\n\r\n" % i)
    wait_for(lambda: sum(len(h.requests) for h in hosts) == 40, 5, "all first tries at the hosts")
    first.set()
    # Until all are decided: the end of a retry makes room for another.
    retry, refused = "envoy_cluster_upstream_rq_retry", "envoy_cluster_upstream_rq_retry_overflow"
    wait_for(lambda: proxy.metric(retry) + proxy.metric(refused) == 40, 5, "each to be retried or refused")
    assert proxy.metric(retry) <= 8
    second.set()
    assert [c.response().status for c in clients] == [503] * 40
    assert sum(len(h.requests) for h in hosts) <= 48
    for c in clients:
        c.close()


# ---- the end ----


def test_a_drain_lets_requests_finish(world):
    go_on = threading.Event()

    def behave(wire, request):
        assert request.target != "/last" or go_on.wait(60)
        return echo(wire, request)

    proxy, origin = one_origin(world, behave, options=["--drain-seconds", "30"])
    client, other = world.client(proxy), world.client(proxy)
    assert not other.ask("/other").says_close
    client.send(b"GET /last HTTP/1.1\r\nHost: one.test\r\n\r\n")
    wait_for(lambda: origin.seen("/last"), 5, "the request at the host")
    proxy.process.terminate()
    wait_for(lambda: other.ask("/other").says_close, 5, "the drain to begin")
    go_on.set()
    response = client.response()
    assert response.status == 200 and response.says_close
    assert proxy.process.wait(20) == 0  # it does not wait for the end of the time


@pytest.mark.parametrize("workers", [1, 2])
def test_a_host_with_few_processes_gets_round_to_every_connection(world, workers):
    """Kept connections that are busy must not shut out those that wait in the host's queue."""

    def behave(wire, request):
        time.sleep(0.02)
        return echo(wire, request)

    origin = world.keep(Prefork("few", behave, processes=2))
    proxy, _ = one_origin(world, origin=origin, workers=workers)
    asked, clients, each = [], 8, 25

    def use(number):
        client = Client(proxy.port, timeout=60)
        for i in range(each):
            start = time.monotonic()
            asked.append((client.ask(f"/{number}/{i}").status, time.monotonic() - start))
        client.close()

    users = [threading.Thread(target=use, args=(n,), daemon=True) for n in range(clients)]
    with Starved(proxy.process.pid) as starved:
        for u in users:
            u.start()
        for u in users:
            u.join(90)
        assert [status for status, _ in asked] == [200] * clients * each
        assert max(took for _, took in asked) < 8 + starved.s()
    assert origin.connections < clients * each / 2, "connections are still kept"
