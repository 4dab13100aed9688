"""Items 1-15 of the fault catalogue: what clients send (RFC 9112). Items 12 and 13 take a host as well: fault_answers.py."""

import ipaddress

from fault_rig import GET, MOST_BODY, POST, PROTOCOL_ERROR, TOO_LARGE, Row, body_is, driven, field_is, refused, served, target_is
from rig import answer


def chunked(id, body, **more):
    """The head is right, so the origin may have seen it; the body never gets there whole."""
    return Row(id, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body, **{"partly": True, **more})


def only_our_forwarding(response, seen):
    request = seen[0]
    (peer,) = request.all("x-forwarded-for")
    assert ipaddress.ip_address(peer).is_loopback
    assert request.all("x-forwarded-proto") == ["http"]
    assert request.all("x-forwarded-host") == ["one.test"]
    for name in ("forwarded", "x-real-ip", "x-secret", "keep-alive", "proxy-connection", "upgrade"):
        assert request.all(name) == [], name
    # TE: trailers is the proxy's own word: it can take them. It needs Connection: te beside it (RFC 9110 §10.1.4).
    assert (request.get("te"), request.get("connection")) in ((None, None), ("trailers", "te"))


def too_large(id, send, status=413, **more):
    """What was refused for its size alone broke no protocol."""
    flags = {413: None}.get(status, "DPE")
    counter = TOO_LARGE if status == 413 else (TOO_LARGE, PROTOCOL_ERROR)
    return Row(id, send, status, flags=flags, counter=counter, **more)


def length_is(n):
    def check(response, seen):
        assert len(seen[0].body) == n

    return check


def no_100_and_no_expect(response, seen):
    assert response.interim == [] and seen[0].all("expect") == []


EXPECT = POST + b"Expect: 100-continue\r\n"


def waits_for_100(scene):
    """The client waits; the origin is not asked to answer 100 itself."""
    client = scene.client()
    client.send(scene.request(EXPECT + b"Content-Length: 5\r\n"))
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
    scene.play(b"hello", client)
    assert scene.origin.seen(scene.row.target)[0].all("expect") == []


def early(wire, request):
    """Answers before it has read the body, and would go on with the connection."""
    wire.send(answer(401, b"no"))
    return True


def next_host_connection_is_new(scene, number=2):
    """After the row's request, the connection to the host is not used again."""
    assert scene.proxy.ask("/next").json["connection"] == number


def final_instead_of_100(scene):
    """The client may send the body or not: where its next request starts is in doubt."""
    assert scene.play(scene.request(EXPECT + b"Content-Length: 50\r\n")).body == b"no"
    next_host_connection_is_new(scene)


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
    chunked("5 trailer too long", b"0\r\nX-A: " + b"x" * 5000 + b"\r\n\r\n"),
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
    driven("11 a client that waits gets our 100", waits_for_100, check=body_is(b"hello")),
    served("11 who sends at once is not told to", EXPECT + b"Content-Length: 5\r\n\r\nhello", no_100_and_no_expect),
    served("11 HTTP/1.0 knows no 100", EXPECT.replace(b"1.1", b"1.0") + b"Content-Length: 5\r\n\r\nhello", no_100_and_no_expect,
           closes=True),  # fmt: skip
    driven("11 a final answer instead of 100", final_instead_of_100, 401, closes=True, behave=early),
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
    too_large("15 line too long", b"GET %T" + b"x" * 9000 + b" HTTP/1.1\r\nHost: one.test\r\n\r\n", 414),
    too_large("15 head too large", GET + (b"X-A: " + b"x" * 4000 + b"\r\n") * 20 + b"\r\n", 431),
    too_large("15 too many fields", GET + b"X-A: b\r\n" * 101 + b"\r\n", 431),
    served("15 60 KiB are none too many", GET + (b"X-A: " + b"x" * 4000 + b"\r\n") * 14 + b"\r\n",
           lambda response, seen: len(seen[0].all("x-a")) == 14),  # fmt: skip
    too_large("15 length over the limit", POST + b"Content-Length: %d\r\n\r\nhello" % (MOST_BODY + 1)),
    too_large("15 expected length over the limit", EXPECT + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1)),
    too_large("15 chunks over the limit", POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
              + b"10000\r\n" + b"x" * 0x10000 + b"\r\n0\r\n\r\n", partly=True),  # fmt: skip
    served("15 length at the limit", POST + b"Content-Length: %d\r\n\r\n" % MOST_BODY + b"x" * MOST_BODY, length_is(MOST_BODY)),
    served("15 chunks at the limit", POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % MOST_BODY + b"x" * MOST_BODY
           + b"\r\n0\r\n\r\n", length_is(MOST_BODY)),  # fmt: skip
    refused("15 other version", b"GET %T HTTP/2.0\r\nHost: one.test\r\n\r\n", 505),
    refused("15 no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
]
