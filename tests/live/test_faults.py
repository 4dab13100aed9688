"""Faults of clients and of backends, and what each gets. The numbers are the items of the fault catalogue:
1-15 HTTP/1 (RFC 9112), 40-54 exhaustion and upstream.

A row says what goes over the wire and what must come back: the status, whether the connection ends, the log's flags, what
the origins saw, which counter rises. %T in a request is the row's own target.
"""

import dataclasses
import time

import pytest

from rig import Client, Ended, Site, WasReset, answer, echo, echo_once, take_body, wait_for

PROTOCOL_ERROR = "envoy_http_downstream_cx_protocol_error"
LOST = "watari_requests_lost_total"
RETRY = "envoy_cluster_upstream_rq_retry"
TIMEOUT = "envoy_cluster_upstream_rq_timeout"
RX_RESET = "envoy_cluster_upstream_rq_rx_reset"
CONNECT_FAIL = "envoy_cluster_upstream_cx_connect_fail"


@dataclasses.dataclass
class Row:
    id: str  # "ITEM name"
    send: bytes
    status: object = 400  # None: the answer must not end cleanly; ENDED below
    closes: bool = True
    flags: str = "DPE"
    seen: object = 0  # whole requests at the origins
    behave: object = None
    counter: str = ""  # rises by one
    check: object = None  # called with (response, seen requests)

    @property
    def target(self):
        return "/row/" + self.id.replace(" ", "-")


GET = b"GET %T HTTP/1.1\r\nHost: one.test\r\n"
POST = b"POST %T HTTP/1.1\r\nHost: one.test\r\n"


def refused(id, send, status=400, **more):
    return Row(id, send, status, counter=PROTOCOL_ERROR, **more)


def served(id, send, check=None, **more):
    return Row(id, send, 200, **{"closes": False, "flags": None, "seen": 1, "check": check, **more})


def chunked(id, body, **more):
    """The head is right, so the origin may have seen it; the body never gets there whole."""
    return Row(id, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body, **more)


def field_is(name, *values):
    def check(response, seen):
        assert seen[0].all(name) == list(values)

    return check


def target_is(target):
    def check(response, seen):
        assert seen[0].target == target

    return check


def body_is(body, **fields):
    def check(response, seen):
        assert seen[0].body == body

    return check


def only_our_forwarding(response, seen):
    request = seen[0]
    assert request.all("x-forwarded-for") == ["127.0.0.1"]
    assert request.all("x-forwarded-proto") == ["http"]
    assert request.all("x-forwarded-host") == ["one.test"]
    for name in ("forwarded", "x-real-ip", "x-secret", "keep-alive", "proxy-connection", "upgrade"):
        assert request.all(name) == [], name
    # TE: trailers is the proxy's own word: it can take them. It needs Connection: te beside it (RFC 9110 §10.1.4).
    assert (request.get("te"), request.get("connection")) in ((None, None), ("trailers", "te"))



