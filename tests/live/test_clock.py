"""The wall clock jumps by an hour, there and back: no pause ends early or late, no request fails (reliability item 78)."""

import subprocess
import time
from pathlib import Path

import pytest
import rig
from crossing_rig import Service, Up

PAUSE_S = 4


@pytest.fixture
def jumping(tmp_path, monkeypatch):
    """An Up whose wall clock is real time + what jumping.by(SECONDS) says."""
    shim, offset = tmp_path / "shim.so", tmp_path / "offset"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, source, "-ldl"], check=True)
    offset.write_text("0\n")
    offset.chmod(0o644)
    for p in (tmp_path, *tmp_path.parents[:3]):
        p.chmod(p.stat().st_mode | 0o055)  # the children run as users of their own
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(offset))
    monkeypatch.setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0")
    up = Up(tmp_path / "up").start()
    up.by = lambda seconds: offset.write_text(f"{seconds}\n")
    yield up.wait_ready()
    up.close()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_jump_of_the_wall_clock_moves_no_pause(jumping, seconds):
    service = Service(jumping, "shop")
    asked = time.monotonic()
    service.migrate([{"setWeight": 10}, {"pause": {"duration": f"{PAUSE_S}s"}}, {"setWeight": 100}])
    service.wait(lambda s: s.get("weight") == 10 and s["phase"] == "Paused", 15, "the pause")
    began = time.monotonic()
    jumping.by(seconds)
    # Nobody sends requests, so the end of the pause shows as Inconclusive.
    with rig.Starved(jumping.pid("control")) as starved:
        service.wait(lambda s: s["phase"] == "Inconclusive", PAUSE_S + 6, "the end of the pause")
        ended = time.monotonic()
        # It began at some moment between those two.
        assert PAUSE_S <= ended - asked and ended - began < PAUSE_S + 4 + starved.s(), f"{ended - began:.1f} s since it was seen"
    assert rig.ask(jumping.port, host="shop.test").status == 200
    service.close()
