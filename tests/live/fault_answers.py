"""Items 12, 13 and 47-54 of the fault catalogue: what hosts do, and what hosts fail to do."""

import socket
import threading
import time

from fault_rig import (CONNECT_FAIL, CUT, GET, LOST, OK, POST, RETRY, REUSED_STALE, TIMEOUT, TX_RESET, Row, body_is, driven,
                       gets, headed, kept)  # fmt: skip
from fault_requests import early, next_host_connection_is_new
from rig import WasReset, answer, echo, echo_once, take_body, wait_for


# ---- what origins do ----


def raw(data, then="close"):
    """Reads the request, sends these bytes; then closes, resets, or waits."""

    def behave(wire, request):
        take_body(wire, request)
        wire.send(data)
        if then == "reset":
            headed[request.target].wait(30)  # a reset overtakes what was not read yet
            wire.reset()
        elif then == "wait":
            wire.sock.settimeout(10)
            wire.rest()
        return then == "keep"

    return behave


def endless(head, piece):
    def behave(wire, request):
        take_body(wire, request)
        wire.send(head)
        for _ in range(20000):
            wire.send(piece)

    return behave


def reset_at_once(wire, request):
    wire.reset()


def silent(wire, request):
    take_body(wire, request)
    wire.sock.settimeout(10)
    wire.rest()


BROKEN = dict(status=CUT, closes=True, seen=1, counter=LOST)


def upstream(id, behave, status=502, flags="UPE", seen=1, **more):
    send = more.pop("send", GET.replace(b"one.test", more.pop("host", b"one.test")) + b"\r\n")
    return Row(id, send, status, **{"closes": False, "flags": flags, "seen": seen, "behave": behave, **more})


def on_different_origins(response, seen):
    assert len({r.origin for r in seen}) == 2, seen


def fail_first(first):
    """The first request of a row gets `first`, whichever host it meets; the others are served."""
    met = set()

    def behave(wire, request):
        if request.target in met:
            return echo_once(wire, request)
        met.add(request.target)
        return first(wire, request)

    return behave


# ---- connections to hosts that are kept, or not ----


def early_answer(scene):
    """0.CL: what is left of the body must not be taken for a request, on either side."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: one.test\r\n\r\n"
    client = scene.client()
    client.send(scene.request(POST + b"Content-Length: %d\r\n" % (len(smuggled) + 100000)))
    head = client.until(b"\r\n\r\n")
    try:
        client.send(smuggled)
    except WasReset:
        pass
    client.buffer = head + b"\r\n\r\n" + client.buffer
    assert scene.answer(client).body == b"no"
    next_host_connection_is_new(scene)
    assert not scene.origin.seen("/smuggled")


def more_at_once(wire, request):
    take_body(wire, request)
    wire.send(answer(200, b"ok") + answer(200, b"evil"))
    return True


def not_to_the_next(scene):
    scene.play(scene.request())
    assert scene.out.response.body == b"ok"
    next_host_connection_is_new(scene, 3)  # the one that was asked between had its own as well


def not_to_a_later_one(scene):
    sent = threading.Event()

    def behave(wire, request):
        echo(wire, request)
        time.sleep(0.05)
        wire.send(answer(200, b"evil"))
        sent.set()
        return True

    scene.behaves = behave
    client = scene.client()
    client.send(scene.request())
    scene.out.address, scene.out.response = client.address, client.response()
    assert sent.wait(5)
    wait_for(lambda: scene.metric("envoy_cluster_upstream_cx_active") == 0, 5, "the connection to be given up")
    scene.out.again = client.ask("/after" + scene.row.target).json["target"]
    next_host_connection_is_new(scene, 3)  # the one that was asked between had its own as well


ESTABLISHED, FIN_WAIT_1 = 1, 4


def drop_connections(origin):
    """Back when the ends have arrived at the other side's sockets, whether anybody has looked at them or not."""
    with origin.lock:
        socks = [w.sock.dup() for w in origin.open.values()]
    origin.drop_connections()
    state = lambda s: s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    wait_for(lambda: not [s for s in socks if state(s) in (ESTABLISHED, FIN_WAIT_1)], 5, "the ends to arrive")
    for s in socks:
        s.close()


def closed_while_idle(scene):
    """An idle connection that the host has closed is noticed, also by a POST, which must not go out twice."""
    client = scene.client()
    for i in range(5):
        for method in ("GET", "POST"):
            assert client.ask(f"/before{i}", method=method, body=b"x" if method == "POST" else None).status == 200
            drop_connections(scene.origin)
        wait_for(lambda: not scene.origin.open, 5, "the origin's threads")
    scene.play(scene.request(), client)
    assert [r.connection for r in scene.origin.requests[:11]] == list(range(1, 12)) and len(scene.origin.requests) == 12


def breaks_under(wire, request, number):
    """The host closes a kept connection while the request is on its way: nobody knows whether it was carried out."""
    if request.connection == number:
        wire.reset()
        return False
    return echo(wire, request)


def on_a_kept_connection(method):
    def drive(scene):
        client = scene.client()
        number = kept(client)
        scene.behaves = lambda wire, request: breaks_under(wire, request, number)
        body = b"" if method == b"GET" else b"x"
        scene.play(scene.request(GET.replace(b"GET", method) + b"Content-Length: %d\r\n" % len(body), body), client)

    return drive


