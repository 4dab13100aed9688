"""What the rows of the fault catalogue are made of, and how they are run and judged.

A row says what goes over the wire and what must come back: the status, whether the connection ends, the log's flags, what
the origins saw, which counter rises. %T in a request is the row's own target. A row with `drive` has a proxy of its own, and the
function plays its part; all others share one.
"""

import collections
import dataclasses
import threading
import time

from rig import PATIENCE, Client, Ended, Site, WasReset, echo, echo_once, wait_for

PROTOCOL_ERROR = "envoy_http_downstream_cx_protocol_error"
TOO_LARGE = "envoy_http_downstream_rq_too_large"
RQ_TIMEOUT = "envoy_http_downstream_rq_timeout"
IDLE_TIMEOUT = "envoy_http_downstream_cx_idle_timeout"
OVERLOAD_REJECT = "envoy_listener_downstream_cx_overload_reject"
OVERLOAD_CLOSE = "envoy_http_downstream_rq_overload_close"
LOST = "watari_requests_lost_total"
RETRY = "envoy_cluster_upstream_rq_retry"
TIMEOUT = "envoy_cluster_upstream_rq_timeout"
RX_RESET = "envoy_cluster_upstream_rq_rx_reset"
TX_RESET = "envoy_cluster_upstream_rq_tx_reset"
CONNECT_FAIL = "envoy_cluster_upstream_cx_connect_fail"
REUSED_STALE = "watari_cluster_upstream_cx_reused_stale"

GET = b"GET %T HTTP/1.1\r\nHost: one.test\r\n"
POST = b"POST %T HTTP/1.1\r\nHost: one.test\r\n"
OK = b"HTTP/1.1 200 OK\r\n"

CUT = None  # instead of a status: an answer begins, and must not end cleanly
NOTHING = 0  # the connection ends without a word

MOST_BODY = 64 << 10  # of a request to the proxy that rows share


@dataclasses.dataclass
class Row:
    id: str  # "ITEM name"
    send: bytes = b""
    status: object = 400  # or CUT, NOTHING
    closes: bool = True
    flags: str = "DPE"  # of the log entry; False: there is none
    seen: object = 0  # whole requests at the origins; None: its drive has looked
    partly: bool = False  # they may see a part of one more
    behave: object = None
    counter: object = ()  # names of counters that rise by one
    check: object = None  # called with (response, seen requests)
    within_s: float = 10.0
    within_cpu_s: float = 10.0  # of the proxy
    # with a proxy of its own:
    drive: object = None  # called with the Scene
    proxy: object = dataclasses.field(default_factory=dict)  # or a function of the World
    site: object = None  # adds to the Site: called with it and the World
    policy: dict = dataclasses.field(default_factory=dict)

    @property
    def target(self):
        return "/row/" + self.id.replace(" ", "-")

    @property
    def item(self):
        return int(self.id.split()[0])

    @property
    def counters(self):
        return (self.counter,) if isinstance(self.counter, str) else self.counter


def refused(id, send, status=400, **more):
    return Row(id, send, status, counter=PROTOCOL_ERROR, **more)


def served(id, send, check=None, **more):
    return Row(id, send, 200, **{"closes": False, "flags": None, "seen": 1, "check": check, **more})


def driven(id, drive, status=200, **more):
    """One whole exchange, unless more is said."""
    return Row(id, status=status, drive=drive, **{"closes": False, "flags": None, "seen": 1, **more})


def field_is(name, *values):
    def check(response, seen):
        assert seen[0].all(name) == list(values)

    return check


def target_is(target):
    def check(response, seen):
        assert seen[0].target == target

    return check


def body_is(body):
    def check(response, seen):
        assert seen[0].body == body

    return check


def gets(body):
    def check(response, seen):
        assert response.body == body

    return check


# ---- running ----

# By a row's target: set when the client has the head of the answer.
headed = collections.defaultdict(threading.Event)


class Outcome:
    """What became of a row."""

    def __init__(self):
        self.address = self.response = self.closed = self.again = self.error = None
        self.seen, self.rise, self.took_s, self.cpu_s = [], {}, 0.0, 0.0

    def read(self, client, row):
        """The answer, and what is left of the connection behind it."""
        client.on_head = headed[row.target].set
        try:
            self.response = client.response((row.send or b"GET").split(b" ")[0].decode("latin-1"))
        except (Ended, WasReset):
            pass
        if row.closes:
            self.closed = client.is_closed()
        elif self.response:
            self.again = client.ask("/after" + row.target).json["target"]


def seen_of(row, origins):
    """An answer of the proxy's own may be there before the origin's thread has read the request."""
    end = time.monotonic() + 2 * PATIENCE
    while True:
        seen = [r for o in origins for r in o.seen(row.target) if not r.target.startswith("/after")]
        if len(seen) >= (row.seen or 0) or time.monotonic() > end:
            return seen
        time.sleep(0.01)


