"""How many pages the old servers give before the story begins: a machine with little time to spare
gets less load, since a starved server loses requests whoever stands in front of it."""

import asyncio
import time

from browser import HOST
from wire import Lost, Wire

LANES = 8
MEASURE_S = 2
FULL_LOAD_NEEDS = 300  # pages a second; the usual load takes about half of them
LEAST_SHARE = 0.2


async def pages_per_s(sites):
    end = time.monotonic() + MEASURE_S

    async def lane(number):
        site, count = sites[number % len(sites)], 0
        wire = Wire(site.address, 80)
        while time.monotonic() < end:
            try:
                await wire.ask("GET", "/doku.php?id=start", [("Host", HOST)])
                count += 1
            except Lost:
                pass
        wire.close()
        return count

    return sum(await asyncio.gather(*(lane(n) for n in range(LANES)))) / MEASURE_S


def share_of_load(pages):
    return max(LEAST_SHARE, min(1.0, pages / FULL_LOAD_NEEDS))
