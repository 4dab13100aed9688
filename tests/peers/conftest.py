"""Tests with real servers and clients at both ends; they stand on what the live ones do (tests/live/rig.py)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "live"))

import rig  # noqa: E402


@pytest.fixture
def world(tmp_path):
    w = rig.World(tmp_path)
    yield w
    w.end()
