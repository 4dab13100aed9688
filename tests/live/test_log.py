"""What the proxy says of a request: the access log, and the fields that it writes for hosts."""

import json
import re
import time

import pytest
from rig import Client, Site, answer, ask, take_body, wait_for


def one(world, behave=None, **more):
    origin = world.origin("one", **({"behave": behave} if behave else {}))
    return world.proxy(Site().backend("one", origin).simple_route("one"), **more), origin


# Envoy's default format, field by field.
DEFAULT = re.compile(
    r'^\[(?P<start>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>\S+)" (?P<code>\d+) '
    r'(?P<flags>\S+) (?P<received>\d+) (?P<sent>\d+) (?P<duration>\d+) (?P<service>\d+|-) "(?P<forwarded>[^"]*)" '
    r'"(?P<agent>(?:[^"\\]|\\.)*)" "(?P<id>[^"]*)" "(?P<authority>[^"]*)" "(?P<upstream>[^"]*)"$'
)


def text_entries(proxy, n):
    lines = wait_for(lambda: (lambda l: l if len(l) >= n else None)(proxy.log_lines()), 5, f"{n} log lines")
    entries = [DEFAULT.match(line) for line in lines]
    assert all(entries), lines
    return [e.groupdict() for e in entries]


def test_the_default_text_format_is_envoys(world):
    proxy, origin = one(world, log_format="text")
    client = world.client(proxy)
    response = client.ask("/a?b=c", fields=["User-Agent: test/1", "X-Request-ID: id-1"], method="POST", body=b"hello")
    text_entries(proxy, 1)  # each is logged before the next begins
    bad = world.client(proxy)
    bad.send(b"GET / HTTP/1.1\r\n\r\n")
    bad.response()
    text_entries(proxy, 2)
    ask(proxy.port, "/nobody", "nobody.test")
    served, refused, unrouted = text_entries(proxy, 3)
    assert served["method"] == "POST" and served["path"] == "/a?b=c" and served["protocol"] == "HTTP/1.1"
    assert (served["code"], served["flags"], served["received"]) == ("200", "-", "5")
    assert served["sent"] == str(len(response.body))
    assert served["agent"] == "test/1" and served["id"] == "id-1" and served["authority"] == "one.test"
    assert served["upstream"] == f"127.0.0.1:{origin.port}" and served["forwarded"] == "127.0.0.1"
    assert served["service"] != "-"
    assert (refused["code"], refused["flags"], refused["upstream"]) == ("400", "DPE", "-")
    assert (unrouted["code"], unrouted["flags"], unrouted["path"]) == ("404", "NR", "/nobody")
    assert unrouted["forwarded"] == "127.0.0.1" and re.fullmatch(r"[0-9a-f-]{36}", unrouted["id"])


def test_durations_are_milliseconds(world):
    def behave(wire, request):
        take_body(wire, request)
        time.sleep(0.12)
        wire.send(answer(200, b"x"))
        return True

    proxy, _ = one(world, behave)
    begin = time.monotonic()
    ask(proxy.port, "/slow")
    took_ms = (time.monotonic() - begin) * 1000
    entry = proxy.wait_log(path="/slow")[0]
    until_ms = (time.monotonic() - begin) * 1000
    assert 115 <= entry["upstream_service_time"] <= took_ms + 1
    # The request may end a moment after the client has it all.
    assert entry["upstream_service_time"] <= entry["duration"] <= until_ms + 1


def test_a_client_cannot_write_the_log(world):
    """Quotes, backslashes and bytes over 0x7e are escaped; control bytes never get that far (CVE-2024-45808)."""
    evil = b'a" 200 - 0 0 "x\\ \xff\t\xc3\xa9'
    proxy, _ = one(world, log_format="text")
    client = world.client(proxy)
    client.send(b"GET /evil HTTP/1.1\r\nHost: one.test\r\nUser-Agent: " + evil + b"\r\n\r\n")
    assert client.response().status == 200
    (entry,) = text_entries(proxy, 1)
    assert entry["agent"] == r'a\" 200 - 0 0 \"x\\ \xff\x09\xc3\xa9'
    proxy, _ = one(world, log_format="json")
    client = world.client(proxy)
    client.send(b"GET /evil HTTP/1.1\r\nHost: one.test\r\nUser-Agent: a\"b\\c\xc3\xa9\r\n\r\n")
    assert client.response().status == 200
    assert proxy.wait_log(path="/evil")[0]["user_agent"] == 'a"b\\cé'


def test_answers_made_here_are_told_apart_too(world):
    proxy, _ = one(world)
    ask(proxy.port, "/given", "nobody.test", fields=["X-Request-ID: id-1", "X-Forwarded-For: 10.9.9.9"])
    ask(proxy.port, "/forged", "nobody.test", fields=["X-Request-ID: " + "x" * 200])
    given, forged = proxy.wait_log(path="/given")[0], proxy.wait_log(path="/forged")[0]
    assert (given["request_id"], given["x_forwarded_for"]) == ("id-1", "127.0.0.1")
    assert re.fullmatch(r"[0-9a-f-]{36}", forged["request_id"])


def test_json_says_more(world):
    proxy, origin = one(world)
    client = world.client(proxy)
    client.ask("/j", fields=["X-Request-ID: id-2"])
    (entry,) = proxy.wait_log(client=client.address)
    assert entry["request_id"] == "id-2" and entry["response_code"] == 200 and entry["response_flags"] is None
    assert entry["upstream_host"] == f"127.0.0.1:{origin.port}" and entry["upstream_cluster"] == "default/one"
    assert entry["route_name"] and entry["attempts"] == 1
    assert entry["migration"] is entry["slot"] is entry["side"] is None


