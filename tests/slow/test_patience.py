"""How long the proxy waits for clients that are slow or silent (item 40), and a body of 10 GB."""

import threading
import time

from rig import Client, Site, WasReset, answer, echo, wait_for

HEAD_S, BODY_S = 15, 60


def timed(work, results, name):
    def run():
        begin = time.monotonic()
        try:
            result = work()
        except Exception as e:  # shown by the assertion below
            result = e
        results[name] = (time.monotonic() - begin, result)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def drip(client, data, pause):
    """Byte by byte, until the proxy answers or has had enough."""
    client.sock.settimeout(pause)
    for byte in data:
        client.send(bytes([byte]))
        try:
            client.more()
            break
        except TimeoutError:
            pass
    client.sock.settimeout(90)
    return client.response()


def test_slow_clients_get_408(world):
    def behave(wire, request):
        if request.target == "/flood":
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                wire.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        return echo(wire, request)

    origin = world.origin("one", behave)
    site = Site().backend("one", origin).simple_route("one").policy("one", timeout={"http": {"requestTimeout": "1s"}})
    proxy = world.proxy(site)
    results = {}

    def slow_head():
        # A byte a second, so that no single silence is long: the whole head is what counts (slowloris).
        client = world.client(proxy, timeout=90)
        response = drip(client, b"GET / HTTP/1.1\r\nHost: one.test\r\nX-A: " + b"x" * 100, 1.0)
        return response.status, response.says_close, client.is_closed()

    def no_head():
        client = world.client(proxy, timeout=90)
        return client.is_closed(90)

    def silent_body():
        client = world.client(proxy, timeout=90)
        client.send(b"POST /silent HTTP/1.1\r\nHost: one.test\r\nContent-Length: 100\r\n\r\nhello")
        response = client.response()
        return response.status, response.says_close, client.is_closed()

    def slow_body():
        # Slower than the request's limit in all, but never silent for long: a large upload over a thin line.
        client = world.client(proxy, timeout=90)
        client.send(b"POST /thin HTTP/1.1\r\nHost: one.test\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            time.sleep(1)
            client.send(b"x")
        return client.response().status

    def no_reader():
        client = Client(proxy.port, timeout=90, receive_buffer=32768)
        client.send(b"GET /flood HTTP/1.1\r\nHost: one.test\r\n\r\n")
        wait_for(lambda: [e for e in proxy.log(client.address)], 90, "the proxy to give up")
        try:
            client.rest()
        except WasReset:
            return "reset"
        return "a clean end"

    threads = [timed(work, results, work.__name__) for work in (slow_head, no_head, silent_body, slow_body, no_reader)]
    [t.join() for t in threads]
    assert results["slow_head"][1] == (408, True, True) and HEAD_S - 1 < results["slow_head"][0] < HEAD_S + 3
    assert results["no_head"][1] is True and HEAD_S - 1 < results["no_head"][0] < HEAD_S + 3
    assert results["silent_body"][1] == (408, True, True) and BODY_S - 1 < results["silent_body"][0] < BODY_S + 3
    assert results["slow_body"][1] == 200 and results["slow_body"][0] > 5
    assert results["no_reader"][1] == "reset" and results["no_reader"][0] < 2 * BODY_S
    assert not [r for r in origin.seen("/silent") if r.whole]
    (entry,) = proxy.log(path="/silent")
    assert (entry["response_code"], entry["response_flags"]) == (408, "SI")


def test_10_gb_through_a_window(world):
    size = 10_000_000_000
    mib = 1 << 20

    def behave(wire, request):
        if request.target != "/big":
            return echo(wire, request)
        left = size - len(wire.buffer)
        wire.buffer, scratch = b"", bytearray(mib)
        while left:
            n = wire.sock.recv_into(scratch, min(left, mib))
            assert n
            left -= n
        wire.send(answer(200, b"ok"))
        return True

    proxy = world.proxy(Site().backend("one", world.origin("one", behave)).simple_route("one"))
    assert proxy.ask().status == 200
    before = proxy.rss_kib()
    client = world.client(proxy, timeout=300)
    client.send(b"POST /big HTTP/1.1\r\nHost: one.test\r\nContent-Length: %d\r\n\r\n" % size)
    left, block, most = size, b"x" * mib, 0
    while left:
        part = block[: min(left, mib)]
        client.send(part)
        left -= len(part)
        if left % (256 * mib) < mib:
            most = max(most, proxy.rss_kib())
    assert client.response().body == b"ok"
    assert max(most, proxy.rss_kib()) - before < 8 * 1024
    assert proxy.wait_log(path="/big")[0]["bytes_received"] == size
