"""What users read back: the statuses that control writes from what proxies report, by our commands and by kubectl."""

import os
import socket
import subprocess

import pytest
import rig
from test_cli import Cli

GATEWAY = rig.GATEWAY_API


class Server(Cli):
    """`watari up` with a site of its own."""

    def __init__(self, binary, directory, site):
        super().__init__(binary, directory)
        self.api = rig.free_port()
        # Leaks are looked for in one process at a time; in a sandbox LeakSanitizer, which needs ptrace(), cannot.
        self.server_env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        self.start("up", "-f", self.file(site.text(), "site.yaml"), "--listen", f"{rig.HOST}:{self.api}", "--admin",
                   f"{rig.HOST}:0", "--workers", "1", "--no-users")  # fmt: skip

    def cell(self, column, *words):
        head, row = self.ok("get", *words).splitlines()
        at = head.index(column)
        return row[at:].split()[0]

    def sees(self, expected, column, *words):
        rig.wait_for(lambda: self.cell(column, *words) == expected, 20, f"{expected} under {column} of {words}")

    def conditions(self, of):
        return {c["type"]: c for c in of.get("conditions", [])}

    def snapshot(self):
        c = rig.Client(self.api)
        try:
            text = c.ask("/metrics", f"{rig.HOST}:{self.api}").body.decode()
        finally:
            c.close()
        return next(line for line in text.splitlines() if line.startswith("watari_control_snapshot_version "))


@pytest.fixture
def serve(binary, tmp_path):
    servers = []

    def start(site):
        servers.append(Server(binary, tmp_path, site))
        return servers[-1]

    yield start
    for s in servers:
        s.stop()


PROBES = {"healthCheck": {"active": {"type": "TCP", "interval": "100ms", "timeout": "1s", "healthyThreshold": 1, "unhealthyThreshold": 1}}}


def test_healthy_hosts_are_counted(serve, world):
    one, two = world.origin("one"), world.origin("two")
    site = rig.Site().backend("shop", one, two).backend("idle", one).policy("shop", **PROBES).simple_route("shop")
    s = serve(site)
    s.sees("2/2", "HEALTHY", "be", "shop")
    s.sees("1/1", "HEALTHY", "be", "idle")
    s.sees("True", "PROGRAMMED", "gw", "web")
    before, version = s.json("be", "shop"), s.snapshot()
    two.close()
    s.sees("1/2", "HEALTHY", "be", "shop")
    after = s.json("be", "shop")
    # A status is no spec: the generation stays, the condition keeps its time, and proxies are told nothing.
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    assert s.conditions(after["status"])["Healthy"] == s.conditions(before["status"])["Healthy"]
    assert s.snapshot() == version
    one.close()
    rig.wait_for(lambda: s.conditions(s.json("be", "shop")["status"])["Healthy"]["status"] == "False", 20, "no healthy host")
    rig.wait_for(lambda: "NoneHealthy" in s.ok("describe", "be", "shop"), 20, "its reason")


def test_routes_tell_what_does_not_resolve(serve, world):
    site = rig.Site().backend("shop", world.origin("shop")).simple_route("shop", "shop", "missing")
    site.add(GATEWAY, "HTTPRoute", "lost", {"parentRefs": [{"name": "nowhere"}], "rules": [{"backendRefs": [rig.ref("shop")]}]})
    s = serve(site)
    s.sees("False", "RESOLVED", "hr", "shop")
    s.sees("True", "ACCEPTED", "hr", "shop")
    (parent,) = s.json("hr", "shop")["status"]["parents"]
    refs = s.conditions(parent)["ResolvedRefs"]
    assert parent["controllerName"] == "watari.dev/gateway" and parent["parentRef"]["name"] == "web"
    assert (refs["reason"], refs["observedGeneration"]) == ("BackendNotFound", 1) and '"missing"' in refs["message"]
    s.sees("False", "ACCEPTED", "hr", "lost")
    assert "NoMatchingParent" in s.ok("describe", "hr", "lost")
    # The Gateway counts what is attached, whether its backends are there or not.
    rig.wait_for(lambda: s.json("gw", "web").get("status", {}).get("listeners", [{}])[0].get("attachedRoutes") == 1, 20, "one route")
    accepted = s.conditions(parent)["Accepted"]
    s.ok("apply", "-f", s.file(rig.Site().backend("missing", 9).text().split("\n---\n")[1]))
    s.sees("True", "RESOLVED", "hr", "shop")
    (parent,) = s.json("hr", "shop")["status"]["parents"]
    assert s.conditions(parent)["Accepted"] == accepted


def test_a_port_that_cannot_be_opened(serve, world):
    taken = socket.socket()
    taken.bind((rig.HOST, rig.free_port()))
    taken.listen()
    site = rig.Site().backend("shop", world.origin("shop")).simple_route("shop")
    site.listeners.append({"name": "taken", "protocol": "HTTP", "port": taken.getsockname()[1]})
    s = serve(site)
    try:
        rig.wait_for(lambda: "PortUnavailable" in s.ok("get", "gw", "web", "-o", "yaml"), 20, "the port to be told of")
        gateway = s.json("gw", "web")["status"]
        open_, closed = (s.conditions(l) for l in gateway["listeners"])
        assert open_["Programmed"]["status"] == "True" and closed["Accepted"]["status"] == "False"
        assert s.conditions(gateway)["Programmed"]["message"] == "1 of 2 listeners could not be opened"
        assert s.cell("PROGRAMMED", "gw", "web") == "False"
    finally:
        taken.close()


