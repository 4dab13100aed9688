"""The story: 1 %, 10 %, broken, back, repaired, again, late, back, repaired, again, 50 %, 100 %,
the old side retired."""

import asyncio
import time

from owned import Failed

WARM_S = 12
FIRST_S, LOOK_S, HALF_S, ALL_S = 5, 6, 10, 8
CALM_S = 4  # after a rollback, so that late answers of the broken side are counted as its own
FAULTS = {"errors": "it answers 500", "slow": "it answers after 1.5 s"}


class Crossing:
    def __init__(self, edge, sites, ledger):
        self.edge, self.sites, self.ledger = edge, sites, ledger

    async def run(self):
        self.ledger.tell("all users on the old side")
        await self.hold(WARM_S)
        await self.say(self.edge.begin)
        self.ledger.tell("Migration applied")
        await self.climb(1, FIRST_S)
        await self.climb(10, LOOK_S)
        for fault in FAULTS:
            await self.break_new(fault)
            await self.say(self.edge.resume)
            self.ledger.tell("resumed")
            await self.climb(1, FIRST_S)
            await self.climb(10, LOOK_S)
        await self.climb(50, HALF_S, by_hand=True)
        await self.climb(100, ALL_S)
        await self.finish()
        self.ledger.crossed_s = time.monotonic() - self.ledger.start

    async def climb(self, weight, hold_s, by_hand=False):
        """Waits for the Migration to reach a share, then stays there. When its guard still wants
        more evidence than a demo has time for, somebody promotes it, as a person would who has seen
        enough."""
        if by_hand or not await self.reaches(weight, self.edge.patience_s):
            await self.promote(weight)
            if not await self.reaches(weight, 20):
                raise Failed(f"the share never reached {weight} %: {self.ledger.why}")
        await self.hold(hold_s)
        if self.ledger.status.get("phase") == "RolledBack":
            raise Failed(f"the new side was given up and was not broken: {self.ledger.why}")

    async def reaches(self, weight, patience_s):
        end = time.monotonic() + patience_s
        while self.ledger.share < weight and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return self.ledger.share >= weight

    async def promote(self, weight):
        await self.say(self.edge.promote, weight)
        self.ledger.tell(f"promoted to {weight} %")

    async def break_new(self, fault):
        self.ledger.begin_fault(fault)
        self.ledger.tell(f"the new side is broken: {FAULTS[fault]}")
        self.set_fault(fault, True)
        if not self.edge.guards:
            await self.hold(3)
            await self.say(self.edge.roll_back)
        await self.until(
            lambda s: s.get("phase") == "RolledBack" and s.get("weight", 0) == 0, 45, "roll back"
        )
        await self.hold(CALM_S)
        self.set_fault(fault, False)
        self.ledger.faults[-1].repaired = time.monotonic()
        self.ledger.tell("the new side is repaired")
        await self.hold(1)

    def set_fault(self, fault, on):
        for site in self.sites:
            if site.side == "new":
                site.set_fault(fault, on)

    async def finish(self):
        await self.say(self.edge.finish)
        self.ledger.tell("the route's owner makes the new side its backend")
        await self.until(lambda s: s.get("phase") == "Completed", 20, "complete")
        self.ledger.close_span()
        for site in self.sites:
            if site.side == "old":
                await asyncio.to_thread(site.stop)
        self.ledger.tell("the old side is switched off")
        await self.hold(5)

    async def until(self, reached, patience_s, word):
        end = time.monotonic() + patience_s
        while not reached(self.ledger.status):
            if time.monotonic() > end:
                raise Failed(f"the Migration did not {word} in {patience_s} s: {self.ledger.why}")
            await asyncio.sleep(0.05)

    async def say(self, command, *words):
        """The edge's commands block; the drawing must not."""
        return await asyncio.to_thread(command, *words)

    async def hold(self, seconds):
        await asyncio.sleep(seconds)
