"""How long the proxy waits for clients that are slow or silent (item 40), and a body of 10 GB."""

import threading
import time

from rig import Site, answer, echo

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


def test_the_patience_unless_told(world):
    """With options these are rows of the fault table (tests/live/fault_scarcity.py); this is what they are without any."""
    proxy = world.proxy(Site().backend("one", world.origin("one")).simple_route("one"))
    results = {}

    def no_head():
        return world.client(proxy, timeout=90).is_closed(90)

    def half_a_body():
        client = world.client(proxy, timeout=90)
        client.send(b"POST /silent HTTP/1.1\r\nHost: one.test\r\nContent-Length: 100\r\n\r\nhello")
        return client.response().status

    threads = [timed(work, results, work.__name__) for work in (no_head, half_a_body)]
    [t.join() for t in threads]
    assert results["no_head"][1] is True and HEAD_S - 1 < results["no_head"][0] < HEAD_S + 3
    assert results["half_a_body"][1] == 408 and BODY_S - 1 < results["half_a_body"][0] < BODY_S + 3


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