def test_of_two_gateways_with_one_listener_the_younger_says_so(serve, world):
    site = rig.Site().backend("shop", world.origin("shop")).backend("other", world.origin("other")).simple_route("shop")
    spec = {"gatewayClassName": "watari", "addresses": [{"value": rig.HOST}], "listeners": [{"name": "mine", "protocol": "HTTP", "port": site.port}]}
    site.add(GATEWAY, "Gateway", "zeb", spec)
    site.add(GATEWAY, "HTTPRoute", "other", {"parentRefs": [{"name": "zeb"}], "hostnames": ["other.test"], "rules": [{"backendRefs": [rig.ref("other")]}]})
    s = serve(site)

    def ask(host):
        c = rig.Client(site.port)
        try:
            return c.ask(host=host).status
        finally:
            c.close()

    s.sees("True", "PROGRAMMED", "gw", "web")
    s.sees("False", "PROGRAMMED", "gw", "zeb")
    s.sees("False", "ACCEPTED", "hr", "other")
    s.sees("True", "ACCEPTED", "hr", "shop")
    assert (ask("shop.test"), ask("other.test")) == (200, 404)
    told = s.conditions(s.json("gw", "zeb")["status"]["listeners"][0])["Conflicted"]
    assert (told["status"], told["reason"]) == ("True", "HostnameConflict") and "default/web, listener http" in told["message"]
    s.ok("delete", "gw", "web")
    s.sees("True", "PROGRAMMED", "gw", "zeb")
    s.sees("True", "ACCEPTED", "hr", "other")
    assert (ask("shop.test"), ask("other.test")) == (404, 200)


def test_of_two_policies_for_a_backend_the_younger_says_so(serve, world):
    site = rig.Site().backend("shop", world.origin("shop")).policy("shop", **PROBES).simple_route("shop")
    site.add(rig.WATARI_API, "BackendTrafficPolicy", "z-late", {"targetRefs": [rig.ref("shop")]})
    s = serve(site)
    s.sees("True", "ACCEPTED", "btp", "for-shop")
    s.sees("False", "ACCEPTED", "btp", "z-late")
    (entry,) = s.json("btp", "z-late")["status"]["ancestors"]
    told = s.conditions(entry)["Accepted"]
    assert entry["ancestorRef"]["name"] == "shop" and told["reason"] == "Conflicted" and '"for-shop"' in told["message"]
    s.ok("delete", "btp", "for-shop")
    s.sees("True", "ACCEPTED", "btp", "z-late")


def test_events_count_from_one_and_keep_their_order(serve, world):
    site = rig.Site().backend("old", world.origin("old")).backend("new", world.origin("new")).simple_route("shop", "old")
    spec = {"routeRefs": [{"kind": "HTTPRoute", "name": "shop"}], "from": {"name": "old"}, "to": {"name": "new"}, "state": "Shared",
            "steps": [{"pause": {}}, {"setWeight": 1}, {"pause": {}}]}  # fmt: skip
    s = serve(site.add(rig.WATARI_API, "Migration", "shop", spec))
    rig.wait_for(lambda: "step 1/3 waits to be promoted" in s.ok("events", "--for", "mig/shop"), 20, "the first pause")
    rig.wait_for(lambda: "1 of 1 run this step" in s.ok("migrate", "status", "shop"), 20, "the proxy to report")
    s.ok("migrate", "promote", "shop")
    rig.wait_for(lambda: "step 3/3 waits to be promoted" in s.ok("events"), 20, "the second pause")
    told = [e["message"] for e in sorted(s.json("events")["items"], key=lambda e: int(e["metadata"]["resourceVersion"]))]
    assert told[0] == "attempt 1 begins" and not any("step 0" in m for m in told)
    for words in (["events", "--for", "mig/shop"], ["describe", "mig", "shop"]):
        lines = s.ok(*words).splitlines()[-len(told):]  # fmt: skip
        assert all(line.endswith("   " + m) for line, m in zip(lines, told)), (told, lines)


def test_kubectl_reads_them(serve, world, tmp_path):
    site = rig.Site().backend("shop", world.origin("shop")).simple_route("shop", "shop", "missing")
    s = serve(site)

    def kubectl(*words):
        done = subprocess.run(["kubectl", "--server", f"http://{rig.HOST}:{s.api}", "--cache-dir", str(tmp_path / "cache"), *words],
                              capture_output=True, text=True, timeout=120, env={**os.environ, "KUBECONFIG": "/dev/null"})  # fmt: skip
        assert done.returncode == 0, done
        return done.stdout

    kubectl("wait", "--for=condition=Programmed", "gateway/web", "--timeout=80s")
    kubectl("wait", "--for=condition=Healthy", "backend/shop", "--timeout=80s")
    healthy = ("get", "backends.watari.dev/shop", "-o", "jsonpath={.status.healthy}")  # Debian's 1.20 cannot wait for a jsonpath
    rig.wait_for(lambda: kubectl(*healthy) == "1", 20, "the healthy host")
    reasons = "{.status.parents[0].conditions[*].reason}"
    rig.wait_for(lambda: kubectl("get", "httproute", "shop", "-o", f"jsonpath={reasons}") == "Accepted BackendNotFound", 20, "reasons")
    rig.wait_for(lambda: "Attached Routes:  1" in kubectl("describe", "gateway", "web"), 20, "the route to be counted")
    assert "Observed Generation:   1" in kubectl("describe", "gateway", "web")
