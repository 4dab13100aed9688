"""Hosts that come and go: files, names, active checks."""

import contextlib
import os
import socket
import struct
import threading
import time

import pytest

from rig import HOST, Origin, Site, answer, ask, echo, free_port, take_body, wait_for

MEMBERS = "envoy_cluster_membership_total"
HEALTHY = "envoy_cluster_membership_healthy"

USERS = 32  # that all of them meet the same one of two has a chance of 1 in 2,000,000,000


def members(proxy):
    return proxy.metric(MEMBERS, '"default/one"')


def healthy(proxy):
    return proxy.metric(HEALTHY, '"default/one"')


def who(proxy):
    """The origin that answers, or the status of the proxy's own answer."""
    response = ask(proxy.port, "/who")
    return response.json["origin"] if response.status == 200 else response.status


def used(proxy, n=USERS):
    """Who answers now."""
    return {who(proxy) for _ in range(n)}


# ---- files ----


def write(path, text):
    """As a careful user does: whole, at once."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.rename(new, path)


def test_hosts_in_a_file(world, tmp_path):
    a, b = world.origin("a"), world.origin("b")
    path = tmp_path / "hosts"
    path.write_text(f"{HOST}:{a.port}\n")
    site = Site().backend("one", file={"path": str(path), "refresh": "100ms"}).simple_route("one")
    proxy = world.proxy(site, workers=2)
    wait_for(lambda: used(proxy) == {"a"}, 5, "the file to be read")
    write(path, f"{HOST}:{a.port}\n{HOST}:{b.port}\n")
    wait_for(lambda: used(proxy) == {"a", "b"}, 5, "the host that was added")
    wait_for(lambda: members(proxy) == 2, 5, "it to be counted")
    # What is wrong or empty changes nothing: not even the good lines in it.
    for bad in (f"{HOST}:{b.port}\nnonsense\n", f"{HOST}:99999\n", "example.test:80\n", "\0\1\2", "", "\n\n", f"{HOST}\n"):
        write(path, bad)
        time.sleep(0.25)  # nothing comes of it
        assert used(proxy) == {"a", "b"} and members(proxy) == 2, bad
    path.unlink()
    time.sleep(0.25)  # nor of that
    assert used(proxy) == {"a", "b"}
    write(path, f"{HOST}:{b.port}\n")
    wait_for(lambda: used(proxy) == {"b"}, 5, "the host that was removed")
    wait_for(lambda: not a.open, 5, "its kept connections to be closed")


def test_a_host_that_leaves_the_file_finishes_its_requests(world, tmp_path):
    gone = threading.Event()

    def behave(wire, request):
        assert request.target != "/slow" or gone.wait(60)
        return echo(wire, request)

    a, b = world.origin("a", behave), world.origin("b")
    path = tmp_path / "hosts"
    path.write_text(f"{HOST}:{a.port}\n")
    site = Site().backend("one", file={"path": str(path), "refresh": "100ms"}).simple_route("one")
    proxy = world.proxy(site)
    wait_for(lambda: used(proxy) == {"a"}, 5, "the file to be read")
    client = world.client(proxy)
    client.send(b"GET /slow HTTP/1.1\r\nHost: one.test\r\n\r\n")
    wait_for(lambda: a.seen("/slow"), 5, "the request at the host")
    write(path, f"{HOST}:{b.port}\n")
    wait_for(lambda: used(proxy) == {"b"}, 5, "the other host")
    gone.set()
    assert client.response().json["origin"] == "a"
    assert proxy.settled().metric("watari_requests_lost_total") == 0


def test_files_that_never_answer_keep_no_others_waiting(world, tmp_path):
    """More FIFOs than there are helpers that read."""
    path = tmp_path / "hosts"
    path.write_text(f"127.0.0.1:{world.origin('one').port}\n")
    site = Site()
    for i in range(12):
        os.mkfifo(tmp_path / f"fifo{i}")
        site.backend(f"stuck{i}", file={"path": str(tmp_path / f"fifo{i}"), "refresh": "100ms"})
    site.backend("one", file={"path": str(path), "refresh": "100ms"}).simple_route("one")
    proxy = world.proxy(site)
    wait_for(lambda: ask(proxy.port).status == 200, 5, "the file that is one")


def test_no_file_yet(world, tmp_path):
    a = world.origin("a")
    path = tmp_path / "hosts"
    site = Site().backend("one", file={"path": str(path), "refresh": "100ms"}).simple_route("one")
    proxy = world.proxy(site)
    assert ask(proxy.port).status == 503
    assert "UH" in proxy.wait_log(1, authority="one.test")[0]["response_flags"]
    write(path, f"{HOST}:{a.port}\n")
    wait_for(lambda: ask(proxy.port).status == 200, 5, "the file to be found")


# ---- names ----


class NameServer:
    """Answers A and AAAA by `names`; what `fault` names goes wrong."""

    def __init__(self):
        self.port = free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, self.port))
        self.refusing = socket.socket()  # an answer that was cut off is asked for again, by TCP
        self.refusing.bind((HOST, self.port))
        self.names = {}
        self.fault = None
        self.ttl = 0
        self.asked = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):  # closed meanwhile
            while True:
                query, peer = self.socket.recvfrom(4096)
                if not query:
                    return
                self.asked += 1
                for reply in self._reply(query):
                    self.socket.sendto(reply, peer)

    def _reply(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, (kind,) = query[12 : at + 5], struct.unpack("!H", query[at + 1 : at + 3])
        addresses = [a for a in self.names.get(".".join(labels).lower(), []) if (kind == 1) == ("." in a)]
        known = ".".join(labels).lower() in self.names
        ident, rcode, flags = query[:2], 0 if known else 3, 0x8180
        if self.fault == "silent":
            return
        if self.fault == "servfail":
            addresses, rcode = [], 2
        if self.fault == "other id":
            ident = bytes([query[0] ^ 1, query[1]])
        if self.fault == "not an answer":
            flags = 0x0100
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttl, len(raw)) + raw
            for raw in (socket.inet_pton(socket.AF_INET if "." in a else socket.AF_INET6, a) for a in addresses)
        )
        if self.fault == "loop":  # a name that points at itself
            records = b"\xc0" + bytes([12 + len(question)]) + records[2:]
        if self.fault == "cut":
            records = records[:-2]
        reply = ident + struct.pack("!HHHHH", flags | rcode, 1, len(addresses), 0, 0) + question + records
        if self.fault == "truncated":
            reply = reply[:2] + struct.pack("!H", 0x8380) + reply[4:]
        yield reply

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self.socket.close()
        self.refusing.close()


class OriginAt(Origin):
    """On an address of its own: names carry no ports, so all hosts of one share it."""

    def __init__(self, name, address, port):
        super().__init__(name)
        first, self.listener = self.listener, socket.create_server((address, port))
        first.shutdown(socket.SHUT_RDWR)  # wakes the thread
        first.close()
        threading.Thread(target=self._accept, daemon=True).start()


@pytest.fixture
def named(world):
    """Two hosts on 127.0.0.2 and 127.0.0.3 with one port, a name server, a proxy that knows the name."""

    class Named:
        pass

    n = Named()
    n.dns = world.keep(NameServer())
    port = free_port()
    world.keep(OriginAt("two", "127.0.0.2", port))
    world.keep(OriginAt("three", "127.0.0.3", port))
    n.dns.names["shop.test"] = ["127.0.0.2"]
    dns = {"hostname": "shop.test", "port": port, "refresh": "100ms", "resolvers": [f"{HOST}:{n.dns.port}"]}
    n.site = Site().backend("one", dns=dns).simple_route("one")
    return n


def test_hosts_behind_a_name(world, named):
    proxy = world.proxy(named.site, workers=2)
    wait_for(lambda: used(proxy) == {"two"}, 5, "the first answer")
    named.dns.names["shop.test"] = ["127.0.0.2", "127.0.0.3"]
    wait_for(lambda: used(proxy) == {"two", "three"}, 10, "the new address")
    wait_for(lambda: members(proxy) == 2, 5, "it to be counted")
    named.dns.names["shop.test"] = ["127.0.0.3"]
    wait_for(lambda: used(proxy) == {"three"}, 10, "the old address to go")


@pytest.mark.parametrize("fault", ["silent", "servfail", "other id", "not an answer", "loop", "cut", "truncated", "nothing", "gone"])
def test_a_name_server_that_fails_takes_no_host_away(world, named, fault):
    proxy = world.proxy(named.site)
    wait_for(lambda: used(proxy, 1) == {"two"}, 5, "the first answer")
    if fault == "nothing":
        named.dns.names["shop.test"] = []
    elif fault == "gone":
        del named.dns.names["shop.test"]
    else:
        named.dns.fault = fault
        named.dns.names["shop.test"] = ["127.0.0.3"]  # would be believed if the answer were
    # With the third question the first two have been dealt with.
    asked = named.dns.asked
    wait_for(lambda: named.dns.asked >= asked + 3, 15, "more questions")
    assert used(proxy, 10) == {"two"} and members(proxy) == 1
    assert proxy.process.poll() is None


# ---- active checks ----


class Checked:
    """An origin whose health is a switch."""

    def __init__(self, world, name):
        self.ok = True
        self.probes = 0
        self.origin = world.origin(name, self.behave)

    def behave(self, wire, request):
        if request.target != "/healthz":
            return echo(wire, request)
        self.probes += 1
        take_body(wire, request)
        wire.send(answer(200 if self.ok else 503, b"x"))
        return True


def checked_site(*hosts, **check):
    # Hosts here have time to answer, unless a test is about those that take too long.
    active = {"type": "HTTP", "http": {"path": "/healthz"}, "interval": "100ms", "timeout": "5s", "unhealthyThreshold": 2, **check}
    if check.get("type") == "TCP":
        del active["http"]
    return Site().backend("one", *hosts).simple_route("one").policy("one", healthCheck={"active": active})


def test_http_checks_take_a_host_out_and_in_again(world):
    a, b = Checked(world, "a"), Checked(world, "b")
    proxy = world.proxy(checked_site(a.origin, b.origin, healthyThreshold=2), workers=2)
    wait_for(lambda: a.probes and b.probes, 5, "the first checks")
    assert healthy(proxy) == 2 and used(proxy) == {"a", "b"}
    a.ok = False
    wait_for(lambda: healthy(proxy) == 1, 5, "the host to be taken out")
    assert used(proxy) == {"b"}
    a.ok = True
    wait_for(lambda: healthy(proxy) == 2, 5, "the host to be taken in")
    assert used(proxy) == {"a", "b"}
    assert proxy.metric("envoy_cluster_health_check_failure") >= 2
    # The requests of checks are none of the users'.
    assert proxy.metric("envoy_cluster_upstream_rq_total") == 3 * USERS


def test_one_bad_check_in_two_is_not_enough(world):
    """Item 53: a host that flaps below the threshold stays where it is."""
    a = Checked(world, "a")
    turns = []

    def behave(wire, request):
        if request.target == "/healthz":
            turns.append(1)
            a.ok = len(turns) % 2 == 0
        return a.behave(wire, request)

    a.origin.behave = behave
    proxy = world.proxy(checked_site(a.origin, world.origin("b"), unhealthyThreshold=2))
    seen = set()

    def looked():
        seen.add(healthy(proxy))
        return len(turns) >= 10

    wait_for(looked, 10, "ten checks")
    assert seen == {2}


def test_a_check_that_gets_no_answer(world):
    a = Checked(world, "a")
    proxy = world.proxy(checked_site(a.origin, world.origin("b"), timeout="800ms"))
    wait_for(lambda: a.probes, 5, "the first check")

    def silent(wire, request):
        if request.target == "/healthz":
            wire.rest()
        return echo(wire, request)

    a.origin.behave = silent
    wait_for(lambda: healthy(proxy) == 1, 5, "the host to be taken out")
    # The other one is out too for a moment if it could not answer within the time; then any is tried.
    wait_for(lambda: used(proxy) == {"b"}, 5, "nobody to be sent to the one that is out")


def test_tcp_checks(world):
    a, b = world.origin("a"), world.origin("b")
    proxy = world.proxy(checked_site(a, b, type="TCP"))
    wait_for(lambda: a.connections and b.connections, 5, "the first checks")
    assert healthy(proxy) == 2
    a.close()
    wait_for(lambda: healthy(proxy) == 1, 5, "the host to be taken out")
    assert used(proxy) == {"b"}


def test_with_all_hosts_out_any_is_tried(world):
    """Item 54: a try that may fail beats a failure that is certain."""
    a = Checked(world, "a")
    a.ok = False
    proxy = world.proxy(checked_site(a.origin))
    wait_for(lambda: healthy(proxy) == 0, 5, "the host to be taken out")
    assert ask(proxy.port).status == 200


def test_a_side_is_dead_when_checks_and_traffic_say_so(world):
    """With Shared state the slots of a dead new side go to the old one; a broken check alone moves nobody."""
    old, new = Checked(world, "old"), Checked(world, "new")
    active = {"type": "HTTP", "http": {"path": "/healthz"}, "interval": "100ms", "timeout": "5s", "unhealthyThreshold": 1}
    site = Site().backend("old", old.origin).backend("new", new.origin).simple_route("one", "old")
    site.policy("old", "new", healthCheck={"active": active})
    site.migration("m", 50, route="one")
    proxy = world.proxy(site)
    assert used(proxy) == {"old", "new"}
    new.ok = False
    # A side that has answered nobody for three seconds counts as silent: its users keep coming.
    wait_for(lambda: used(proxy) == {"old", "new"} and proxy.metric(HEALTHY, '"default/new"') == 0, 5, "the checks to fail")
    assert used(proxy) == {"old", "new"}, "it answers its users"
    new.origin.close()
    assert used(proxy) == {"old"}
    assert proxy.settled().metric("watari_requests_lost_total") == 0
    tried = proxy.metric("envoy_cluster_upstream_rq_total", '"default/new"')
    assert used(proxy) == {"old"}
    assert proxy.metric("envoy_cluster_upstream_rq_total", '"default/new"') == tried, "nobody is sent there any more"