REQUESTS = [
    # 1: two lengths that could disagree
    refused("1 length then coding", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    refused("1 coding then length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    # 2: Content-Length
    refused("2 differing", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    refused("2 list", POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    refused("2 plus", POST + b"Content-Length: +5\r\n\r\nhello"),
    refused("2 minus", POST + b"Content-Length: -5\r\n\r\nhello"),
    refused("2 hex", POST + b"Content-Length: 0x5\r\n\r\nhello"),
    refused("2 empty", POST + b"Content-Length:\r\n\r\nhello"),
    refused("2 over 64 bits", POST + b"Content-Length: 18446744073709551621\r\n\r\nhello"),
    refused("2 over 63 bits", POST + b"Content-Length: 9223372036854775808\r\n\r\nhello"),
    served("2 same twice", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", field_is("content-length", "5")),
    # 3: Transfer-Encoding
    refused("3 identity", POST + b"Transfer-Encoding: identity\r\n\r\n"),
    refused("3 chunked not last", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    refused("3 chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    refused("3 two fields", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    refused("3 xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    refused("3 quoted", POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    refused("3 trailing comma", POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    refused("3 vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    refused("3 unknown coding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    refused("3 on HTTP/1.0", POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    served("3 any case", POST + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body_is(b"hello")),
    # 4: chunk sizes
    chunked("4 minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    chunked("4 plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    chunked("4 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    chunked("4 blank", b"5 \r\nhello\r\n0\r\n\r\n"),
    chunked("4 empty", b"\r\nhello\r\n0\r\n\r\n"),
    chunked("4 17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    chunked("4 overflow", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    chunked("4 bare LF after size", b"5\nhello\r\n0\r\n\r\n"),
    chunked("4 bare LF after data", b"5\r\nhello\n0\r\n\r\n"),
    chunked("4 data too long", b"4\r\nhello\r\n0\r\n\r\n"),
    # 5: chunk extensions
    served("5 dropped", POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n", body_is(b"hello")),
    chunked("5 too long", b"5;" + b"x" * 20000 + b"\r\nhello\r\n0\r\n\r\n"),
    chunked("5 bare LF", b"5;a\nhello\r\n0\r\n\r\n"),
    chunked("5 bare CR", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    # 6: CR and NUL
    refused("6 CR in value", GET + b"X-A: b\rc\r\n\r\n"),
    refused("6 NUL in value", GET + b"X-A: b\0c\r\n\r\n"),
    refused("6 NUL in target", b"GET %T\0 HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    refused("6 NUL in name", GET + b"X\0A: b\r\n\r\n"),
    refused("6 LF alone", GET.replace(b"\r\n", b"\n") + b"\n"),
    refused("6 LF in field line", GET + b"X-A: b\nX-B: c\r\n\r\n"),
    refused("6 CR CR LF", GET + b"X-A: b\r\r\n\r\n"),
    refused("6 DEL in value", GET + b"X-A: b\x7fc\r\n\r\n"),
    # 7: field lines
    refused("7 space before colon", GET + b"X-A : b\r\n\r\n"),
    refused("7 tab before colon", GET + b"X-A\t: b\r\n\r\n"),
    refused("7 folded", GET + b"X-A: b\r\n c\r\n\r\n"),
    refused("7 first line folded", b"GET %T HTTP/1.1\r\n Host: one.test\r\n\r\n"),
    refused("7 empty name", GET + b": b\r\n\r\n"),
    refused("7 no colon", GET + b"X-A\r\n\r\n"),
    refused("7 name with blank", GET + b"X A: b\r\n\r\n"),
    # 8: Host
    refused("8 missing", b"GET %T HTTP/1.1\r\nX-A: b\r\n\r\n"),
    refused("8 twice", GET + b"Host: two.test\r\n\r\n"),
    refused("8 twice the same", GET + b"Host: one.test\r\n\r\n"),
    refused("8 a path in it", b"GET %T HTTP/1.1\r\nHost: one.test/x\r\n\r\n"),
    refused("8 user in it", b"GET %T HTTP/1.1\r\nHost: me@one.test\r\n\r\n"),
    refused("8 a list", b"GET %T HTTP/1.1\r\nHost: one.test, two.test\r\n\r\n"),
    served("8 absolute form wins", b"GET http://one.test%T HTTP/1.1\r\nHost: two.test\r\n\r\n", field_is("host", "one.test")),
    refused("8 other scheme", b"GET ftp://one.test%T HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    # 9: targets
    refused("9 fragment", b"GET %T#x HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    refused("9 no path", b"GET row HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    refused("9 blank in it", b"GET %T x HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    refused("9 byte over 0x7f", b"GET %T\xff HTTP/1.1\r\nHost: one.test\r\n\r\n"),
    served("9 dots", b"GET /a/..%T HTTP/1.1\r\nHost: one.test\r\n\r\n", target_is("/row/9-dots")),
    served("9 coded dots", b"GET /a/%2e%2E%T HTTP/1.1\r\nHost: one.test\r\n\r\n", target_is("/row/9-coded-dots")),
    served("9 dots in the query", b"GET %T?a=/../b HTTP/1.1\r\nHost: one.test\r\n\r\n",
           target_is("/row/9-dots-in-the-query?a=/../b")),  # fmt: skip
    # 10
    refused("10 upgrade with body", POST + b"Connection: upgrade\r\nUpgrade: foo\r\nContent-Length: 5\r\n\r\nhello"),
    # 11: Expect
    refused("11 unknown", POST + b"Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    # 14: what a client may not say
    served("14 nominated and forged", GET + b"Connection: x-secret, keep-alive, TE\r\nX-Secret: s\r\nKeep-Alive: timeout=5\r\n"
           b"TE: trailers\r\nProxy-Connection: keep-alive\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
           b"X-Forwarded-Host: evil.test\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n", only_our_forwarding),
    served("14 forwarding cannot be nominated away", GET + b"Connection: x-forwarded-for, x-forwarded-proto\r\n\r\n",
           only_our_forwarding),
    served("14 nor can Host", GET + b"Connection: host, cookie\r\nCookie: a=b\r\n\r\n", field_is("cookie", "a=b")),
    # 15: aliases and limits
    refused("15 alias of Content-Length", POST + b"Content_Length: 5\r\n\r\nhello"),
    refused("15 alias of X-Forwarded-For", GET + b"X_Forwarded_For: 6.6.6.6\r\n\r\n"),
    refused("15 alias of Transfer-Encoding", POST + b"Transfer_Encoding: chunked\r\n\r\n"),
    served("15 other names may have _", GET + b"my_field: a\r\n\r\n", field_is("my_field", "a")),
    refused("15 line too long", b"GET %T" + b"x" * 9000 + b" HTTP/1.1\r\nHost: one.test\r\n\r\n", 414),
    refused("15 head too large", GET + (b"X-A: " + b"x" * 4000 + b"\r\n") * 20 + b"\r\n", 431),
    refused("15 too many fields", GET + b"X-A: b\r\n" * 101 + b"\r\n", 431),
    served("15 60 KiB are none too many", GET + (b"X-A: " + b"x" * 4000 + b"\r\n") * 14 + b"\r\n",
           lambda response, seen: len(seen[0].all("x-a")) == 14),  # fmt: skip
    refused("15 other version", b"GET %T HTTP/2.0\r\nHost: one.test\r\n\r\n", 505),
    refused("15 no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    # 45: nothing quadratic in what a client can make long
    served("45 many cookies", GET + b"Cookie: " + b"; ".join(b"c%d=%d" % (i, i) for i in range(3000)) + b"\r\n\r\n"),
]


# ---- what origins do ----


def raw(data, then="close"):
    """Reads the request, sends these bytes; then closes, resets, or waits."""

    def behave(wire, request):
        take_body(wire, request)
        wire.send(data)
        if then == "reset":
            time.sleep(0.05)  # what was sent must get there first
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


OK = b"HTTP/1.1 200 OK\r\n"
CUT = dict(status=None, closes=True, seen=1, counter=LOST)


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


def gets(body):
    def check(response, seen):
        assert response.body == body

    return check


ANSWERS = [
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
    upstream("47 503 of a POST is not", raw(answer(503)), 503, None, 1,
             send=b"POST %T HTTP/1.1\r\nHost: two.test\r\nContent-Length: 5\r\n\r\nhello"),
    upstream("47 without a policy only the unsent is retried", reset_at_once, 502, "UC", 1, host=b"one.test"),
    upstream("47 POST that could not connect is retried", echo_once, 200, None, 1, counter=CONNECT_FAIL,
             send=b"POST %T HTTP/1.1\r\nHost: halfdead.test\r\nContent-Length: 5\r\n\r\nhello", check=body_is(b"hello")),
    # 49: no answer at all
    upstream("49 silent backend", silent, 504, "UT", 1, host=b"hasty.test", counter=TIMEOUT),
    upstream("49 silent after half a head", raw(OK + b"X-A: ", "wait"), 504, "UT", 1, host=b"hasty.test"),
    upstream("49 connect never ends", None, 503, "UF", 0, host=b"blackhole.test", counter=CONNECT_FAIL),
    upstream("54 nothing listens", None, 503, "UF", 0, host=b"dead.test", counter=LOST),
    # 50: a cut answer never ends cleanly
    upstream("50 short of its length", raw(OK + b"Content-Length: 10\r\n\r\nhello"), flags="UPE", **CUT),
    upstream("50 reset within its length", raw(OK + b"Content-Length: 10\r\n\r\nhello", "reset"), flags="UC", **CUT),
    upstream("50 no last chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), flags="UPE", **CUT),
    upstream("50 last chunk without its end", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"), flags="UPE", **CUT),
    upstream("50 half a chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), flags="UPE", **CUT),
    upstream("50 reset in chunks", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "reset"), flags="UC", **CUT),
    upstream("50 wrong chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"), flags="UPE", **CUT),
    upstream("50 until close, reset", raw(OK + b"\r\nhello", "reset"), flags="UC", **CUT),
    upstream("50 until close, closed", raw(OK + b"\r\nhello"), 200, None, 1, check=gets(b"hello")),
    # 51: what is no answer
    upstream("51 garbage", raw(b"\x00\x01\x02garbage\r\n\r\n")),
    upstream("51 wrong status line", raw(b"HTTP/1.1 2xx OK\r\n\r\n")),
    upstream("51 status 600", raw(b"HTTP/1.1 600 X\r\n\r\n")),
    upstream("51 NUL in a field", raw(OK + b"X-A: b\0c\r\n\r\n")),
    upstream("51 length and coding", raw(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    upstream("51 differing lengths", raw(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")),
    upstream("51 folded", raw(OK + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n")),
    upstream("51 endless head", endless(OK, b"X-A: " + b"x" * 100 + b"\r\n")),
    upstream("51 endless line", endless(b"HTTP/1.1 200 ", b"x" * 1000)),
    upstream("51 endless 1xx", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    upstream("51 101 that nobody asked for", raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n")),
    upstream("51 closed without a byte", raw(b""), 502, "UC"),
    upstream("51 a few 1xx are read over", raw(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + answer(200, b"ok")), 200, None,
             check=gets(b"ok")),
]

ROWS = REQUESTS + ANSWERS


class Outcome:
    """What became of a row."""

    def __init__(self):
        self.address = self.response = self.closed = self.again = self.error = None
        self.seen, self.rise = [], {}


class Bench:
    """One proxy and its origins. The rows run one after the other, so that a counter's rise is a row's own, and then the log is
    waited for once."""

    def __init__(self, world, rows):
        self.behaviours = {row.target: row.behave for row in rows if row.behave}
        site = Site()
        self.one = world.origin("one", self.behave)
        self.a, self.b = world.origin("a", self.behave), world.origin("b", self.behave)
        self.origins = [self.one, self.a, self.b]
        dead = world.refusing()
        retry = {"numRetries": 1, "retryOn": {"triggers": ["reset", "connect-failure"], "httpStatusCodes": [503]}}
        site.backend("one", self.one).simple_route("one")
        site.backend("two", self.a, self.b).simple_route("two")
        site.policy("two", retry=retry, loadBalancer={"type": "RoundRobin"})
        # Turn about: with an even number of turns before it, a request meets the dead host first.
        site.backend("halfdead", dead, self.one).simple_route("halfdead")
        site.policy("halfdead", loadBalancer={"type": "RoundRobin"}, retry={"numRetries": 1})
        site.backend("dead", dead).simple_route("dead")
        site.policy("dead", retry={"numRetries": 0})
        site.backend("hasty", self.one).simple_route("hasty")
        site.policy("hasty", timeout={"http": {"requestTimeout": "300ms"}})
        site.backend("blackhole", world.blackhole()).simple_route("blackhole")
        site.policy("blackhole", timeout={"tcp": {"connectTimeout": "200ms"}}, retry={"numRetries": 0})
        self.proxy = world.proxy(site)
        self.outcomes = {row.id: self.run(row) for row in rows}
        self.proxy.ask("/the-last", "one.test")
        wait_for(lambda: self.proxy.log(path="/the-last"), 5, "the last log line")
        self.entries = {}
        for entry in self.proxy.log():
            self.entries.setdefault(entry["downstream_remote_address"], entry)

    def behave(self, wire, request):
        """No connection is kept, so that no row meets one that another has left."""
        for target, behave in self.behaviours.items():
            if target in request.target and not request.target.startswith("/after"):
                return behave(wire, request)
        return echo_once(wire, request)

    def run(self, row):
        out = Outcome()
        before = self.proxy.metrics() if row.counter else {}
        client = Client(self.proxy.port)
        out.address = client.address
        try:
            client.send(row.send.replace(b"%T", row.target.encode()))
            try:
                out.response = client.response(row.send.split(b" ")[0].decode("latin-1"))
            except (Ended, WasReset):
                pass
            if row.closes:
                out.closed = client.is_closed()
            elif out.response:
                out.again = client.ask("/after" + row.target).json["target"]
        except (Ended, WasReset, TimeoutError, ValueError) as e:
            out.error = e
        finally:
            client.close()
        out.seen = [r for o in self.origins for r in o.seen(row.target) if not r.target.startswith("/after")]
        if row.counter:
            out.rise = self.rise(row.counter, before)
        return out

    def rise(self, counter, before):
        """How much a counter rose. A client may see the end of an exchange a moment before it is counted."""
        end = time.monotonic() + 2
        while True:
            now = self.proxy.metrics()
            rise = {k: v - before.get(k, 0) for k, v in now.items() if k.split("{")[0] == counter}
            if sum(rise.values()) or time.monotonic() > end:
                return rise
            time.sleep(0.02)


@pytest.fixture(scope="module")
def bench(shared_world, request):
    rows = [i.callspec.params["row"] for i in request.session.items if getattr(i, "function", None) is test_fault]
    return Bench(shared_world, rows)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.id)
def test_fault(bench, row):
    out = bench.outcomes[row.id]
    assert out.error is None
    if row.status is None:
        assert out.response is None, f"a cut answer ended cleanly: {out.response.start} {out.response.body}"
    else:
        assert out.response is not None and out.response.status == row.status
        assert out.response.says_close == row.closes
    if row.closes:
        assert out.closed
    else:  # the connection is in step: the next request got its own answer
        assert out.again == "/after" + row.target
    whole = [r for r in out.seen if r.whole or row.seen]
    assert len(whole) == row.seen, out.seen
    if row.check:
        assert row.check(out.response, whole) in (None, True)
    entry = bench.entries[out.address]
    assert (entry["response_code"], entry["response_flags"]) == (row.status or 200, row.flags)
    if row.counter:
        assert sum(out.rise.values()) == 1, out.rise
