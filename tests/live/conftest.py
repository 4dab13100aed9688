import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

pytest.register_assert_rewrite("fault_rig", "fault_requests", "fault_scarcity", "fault_answers")

import rig  # noqa: E402
from crossing_rig import standing_alone  # noqa: E402


@pytest.fixture(scope="session")
def binary():
    return rig.binary()


@pytest.fixture
def world(tmp_path):
    w = rig.World(tmp_path)
    yield w
    w.end()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory):
    w = rig.World(tmp_path_factory.mktemp("shared"))
    yield w
    w.end()


@pytest.fixture
def up(tmp_path):
    """`watari up`, which the test may kill."""
    with standing_alone(tmp_path) as u:
        yield u
