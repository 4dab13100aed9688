"""The wall clock jumps by an hour, there and back: no pause ends early or late, no request fails (reliability item 78)."""

import contextlib
import email.utils
import time

import pytest
import rig
from crossing_rig import Service, Up

PAUSE_S = 4


@pytest.fixture
def jumping(tmp_path, monkeypatch):
    """An Up whose wall clock is real time + what jumping.by(SECONDS) says."""
    offset = tmp_path / "offset"
    offset.write_text("0\n")
    offset.chmod(0o644)
    monkeypatch.setenv("LD_PRELOAD", str(rig.shim(tmp_path, "clock_shim")))
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(offset))
    monkeypatch.setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0")
    with contextlib.closing(Up(tmp_path / "up").start()) as up:
        up.by = lambda seconds: offset.write_text(f"{seconds}\n")
        yield up.wait_ready()


def ahead_s(up):
    """Of our wall clock that of control."""
    answer = rig.ask(up.api_port, "/readyz", f"{rig.HOST}:{up.api_port}")
    return email.utils.parsedate_to_datetime(answer.get("date")).timestamp() - time.time()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_jump_of_the_wall_clock_moves_no_pause(jumping, seconds):
    service = Service(jumping, "shop")
    rig.wait_for(lambda: rig.ask(jumping.port, host="shop.test").status == 200, 10, "it to be served")
    asked = time.monotonic()
    service.migrate([{"setWeight": 10}, {"pause": {"duration": f"{PAUSE_S}s"}}, {"setWeight": 100}])
    with rig.Starved(jumping.pid("control")) as starved:
        service.wait(lambda s: s.get("weight") == 10 and s["phase"] == "Paused", 15, "the pause")
        began = time.monotonic()
        jumping.by(seconds)
        rig.wait_for(lambda: abs(ahead_s(jumping) - seconds) < 600, 5, "control to see another time")
        # Nobody sends requests, so the end of the pause shows as Inconclusive.
        service.wait(lambda s: s["phase"] == "Inconclusive", PAUSE_S + 6, "the end of the pause")
        ended = time.monotonic()
        # It began at some moment between those two.
        assert PAUSE_S <= ended - asked and ended - began < PAUSE_S + 4 + starved.s(), f"{ended - began:.1f} s since it was seen"
    assert rig.ask(jumping.port, host="shop.test").status == 200
    service.close()
