"""The load: logged-in users at thinking speed, and anonymous readers at a fixed rate whatever the
answers do. A process of its own, so that drawing never delays a request. Prints one JSON line a
tick."""

import argparse
import asyncio
import collections
import signal
import sys
import time

from browser import HOST, Browser
from tally import Tally
from wire import Lost, Wire

TICK_S = 0.25
CHEAP_PAGE = "/lib/exe/opensearch.php"
MOST_IN_FLIGHT = 400
FRESH_EVERY = 20  # one anonymous reader in so many opens a connection of his own


class Readers:
    """Open loop: a request leaves when its time has come, not when an earlier one has ended."""

    def __init__(self, edge, tally, rate):
        self.edge, self.tally, self.rate = edge, tally, rate
        self.idle, self.tasks = collections.deque(), set()

    async def run(self):
        due, count = time.monotonic(), 0
        while True:
            due += 1 / self.rate
            count += 1
            await asyncio.sleep(max(0, due - time.monotonic()))
            if len(self.tasks) >= MOST_IN_FLIGHT:
                self.tally.counts["shed"] += 1
                continue
            task = asyncio.create_task(self.read(due, fresh=count % FRESH_EVERY == 0))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def read(self, due, fresh):
        wire = Wire(*self.edge) if fresh or not self.idle else self.idle.pop()
        headers = [("Host", HOST), ("User-Agent", "reader"), ("Accept", "*/*")]
        if fresh:
            headers.append(("Connection", "close"))
        try:
            answer = await wire.ask("GET", CHEAP_PAGE, headers)
        except Lost as why:
            self.tally.lost("reader", str(why))
            return
        # Counted from the time it was due: a late start is part of what the reader waited.
        self.tally.answer(
            "reader", answer.header("x-served-by"), answer.status, time.monotonic() - due
        )
        if fresh:
            wire.close()
        else:
            self.idle.append(wire)


async def report(tally):
    while True:
        await asyncio.sleep(TICK_S)
        print(tally.line(), flush=True)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", required=True, help="HOST:PORT")
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument(
        "--think", type=float, default=5.0, help="mean seconds between two actions of a user"
    )
    parser.add_argument("--rate", type=float, default=80, help="anonymous requests a second")
    parser.add_argument(
        "--slow",
        type=float,
        default=1.0,
        help="seconds after which an answer of the new side is bad",
    )
    parser.add_argument("--ramp", type=float, default=8.0, help="seconds in which all users log in")
    options = parser.parse_args()
    host, _, port = options.edge.rpartition(":")
    edge, tally = (host, int(port)), Tally(options.slow)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    people = [
        Browser(n, edge, tally, options.think).live(options.ramp * n / options.users)
        for n in range(options.users)
    ]
    try:
        await asyncio.gather(report(tally), Readers(edge, tally, options.rate).run(), *people)
    except asyncio.CancelledError:
        print(tally.line(), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