def rise_of(proxy, before, counters):
    """How much each rose. A client may see the end of an exchange a moment before it is counted."""
    end = time.monotonic() + 2 * PATIENCE
    while True:
        now = proxy.metrics()
        rise = {c: sum(v - before.get(k, 0) for k, v in now.items() if k.split("{")[0] == c) for c in counters}
        if all(rise.values()) or time.monotonic() > end:
            return rise
        time.sleep(0.02)


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
        site.policy("hasty", timeout={"http": {"requestTimeout": "1s"}})
        site.backend("blackhole", world.blackhole()).simple_route("blackhole")
        site.policy("blackhole", timeout={"tcp": {"connectTimeout": "200ms"}}, retry={"numRetries": 0})
        site.backend("abyss", world.blackhole()).simple_route("abyss")
        site.policy("abyss", timeout={"http": {"requestTimeout": "200ms"}, "tcp": {"connectTimeout": "10s"}}, retry={"numRetries": 0})
        self.proxy = world.proxy(site, options=["--max-request-bytes", str(MOST_BODY)])
        # Each row's client has an address of its own, by which the log is read: the kernel gives ports again.
        self.outcomes = {row.id: self.run(row, f"127.1.{1 + i // 200}.{1 + i % 200}") for i, row in enumerate(rows)}
        self.proxy.ask("/the-last", "one.test")
        wait_for(lambda: self.proxy.log(path="/the-last"), 5, "the last log line")
        logged = {self.outcomes[row.id].address for row in rows if row.flags is not False}
        wait_for(lambda: logged <= {e["downstream_remote_address"] for e in self.proxy.log()}, 5, "a log line of each row")
        self.entries = {}
        for entry in self.proxy.log():
            self.entries.setdefault(entry["downstream_remote_address"], entry)

    def behave(self, wire, request):
        """No connection is kept, so that no row meets one that another has left."""
        for target, behave in self.behaviours.items():
            if target in request.target and not request.target.startswith("/after"):
                return behave(wire, request)
        return echo_once(wire, request)

    def run(self, row, source):
        out = Outcome()
        before = self.proxy.metrics() if row.counters else {}
        client = Client(self.proxy.port, source=source)
        out.address = client.address
        begin, cpu = time.monotonic(), self.proxy.cpu_s()
        try:
            client.send(row.send.replace(b"%T", row.target.encode()))
            out.read(client, row)
        except (Ended, WasReset, TimeoutError, ValueError) as e:
            out.error = e
        finally:
            client.close()
        out.took_s, out.cpu_s = time.monotonic() - begin, self.proxy.cpu_s() - cpu
        # Then all of it is counted, and not as the next row's.
        wait_for(lambda: self.proxy.metric("envoy_http_downstream_cx_active") == 0, 5, "the end of the connection")
        out.seen = seen_of(row, self.origins)
        if row.counters:
            out.rise = rise_of(self.proxy, before, row.counters)
        return out


def kept(client):
    """The number of a host's connection that is kept: it has served two requests. Others may have ended before, since a new
    connection that has no answer for half a second is thought to wait in the host's queue, for which room is made."""
    last = None
    for i in range(20):
        number = client.ask(f"/kept{i}").json["connection"]
        if number == last:
            return number
        last = number
    raise AssertionError("no connection to the host is kept")


class Scene:
    """A row with a proxy and an origin of its own, for its `drive`. What the row says is judged of one client's exchange: that of
    `play` or `answer`."""

    def __init__(self, world, row):
        self.world, self.row, self.out = world, row, Outcome()
        self.origin = world.origin("one", self.behave)
        self.behaves = row.behave or echo
        site = Site().backend("one", self.origin).simple_route("one")
        if row.policy:
            site.policy("one", **row.policy)
        if row.site:
            row.site(site, world)
        self.proxy = world.proxy(site, **(row.proxy(world) if callable(row.proxy) else row.proxy))

    def behave(self, wire, request):
        mine = self.row.target in request.target and not request.target.startswith("/after")
        return self.behaves(wire, request) if mine else echo(wire, request)

    def client(self, **more):
        return self.world.client(self.proxy, **more)

    def request(self, head=GET, body=b""):
        return head.replace(b"%T", self.row.target.encode()) + b"\r\n" + body

    def answer(self, client):
        """Judged: this client's answer."""
        self.out.address = client.address
        self.out.read(client, self.row)
        return self.out.response

    def play(self, data, client=None):
        """Judged: what comes of these bytes."""
        client = client or self.client()
        client.send(data)
        return self.answer(client)

    def metric(self, name, *labels):
        return self.proxy.metric(name, *labels)

    def run(self):
        before = self.proxy.metrics() if self.row.counters else {}
        begin = time.monotonic()
        self.row.drive(self)
        self.out.took_s = time.monotonic() - begin
        self.out.seen = seen_of(self.row, [self.origin])
        if self.row.counters:
            self.out.rise = rise_of(self.proxy, before, self.row.counters)
        if self.row.flags is False or not self.out.address:
            return None
        mine = lambda: [e for e in self.proxy.log(self.out.address) if self.row.target in (e["path"] or self.row.target)]
        return wait_for(mine, 5, "the log entry")[0]


# ---- judging ----


def judge(row, out, entry):
    assert out.error is None
    if not row.status:
        assert out.response is None, f"a cut answer ended cleanly: {out.response.start} {out.response.body}"
    else:
        assert out.response is not None and out.response.status == row.status
        assert out.response.says_close == row.closes
    if row.closes:
        assert out.closed
    else:  # the connection is in step: the next request got its own answer
        assert out.again == "/after" + row.target
    whole = [r for r in out.seen if r.whole or row.seen]
    assert row.seen is None or len(whole) == row.seen, out.seen
    assert row.seen != 0 or row.partly or not out.seen, out.seen
    if row.check:
        assert row.check(out.response, whole) in (None, True)
    assert out.took_s < row.within_s * PATIENCE and out.cpu_s < row.within_cpu_s
    if row.flags is not False:
        assert (entry["response_code"], entry["response_flags"]) == (200 if row.status is CUT else row.status, row.flags)
    assert all(n == 1 for n in out.rise.values()), out.rise
