"""The kills of tests/live/test_crossing.py for longer, over several seeds."""

import pytest
from test_crossing import kills, verdict


@pytest.mark.parametrize("seed", range(1, 5))
def test_forty_kills(tmp_path, seed):
    kills(tmp_path, seed, n=40, most_s=50)


@pytest.mark.parametrize("turn", range(5))
def test_a_verdict_outlives_everybody_every_time(tmp_path, turn):
    verdict(tmp_path)