def test_every_request_has_one_line(world):
    proxy, _ = one(world, workers=2)
    for c in range(8):
        client = Client(proxy.port)
        for i in range(50):
            client.ask(f"/l/{c}/{i}")
        client.close()
    entries = proxy.wait_log(400)
    assert len(entries) == 400 == len({e["path"] for e in entries})
    assert proxy.metric("watari_access_log_lines_total") == 400
    assert proxy.metric("envoy_http_downstream_rq_total") == 400
    assert proxy.metric("envoy_cluster_upstream_rq_total") == 400


# ---- fields for hosts ----


def test_request_ids(world):
    proxy, _ = one(world)
    client = world.client(proxy)
    kept = client.ask("/", fields=["X-Request-ID: mine"])
    assert kept.seen("x-request-id") == ["mine"]
    made = [client.ask("/").seen("x-request-id") for _ in range(5)]
    assert all(len(m) == 1 for m in made) and len({m[0] for m in made}) == 5
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made[0][0])
    long = client.ask("/", fields=["X-Request-ID: " + "x" * 1000]).seen("x-request-id")
    assert len(long) == 1 and len(long[0]) == 36, "one that is no id is replaced"


TRACE = "0af7651916cd43dd8448eb211c80319c"
NO_TRACES = ("00-" + "0" * 32 + "-b7ad6b7169203331-01", "garbage", f"ff-{TRACE}-b7ad6b7169203331-01")


@pytest.mark.parametrize("percent", [0, 100])
def test_a_trace_goes_on_as_it_came(world, percent):
    client = world.client(one(world, options=["--trace-percent", str(percent)])[0])
    value = f"00-{TRACE}-b7ad6b7169203331-00"
    response = client.ask("/", fields=[f"traceparent: {value}", "tracestate: a=b"])
    assert response.seen("traceparent") == [value] and response.seen("tracestate") == ["a=b"]


def test_a_trace_is_begun_where_that_is_asked_for(world):
    for percent, made in ((0, False), (100, True)):
        client = world.client(one(world, options=["--trace-percent", str(percent)])[0])
        for fields in [], *([f"traceparent: {v}", "tracestate: a=b"] for v in NO_TRACES):
            response = client.ask("/", fields=fields)
            seen = response.seen("traceparent")
            assert len(seen) == made and response.seen("tracestate") == [], "it belongs to the trace that was none"
            assert all(re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", v) and TRACE not in v for v in seen)


def test_forwarded_fields_are_ours(world):
    proxy, _ = one(world)
    client = world.client(proxy)
    response = client.ask("/", fields=["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Forwarded-Port: 443"])
    assert response.seen("x-forwarded-for") == ["127.0.0.1"]
    assert response.seen("x-forwarded-proto") == ["http"] and response.seen("x-forwarded-host") == ["one.test"]
    assert response.seen("x-forwarded-port") == [] and response.seen("host") == ["one.test"]


def test_stats_and_metrics_tell_the_same(world):
    proxy, _ = one(world)
    for i in range(3):
        assert ask(proxy.port, f"/{i}").status == 200
    assert ask(proxy.port, "/", "nobody.test").status == 404
    proxy.wait_log(4)  # a request is counted once its answer is out, and then logged
    stats = dict(line.rsplit(": ", 1) for line in proxy.admin("/stats").body.decode().splitlines())
    as_json = {s["name"]: s["value"] for s in json.loads(proxy.admin("/stats?format=json").body)["stats"]}
    metrics = proxy.metrics()
    listener = next(k.split('"')[-2] for k in metrics if k.startswith("envoy_http_no_route"))
    cluster = next(k.split('"')[-2] for k in metrics if k.startswith("envoy_cluster_upstream_rq_total"))
    rows = [
        (f"cluster.{cluster}.upstream_rq_total", f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{cluster}"}}', 3),
        (f"cluster.{cluster}.upstream_rq_2xx",
         f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",envoy_cluster_name="{cluster}"}}', 3),
        (f"cluster.{cluster}.membership_total", f'envoy_cluster_membership_total{{envoy_cluster_name="{cluster}"}}', 1),
        (f"cluster.{cluster}.health_check.failure",
         f'envoy_cluster_health_check_failure{{envoy_cluster_name="{cluster}"}}', 0),
        (f"listener.{listener}.no_route", f'envoy_http_no_route{{envoy_http_conn_manager_prefix="{listener}"}}', 1),
        (f"listener.{listener}.requests_lost",
         f'watari_listener_requests_lost_total{{envoy_http_conn_manager_prefix="{listener}"}}', 0),
    ]
    found = proxy.admin("/stats?filter=^cluster.*rq_total%7Cno_route$").body.decode().splitlines()
    assert sorted(line.rsplit(": ", 1)[0] for line in found) == [f"cluster.{cluster}.upstream_rq_total", f"listener.{listener}.no_route"]
    filtered = json.loads(proxy.admin("/stats?format=json&filter=no_route").body)["stats"]
    assert filtered == [{"name": f"listener.{listener}.no_route", "value": 1}]
    assert "# TYPE envoy_http_no_route counter" in proxy.admin("/stats?format=prometheus").body.decode()
    for query in ("filter=(a)", "filter=%zz", "format=html", "format=prometheus&filter=a"):
        refused = proxy.admin("/stats?" + query)
        assert (refused.status, len(refused.body.splitlines())) == (400, 1), query
    assert all(line[22] == " " != line[23] for line in proxy.admin("/").body.decode().splitlines())
    for name, metric, value in rows:
        assert (float(stats[name]), as_json[name], metrics[metric]) == (value, value, value), name
