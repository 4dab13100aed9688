"""Shares: which users a migration sends where, and the guard that takes them back.

The site's key is fixed, so that who moves first is the same in every run.
"""

import base64
import contextlib
import json
import time

import pytest

from rig import Client, Ended, Site, WasReset, answer, echo, take_body, wait_for

HOST = "shop.test"
COOKIE = "watari_id"
SOME = 32  # that as many new users are all on one side, where each has half, has a chance of 1 in 2,000,000,000


def site_of(world, weight, old=None, new=None, policy=None, **migration):
    old = old or world.origin("old")
    new = new or world.origin("new")
    site = Site().backend("old", old).backend("new", new)
    site.simple_route("shop", "old")
    if policy:
        site.policy("old", "new", **policy)
    site.migration("shop", weight, **migration)
    site.old, site.new = old, new
    return site


@pytest.fixture
def state(tmp_path):
    directory = tmp_path / "state"
    directory.mkdir()
    (directory / "site.key").write_bytes(bytes(range(32)))
    return directory


class User:
    """A browser: keeps its cookies."""

    def __init__(self, proxy, **cookies):
        self.proxy = proxy
        self.cookies = cookies
        self.client = None

    def ask(self, target="/", **more):
        fields = list(more.pop("fields", ()))
        if self.cookies:
            fields.append("Cookie: " + "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        if not self.client:
            self.client = Client(self.proxy.port)
        response = self.client.ask(target, HOST, fields=fields, **more)
        for value in response.all("set-cookie"):
            name, _, rest = value.partition("=")
            self.cookies[name] = rest.split(";")[0]
        if response.says_close:
            self.leave()
        return response

    def side(self, **more):
        return self.ask(**more).json["origin"]

    def leave(self):
        if self.client:
            self.client.close()
        self.client = None


def side_of(proxy, **cookies):
    user = User(proxy, **cookies)
    side = user.side()
    user.leave()
    return side, user


# ---- who goes where ----


def test_a_user_stays_where_it_is(world, state):
    proxy = world.proxy(site_of(world, 50), state=state, workers=2)
    sides = []
    for _ in range(80):
        user = User(proxy)
        first = user.ask()
        assert len(first.all("set-cookie")) == 1
        cookie = first.get("set-cookie")
        assert cookie.startswith(COOKIE + "=") and "HttpOnly" in cookie and "Path=/" in cookie
        user.leave()  # another connection, another worker
        for _ in range(3):
            again = user.ask()
            assert again.json["origin"] == first.json["origin"]
            assert again.all("set-cookie") == [], "a user is told once"
        sides.append(first.json["origin"])
        user.leave()
    assert 13 <= sides.count("new") <= 67  # 40 expected; out of these bounds once in 8,000,000,000 times


@pytest.mark.parametrize("n, kept", [(1, True), (7, True), (8, False)])
def test_a_strange_cookie_in_front_moves_nobody(world, state, n, kept):
    """A host of the same domain can set one of our name that ours never replaces; how many of them are looked over is bounded."""
    proxy = world.proxy(site_of(world, 50), state=state)
    for _ in range(10):
        user = User(proxy)
        side = user.side()
        fields = ["Cookie: " + f"{COOKIE}=strange; " * n + f"{COOKIE}={user.cookies[COOKIE]}"]
        again = [user.client.ask("/", HOST, fields=fields) for _ in range(4)]
        assert all((a.all("set-cookie") == []) == kept for a in again)
        assert not kept or {a.json["origin"] for a in again} == {side}
        user.leave()


def test_weights_nest_and_nobody_moves_back(world, state):
    old, new = world.origin("old"), world.origin("new")
    sides, ids = {}, {}
    for weight, low, high in [(10, 30, 70), (25, 95, 155), (100, 500, 500), (25, 95, 155), (10, 30, 70), (0.002, 0, 2)]:
        proxy = world.proxy(site_of(world, weight, old, new, userKey={"cookie": "session_id"}), state=state)
        now = set()
        client = Client(proxy.port)
        for i in range(500):
            cookie = f"session_id=user{i}" + (f"; {COOKIE}={ids[i]}" if i in ids else "")
            response = client.ask("/", HOST, fields=[f"Cookie: {cookie}"])
            if i not in ids:
                ids[i] = response.get("set-cookie").split("=", 1)[1].split(";")[0]
            if response.json["origin"] == "new":
                now.add(i)
        client.close()
        assert low <= len(now) <= high, (weight, len(now))
        for other, there in sides.items():
            assert now <= there if weight <= other else there <= now, (weight, other)
        if weight in sides:
            assert now == sides[weight], "going back restores the very same users"
        sides[weight] = now
        proxy.stop()


def test_a_login_never_moves_a_user(world, state):
    proxy = world.proxy(site_of(world, 50, userKey={"cookie": "session_id"}), state=state)
    sides = set()
    for i in range(SOME):
        user = User(proxy)
        side = user.side()
        for session in (f"anonymous{i}", f"logged-in{i}", f"rotated{i}"):
            user.cookies["session_id"] = session
            assert user.side() == side
        sides.add(side)
        user.leave()
    assert sides == {"old", "new"}


def test_the_key_seeds_the_same_identity_everywhere(world, state):
    """A user whose second device shows the same session is the same user."""
    proxy = world.proxy(site_of(world, 50, userKey={"cookie": "session_id"}), state=state)
    for i in range(20):
        side, user = side_of(proxy, session_id=f"s{i}")
        again, other = side_of(proxy, session_id=f"s{i}")
        assert again == side and user.cookies[COOKIE] == other.cookies[COOKIE]


def test_a_forged_cookie_is_not_accepted(world, state):
    proxy = world.proxy(site_of(world, 50), state=state)
    _, user = side_of(proxy)
    good = user.cookies[COOKIE]
    forged = [
        ("B" if good[0] == "A" else "A") + good[1:],
        good[:11] + ("B" if good[11] == "A" else "A") + good[12:],
        good[:-1] + chr(ord(good[-1]) ^ 1),  # the unused bits of the last character
        good[:-1],
        good + "A",
        "A" * 22,
        "",
        '"' + good + '"',
    ]
    client = world.client(proxy)
    for value in forged:
        response = client.ask("/", HOST, fields=[f"Cookie: {COOKIE}={value}"])
        assert len(response.all("set-cookie")) == 1, value
        assert value not in response.get("set-cookie") or not value
    assert client.ask("/", HOST, fields=[f"Cookie: {COOKIE}={good}"]).all("set-cookie") == []


def test_a_stable_header_overrides_the_cookie(world, state):
    site = site_of(world, 50, userKey={"header": "x-account", "stable": True})
    proxy = world.proxy(site, state=state)
    sides = {}
    client = world.client(proxy)
    cookie = client.ask("/", HOST).get("set-cookie").split(";")[0]
    for i in range(30):
        account = f"X-Account: a{i}"
        first = client.ask("/", HOST, fields=[account])
        assert first.all("set-cookie") == [], "an account needs no cookie"
        sides[i] = first.json["origin"]
        assert client.ask("/", HOST, fields=[account, f"Cookie: {cookie}"]).json["origin"] == sides[i]
    assert set(sides.values()) == {"old", "new"}


def bearer(signature="c2ln", **claims):
    """An Authorization field with a token; who signed it is nobody's business here."""

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"Authorization: Bearer {part({'alg': 'HS256'})}.{part(claims)}.{signature}"


def test_a_claim_seeds_the_same_identity_for_every_token(world, state):
    proxy = world.proxy(site_of(world, 50, userKey={"claim": "https://id.test/user"}), state=state, workers=2)
    sides, ids = set(), set()
    for i in range(20):
        devices = [User(proxy), User(proxy), User(proxy)]
        tokens = [
            bearer(**{"https://id.test/user": f"u{i}", "iat": 1}),
            bearer("b3RoZXI", **{"sub": "other", "iat": 2, "https://id.test/user": f"u{i}"}),
            bearer(**{"https://id.test/user": f"u{i}"}).replace("Bearer", "bEARER "),
        ]
        sides_now = {user.side(fields=[token]) for user, token in zip(devices, tokens)}
        ids_now = {user.cookies[COOKIE] for user in devices}
        assert len(sides_now) == len(ids_now) == 1
        sides |= sides_now
        ids |= ids_now
        for user in devices:
            user.leave()
    assert sides == {"old", "new"} and len(ids) == 20


def test_a_login_with_a_token_never_moves_a_user(world, state):
    proxy = world.proxy(site_of(world, 50, userKey={"claim": "sub"}), state=state)
    sides = set()
    for i in range(SOME):
        user = User(proxy)
        side = user.side()
        for token in (bearer(sub=f"a{i}"), bearer(sub=f"b{i}"), bearer(sub=i), "Authorization: Bearer damaged"):
            user.leave()
            assert user.side(fields=[token]) == side
        sides.add(side)
        user.leave()
    assert sides == {"old", "new"}


def test_a_damaged_token_is_no_key(world, state):
    """As without any: a random identity, and the service alone judges the token."""
    proxy = world.proxy(site_of(world, 50, userKey={"claim": "sub"}), state=state)
    good = bearer(sub="a")
    damaged = [
        [],
        [good, good],
        [good + ".S"],
        [good.replace("Bearer", "Basic")],
        [good.replace(".", "=.")],
        [bearer(sub={"sub": "a"})],
        [bearer(other="a")],
        [bearer(sub="a" * 7000)],
        [f"Authorization: Bearer H.{base64.urlsafe_b64encode(b'[' * 6000).decode()}.S"],
    ]
    client = world.client(proxy)
    keyed = client.ask("/", HOST, fields=[good]).get("set-cookie")
    assert client.ask("/", HOST, fields=[good]).get("set-cookie") == keyed
    for fields in damaged:
        minted = {client.ask("/", HOST, fields=fields).get("set-cookie") for _ in range(3)}
        assert len(minted) == 3 and keyed not in minted, fields


def test_a_stable_claim_overrides_the_cookie(world, state):
    proxy = world.proxy(site_of(world, 50, userKey={"claim": "sub", "stable": True}), state=state)
    client = world.client(proxy)
    cookie = client.ask("/", HOST).get("set-cookie").split(";")[0]
    sides = set()
    for i in range(30):
        first = client.ask("/", HOST, fields=[bearer(sub=i)])
        assert first.all("set-cookie") == []
        again = client.ask("/", HOST, fields=[bearer(sub=str(i), iat=9), f"Cookie: {cookie}"])
        assert again.json["origin"] == first.json["origin"]
        sides.add(first.json["origin"])
    assert sides == {"old", "new"}


def test_no_cookie_where_a_shared_cache_may_keep_it(world, state):
    fields = {
        "/public": ["Cache-Control: public"],
        "/max-age": ["Cache-Control: max-age=60"],
        "/s-maxage": ["Cache-Control: s-maxage=60"],
        "/expires": ["Expires: Thu, 01 Jan 2099 00:00:00 GMT"],
        "/private": ["Cache-Control: private, max-age=60"],
        "/no-store": ["Cache-Control: no-store"],
        "/nothing": [],
    }

    def behave(wire, request):
        take_body(wire, request)
        wire.send(answer(200, b"x", *fields[request.target]))
        return True

    site = site_of(world, 50, world.origin("old", behave), world.origin("new", behave))
    proxy = world.proxy(site, state=state)
    client = world.client(proxy)
    for target in fields:
        got = client.ask(target, HOST)
        minted = len(got.all("set-cookie"))
        assert minted == (0 if target in ("/public", "/max-age", "/s-maxage", "/expires") else 1), target
        if target == "/nothing":
            assert got.get("cache-control") == "private", "or a cache that guesses would give one user's cookie to others"


def test_an_asset_is_found_on_the_side_that_has_it(world, state):
    def having(name):
        def behave(wire, request):
            if request.target in (f"/{name}.js", "/both"):
                return echo(wire, request)
            take_body(wire, request)
            wire.send(answer(404, b"none"))
            return True

        return behave

    site = site_of(world, 50, world.origin("old", having("old")), world.origin("new", having("new")))
    proxy = world.proxy(site, state=state)
    client = world.client(proxy)
    for _ in range(20):
        assert client.ask("/old.js", HOST).status == 200
        assert client.ask("/new.js", HOST).status == 200
        assert client.ask("/neither.js", HOST).status == 404
        assert client.ask("/new.js", HOST, method="HEAD").status == 200
    # A user who is known gets what its side says, and a POST is never tried elsewhere.
    for _ in range(10):
        user = User(proxy)
        side = user.ask("/both").json["origin"]
        assert user.ask(f"/{side}.js").status == 200
        assert user.ask("/new.js" if side == "old" else "/old.js").status == 404
        user.leave()
    posts = [client.ask("/new.js", HOST, method="POST", body=b"x").status for _ in range(SOME)]
    assert 404 in posts
    n = len(site.old.requests) + len(site.new.requests)
    assert client.ask("/neither.js", HOST, method="POST", body=b"x").status == 404
    assert len(site.old.requests) + len(site.new.requests) == n + 1


def test_the_log_and_the_metrics_tell_the_share(world, state):
    proxy = world.proxy(site_of(world, 50), state=state)
    client = world.client(proxy)
    asked = [client.ask(f"/m/{i}", HOST).json["origin"] for i in range(30)]
    entries = proxy.wait_log(30, client.address)
    for i, entry in enumerate(entries):
        assert entry["migration"] == "default/shop" and entry["side"] == asked[i]
        assert 0 <= entry["slot"] < 65536 and (entry["step"], entry["epoch"]) == (0, 1)
        assert entry["upstream_cluster"] == f"default/{asked[i]}"
    for side in ("old", "new"):
        assert proxy.metric("watari_migration_requests_total", 'migration="default/shop"', f'side="{side}"') == asked.count(side)
    assert proxy.metric("watari_migration_weight", 'migration="default/shop"') == 50


# ---- the guard ----


def failing(status=500, delay=0.0):
    def behave(wire, request):
        take_body(wire, request)
        time.sleep(delay)
        wire.send(answer(status, b"broken"))
        return True

    return behave


NO_RETRY = {"retry": {"numRetries": 0}}


def users_until_back(proxy, site, most=400):
    """New users come one after the other; the number of them before the verdict is in the log."""
    for i in range(most):
        user = User(proxy)
        user.ask()
        user.leave()
        if "verdict Errors" in proxy.errors():
            return i
    raise AssertionError(f"no verdict after {most} users: {len(site.new.requests)} on the new side")


def all_on_old(proxy, site, n=60):
    before = len(site.new.requests)
    for _ in range(n):
        user = User(proxy)
        assert user.ask().status == 200
        user.leave()
    assert len(site.new.requests) == before


@pytest.mark.parametrize("weight,most", [(50, 100), (10, 400)])
def test_a_broken_new_side_loses_its_users_in_no_time(world, state, weight, most):
    site = site_of(world, weight, new=world.origin("new", failing()), policy=NO_RETRY)
    proxy = world.proxy(site, state=state, workers=2)
    stuck = None
    while not stuck:  # a user who is on the new side before it is known to be bad
        user = User(proxy)
        stuck = user if user.ask().status == 500 else user.leave()
    n = users_until_back(proxy, site, most)
    assert n <= most
    all_on_old(proxy, site)
    assert stuck.side() == "old"
    stuck.leave()
    bad = proxy.settled().metric("watari_migration_bad_total", 'side="new"')
    assert bad == len(site.new.requests), "bad answers are the side's own"
    assert proxy.metric("watari_requests_lost_total") == 0, "none of them is lost"
    # The verdict outlives the process, however it ends, and whatever the site's files still say.
    wait_for(lambda: (state / "verdicts.json").exists(), 5, "the verdict on disk")
    proxy.kill()
    again = world.proxy(site, state=state, workers=2)
    all_on_old(again, site)
    again.stop()
    # A newer epoch is a fresh attempt: it begins from nothing.
    site = site_of(world, weight, site.old, epoch=2)
    fresh = world.proxy(site, state=state)
    assert any(side_of(fresh)[0] == "new" for _ in range(300)), "of 300 users one has a share of 10 %"


def cut(head, body, reset):
    """A 200 whose body ends early."""

    def behave(wire, request):
        take_body(wire, request)
        wire.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
        time.sleep(0.02)  # the head gets through before the reset overtakes it
        if reset:
            wire.reset()

    return behave


@pytest.mark.parametrize("head,body", [(b"Content-Length: 100", b"ten bytes."), (b"Transfer-Encoding: chunked", b"a\r\nten bytes.\r\n")])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_new_side_that_cuts_its_answers_loses_its_users(world, state, head, body, reset):
    """The head is a good one; only the body tells."""
    site = site_of(world, 50, new=world.origin("new", cut(head, body, reset)), policy=NO_RETRY)
    proxy = world.proxy(site, state=state)
    for _ in range(200):
        user = User(proxy)
        with contextlib.suppress(Ended, WasReset):
            user.ask()
        user.leave()
        if "verdict Errors" in proxy.errors():
            break
    else:
        raise AssertionError(f"no verdict: {len(site.new.requests)} cut answers")
    all_on_old(proxy, site)
    assert proxy.settled().metric("watari_migration_lost_total", 'side="new"') == len(site.new.requests)


def test_a_slow_new_side_loses_its_users(world, state):
    site = site_of(world, 50, new=world.origin("new", failing(200, 0.5)), policy=NO_RETRY, guard={"slowerThan": "300ms"})
    proxy = world.proxy(site, state=state)
    users_until_back(proxy, site, 200)
    all_on_old(proxy, site)


def test_pause_takes_nobody_back(world, state):
    site = site_of(world, 50, new=world.origin("new", failing()), policy=NO_RETRY, guard={"onTrip": "Pause"})
    proxy = world.proxy(site, state=state)
    users_until_back(proxy, site, 200)
    statuses = []
    for _ in range(80):
        user = User(proxy)
        statuses.append(user.ask().status)
        user.leave()
    assert 13 <= statuses.count(500) <= 67  # 40 expected


def test_two_sides_that_fail_alike_are_no_verdict(world, state):
    def half(wire, request):
        take_body(wire, request)
        n = int(request.target.rpartition("/")[2])
        wire.send(answer(500 if n % 4 == 0 else 200, b"x"))
        return True

    # Users who are dealt in the same way in each run: with others there is a chance, which the guard allows, that they look bad.
    key = {"userKey": {"cookie": "session_id"}}
    site = site_of(world, 50, world.origin("old", half), world.origin("new", half), policy=NO_RETRY, **key)
    proxy = world.proxy(site, state=state)
    client = world.client(proxy)
    for i in range(400):
        client.ask(f"/n/{i}", HOST, fields=[f"Cookie: session_id=user{i}"])
    assert "verdict" not in proxy.errors()
    assert len(site.new.requests) > 100


def test_requests_of_a_broken_new_side_are_rescued(world, state):
    """With retries the old side answers instead, and the guard still sees the first attempt."""
    policy = {"retry": {"numRetries": 1, "retryOn": {"triggers": ["5xx"]}, "budget": {"percent": 100}}}
    site = site_of(world, 50, new=world.origin("new", failing()), policy=policy)
    proxy = world.proxy(site, state=state)
    for _ in range(100):
        user = User(proxy)
        assert user.ask().status == 200
        user.leave()
    assert "verdict Errors" in proxy.errors()
    assert proxy.settled().metric("watari_migration_rescued_total", 'side="new"') == len(site.new.requests) > 0
    assert proxy.metric("watari_migration_bad_total") == proxy.metric("watari_requests_lost_total") == 0


# ---- a side that is gone ----


def test_with_shared_state_a_dead_side_costs_nobody_anything(world, state):
    site = site_of(world, 50, new=world.refusing())
    proxy = world.proxy(site, state=state, workers=2)
    for _ in range(100):
        user = User(proxy)
        assert user.side() == "old"
        posted = user.ask(method="POST", body=b"x")
        assert posted.status == 200, "nothing was sent to the dead side, so it is safe"
        user.leave()
    assert proxy.settled().metric("watari_requests_lost_total") == 0
    assert len(site.old.requests) == 200


def test_with_separate_state_users_stay_even_with_a_dead_side(world, state):
    site = site_of(world, 50, new=world.refusing(), state="Separate")
    proxy = world.proxy(site, state=state)
    statuses = []
    for _ in range(80):
        user = User(proxy)
        first = user.ask().status
        statuses.append(first)
        user.leave()
    assert set(statuses) == {200, 503}
    assert 13 <= statuses.count(503) <= 67  # 40 expected
    assert proxy.settled().metric("watari_migration_lost_total", 'side="new"') == statuses.count(503)


@pytest.mark.parametrize("phase,weight,side", [("Pending", 0, "old"), ("Completed", 100, "new")])
def test_the_ends_of_a_migration(world, state, phase, weight, side):
    """The route names the old side all the time."""
    proxy = world.proxy(site_of(world, weight, phase=phase), state=state)
    client = world.client(proxy)
    assert {client.ask("/", HOST).json["origin"] for _ in range(30)} == {side}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("phase,route,to,side", [
    ("Progressing", "new", "third", "third"),  # the next crossing begins where the last one ended
    ("Completed", "old", "old", "old"),  # ... or goes back, and is over too
])
def test_a_migration_that_is_over_gives_way_to_a_later_one(world, state, names, phase, route, to, side):
    site = Site()
    for origin in ("old", "new", "third"):
        site.backend(origin, world.origin(origin))
    site.simple_route("shop", route)
    for name, more in zip(names, [
        {"from_": "old", "to": "new", "phase": "Completed", "started": "2026-01-01T00:00:00Z"},
        {"from_": "new", "to": to, "phase": phase, "started": "2026-01-02T00:00:00Z"},
    ]):
        site.migration(name, 100, route="shop", **more)
    client = world.client(world.proxy(site, state=state))
    assert {client.ask("/", HOST).json["origin"] for _ in range(30)} == {side}


@pytest.mark.parametrize("there,missing", [("new", "old"), ("old", "new")])
@pytest.mark.parametrize("named", ["old", "new"])
@pytest.mark.parametrize("data", ["Shared", "Separate"])
def test_users_of_the_side_that_is_there_stay_when_the_other_has_no_backend(world, state, there, missing, named, data):
    site = Site().backend(there, world.origin(there)).simple_route("shop", named)
    site.migration("shop", 50, userKey={"cookie": "session_id"}, state=data)
    proxy = world.proxy(site, state=state)
    users = [User(proxy, session_id=f"u{i}") for i in range(60)]
    seen = []
    for user in users:
        answers = [user.ask() for _ in range(3)]
        assert len({a.status for a in answers}) == 1
        seen += [a.status for a in answers[:1]]
        assert {a.json["origin"] for a in answers if a.status == 200} <= {there}
        user.leave()
    if data == "Shared":
        assert set(seen) == {200}
    else:
        assert set(seen) == {200, 500}  # the missing side's own answer, as Gateway API has it
        assert 10 < seen.count(500) < 50


@pytest.mark.parametrize("phase,weight,named,there", [
    ("Blocked", 0, "old", "old"), ("Blocked", 0, "new", "new"),  # there is no share: the route decides
    ("Completed", 100, "new", "new"), ("Completed", 100, "old", "new"), ("Retiring", 100, "old", "new"),
])
def test_without_a_share_on_the_missing_side_nobody_misses_it(world, state, phase, weight, named, there):
    site = Site().backend(there, world.origin(there)).simple_route("shop", named).migration("shop", weight, phase=phase)
    client = world.client(world.proxy(site, state=state))
    answers = [client.ask("/", HOST) for _ in range(20)]
    assert {(a.status, a.json["origin"]) for a in answers} == {(200, there)}


def test_the_side_that_is_there_may_fail_when_the_other_has_no_backend(world, state):
    """There is nobody to ask instead, and nothing to compare with."""
    site = Site().backend("new", world.origin("new", failing(503))).simple_route("shop", "old").migration("shop", 100)
    proxy = world.proxy(site, state=state)
    client = world.client(proxy)
    assert {client.ask("/", HOST).status for _ in range(60)} == {503}


def test_two_migrations_without_a_store_share_no_guard(world, state):
    """Files give no uid: one verdict must not fall on both."""
    bad = world.origin("new", failing())
    site = site_of(world, 50, new=bad, policy=NO_RETRY)
    good_old, good_new = world.origin("old2"), world.origin("new2")
    site.backend("old2", good_old).backend("new2", good_new).simple_route("second", "old2")
    site.migration("second", 50, from_="old2", to="new2")
    proxy = world.proxy(site, state=state)
    users_until_back(proxy, site, 200)
    client = world.client(proxy)
    seen = {client.ask("/", "second.test").json["origin"] for _ in range(40)}
    assert seen == {"old2", "new2"}