ANSWERS = [
    # 12: an answer before the request is whole
    driven("12 early answer ends both connections", early_answer, 401, closes=True, behave=early, partly=True),
    # 13: bytes behind an answer
    driven("13 bytes after an answer are nobody's", not_to_the_next, behave=more_at_once, seen=1),
    driven("13 bytes that come later are nobody's", not_to_a_later_one),
    # 48: a kept connection that the host has closed, or closes
    driven("48 closed while idle", closed_while_idle),
    driven("48 GET under which it breaks", on_a_kept_connection(b"GET"), seen=2, counter=REUSED_STALE),
    driven("48 PUT under which it breaks", on_a_kept_connection(b"PUT"), seen=2, counter=REUSED_STALE),
    driven("48 POST under which it breaks", on_a_kept_connection(b"POST"), 502, flags="UC", counter=(REUSED_STALE, LOST)),
    # 47: reset before the answer
    upstream("47 GET reset is retried", fail_first(reset_at_once), 200, None, 2, host=b"two.test", counter=RETRY,
             check=on_different_origins),
    upstream("47 GET reset by both", reset_at_once, 502, "URX,UC", 2, host=b"two.test", counter=LOST,
             check=on_different_origins),
    upstream("47 POST reset goes out once", reset_at_once, 502, "UC", 1, counter=LOST,
             send=b"POST %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello"),
    upstream("47 POST closed goes out once", raw(b""), 502, "UC", 1, counter=LOST,
             send=b"POST %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello"),
    upstream("47 PATCH goes out once", reset_at_once, 502, "UC", 1,
             send=b"PATCH %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello"),
    upstream("47 unknown methods go out once", reset_at_once, 502, "UC", 1,
             send=b"FROB %T HTTP/1.1\r\nHost: two.test\r\n\r\n"),
    upstream("47 PUT is retried with its body", fail_first(raw(b"")), 200, None, 2, counter=RETRY,
             send=b"PUT %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello",
             check=lambda response, seen: [r.body for r in seen] == [b"hello"] * 2),
    upstream("47 503 of a GET is retried", fail_first(raw(answer(503))), 200, None, 2, host=b"two.test", counter=RETRY),
    upstream("47 503 of both is delivered", raw(answer(503)), 503, "URX", 2, host=b"two.test", check=on_different_origins),
    upstream("47 503 of a POST is not", raw(answer(503)), 503, None, 1,
             send=b"POST %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello"),
    upstream("47 without a policy only the unsent is retried", reset_at_once, 502, "UC", 1, host=b"one.test"),
    upstream("47 POST that could not connect is retried", echo_once, 200, None, 1, counter=CONNECT_FAIL,
             send=b"POST %T HTTP/1.1\r\nHost: halfdead.test\r\nContent-Length: 5\r\n\r\nhello", check=body_is(b"hello")),
    # 49: no answer at all
    upstream("49 silent backend", silent, 504, "UT", 1, host=b"hasty.test", counter=(TIMEOUT, TX_RESET)),
    upstream("49 silent after half a head", raw(OK + b"X-A: ", "wait"), 504, "UT", 1, host=b"hasty.test"),
    upstream("49 connect never ends", None, 503, "UF", 0, host=b"blackhole.test", counter=CONNECT_FAIL),
    upstream("49 time over while it connects", None, 504, "UT", 0, host=b"abyss.test", counter=(TIMEOUT, CONNECT_FAIL)),
    upstream("54 nothing listens", None, 503, "UF", 0, host=b"dead.test", counter=LOST),
    # 50: a cut answer never ends cleanly
    upstream("50 short of its length", raw(OK + b"Content-Length: 10\r\n\r\nhello"), flags="UPE", **BROKEN),
    upstream("50 reset within its length", raw(OK + b"Content-Length: 10\r\n\r\nhello", "reset"), flags="UC", **BROKEN),
    upstream("50 no last chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), flags="UPE", **BROKEN),
    upstream("50 last chunk without its end", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"), flags="UPE", **BROKEN),
    upstream("50 half a chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), flags="UPE", **BROKEN),
    upstream("50 reset in chunks", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "reset"), flags="UC", **BROKEN),
    upstream("50 wrong chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"), flags="UPE", **BROKEN),
    upstream("50 until close, reset", raw(OK + b"\r\nhello", "reset"), flags="UC", **BROKEN),
    upstream("50 until close, closed", raw(OK + b"\r\nhello"), 200, None, 1, check=gets(b"hello")),
    # 51: what is no answer
    upstream("51 garbage", raw(b"\x00\x01\x02garbage\r\n\r\n")),
    upstream("51 wrong status line", raw(b"HTTP/1.1 2xx OK\r\n\r\n")),
    upstream("51 status 600", raw(b"HTTP/1.1 600 X\r\n\r\n")),
    upstream("51 NUL in a field", raw(OK + b"X-A: b\0c\r\n\r\n")),
    upstream("51 length and coding", raw(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    upstream("51 differing lengths", raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")),
    upstream("51 folded", raw(OK + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n")),
    upstream("51 100 fields", raw(answer(200, b"ok", *["X-A: b"] * 99)), 200, None, check=gets(b"ok")),
    upstream("51 101 fields", raw(answer(200, b"ok", *["X-A: b"] * 100))),
    upstream("51 endless head", endless(OK, b"X-A: " + b"x" * 100 + b"\r\n")),
    upstream("51 endless line", endless(b"HTTP/1.1 200 ", b"x" * 1000)),
    upstream("51 endless 1xx", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    upstream("51 101 that nobody asked for", raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n")),
    upstream("51 closed without a byte", raw(b""), 502, "UC"),
    upstream("51 a few 1xx are read over", raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + answer(200, b"ok")), 200, None,
             check=gets(b"ok")),
]
