"""Faults of clients and of backends, and what each gets: a table. The numbers are the items of the fault catalogue: 1-15 HTTP/1
(RFC 9112), 40-46 exhaustion, 47-54 upstream. The rows are in fault_requests.py, fault_scarcity.py and fault_answers.py."""

import pytest

from fault_answers import ANSWERS
from fault_requests import REQUESTS
from fault_rig import Bench, Scene, judge
from fault_scarcity import SCARCITY

ROWS = REQUESTS + SCARCITY + ANSWERS
ITEMS = [*range(1, 10), *range(11, 16), *range(40, 51)]


@pytest.fixture(scope="module")
def bench(shared_world, request):
    chosen = [i.callspec.params["row"] for i in request.session.items if getattr(i, "function", None) is test_fault]
    return Bench(shared_world, [row for row in chosen if not row.drive])


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.id)
def test_fault(row, request):
    if row.drive:
        scene = Scene(request.getfixturevalue("world"), row)
        judge(row, scene.out, scene.run())
    else:
        bench = request.getfixturevalue("bench")
        out = bench.outcomes[row.id]
        judge(row, out, bench.entries.get(out.address))


def test_every_item_has_a_row():
    assert set(ITEMS) <= {row.item for row in ROWS}
    assert len({row.id for row in ROWS}) == len(ROWS)
