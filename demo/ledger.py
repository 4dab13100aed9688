"""What the demo knows so far: sums of the load's lines, the steps with their shares, the faults,
who moved when."""

import collections
import time

SETTLE_S, LATE_S = 0.6, 3.5
LEEWAY_S = 1.5  # between a move seen by a user and the status read that explains it


class Span:
    """One share in force, from the moment it was seen until it changed."""

    def __init__(self, asked, ledger):
        self.asked, self.start, self.end = asked, time.monotonic(), None
        self.counts = collections.Counter()
        self.users = dict(ledger.users)
        # The first lines carry answers asked for under the share before; those of a late side come
        # latest.
        self.settle_s = LATE_S if asked == 0 else SETTLE_S

    def add(self, line):
        if self.end or line["at"] - self.start < self.settle_s:
            return
        self.counts.update(line["counts"])
        self.users = line["users"]

    def result(self):
        old, new = self.counts["reader old"], self.counts["reader new"]
        people = sum(self.users.values())
        return {
            "asked": self.asked,
            "seconds": round((self.end or time.monotonic()) - self.start, 1),
            "requests": old + new,
            "requests_new": new,
            "measured": percent(new, old + new),
            "users": people,
            "users_new": self.users.get("new", 0),
            "users_measured": percent(self.users.get("new", 0), people),
        }


class Fault:
    def __init__(self, kind, weight):
        self.kind, self.weight, self.start = kind, weight, time.monotonic()
        self.rolled_back = self.repaired = self.last_bad = None
        self.bad = 0

    def result(self):
        def after(moment):
            return None if moment is None else round(moment - self.start, 2)

        return {
            "kind": self.kind,
            "weight": self.weight,
            "bad": self.bad,
            "rolled_back_after_s": after(self.rolled_back),
            "last_bad_after_s": after(self.last_bad),
        }


class Ledger:
    def __init__(self):
        self.start = time.monotonic()
        self.counts = collections.Counter()
        self.latency = {"old": collections.Counter(), "new": collections.Counter()}
        self.users, self.ticks = {}, collections.deque(maxlen=4000)
        # The last ones of each kind, so that many bad answers cannot hide one lost request.
        self.notes = {kind: collections.deque(maxlen=30) for kind in ("lost", "wrong", "bad")}
        self.moves, self.shares = [], [(self.start, 0)]
        self.spans, self.faults, self.events = [], [], []
        self.status, self.crossed_s = {}, None

    def add(self, line):
        self.counts.update(line["counts"])
        for side, counts in line["latency"].items():
            self.latency[side].update({int(k): n for k, n in counts.items()})
        self.users = line["users"]
        for note in line["notes"]:
            kind = note.partition(" ")[0].rstrip(":")
            self.notes[kind].append((round(line["at"] - self.start, 2), note))
        self.moves.extend(line["moves"])
        self.ticks.append((line["at"], line["counts"], self.share))
        if self.spans:
            self.spans[-1].add(line)
        fault = self.faults[-1] if self.faults else None
        if fault and fault.repaired is None:
            fault.bad += line["counts"].get("bad", 0)
            if (line["last_bad"] or 0) >= fault.start:
                fault.last_bad = line["last_bad"]

    @property
    def why(self):
        """The Migration's own words for where it stands."""
        return f"{self.status.get('phase')}, {self.status.get('message') or 'no word why'}"

    @property
    def share(self):
        return self.shares[-1][1]

    def see(self, status):
        """A fresh reading of the Migration; an empty one says nothing and changes nothing."""
        if not status:
            return
        before, self.status = self.status, status
        weight = status.get("weight", 0)
        if weight != self.share:
            self.shares.append((time.monotonic(), weight))
            self.close_span()
            self.spans.append(Span(weight, self))
            self.tell(f"{weight:g} % of the users on the new side")
        if status.get("phase") != before.get("phase"):
            words = status.get("message") or ""
            self.tell(f"{status.get('phase')}{': ' + words if words else ''}")
            if (
                status.get("phase") == "RolledBack"
                and self.faults
                and self.faults[-1].rolled_back is None
            ):
                self.faults[-1].rolled_back = time.monotonic()

    def close_span(self):
        if self.spans and self.spans[-1].end is None:
            self.spans[-1].end = time.monotonic()

    def begin_fault(self, kind):
        """What a broken side answers says nothing about shares, so the step's measurement ends
        here."""
        self.close_span()
        self.faults.append(Fault(kind, self.share))

    def tell(self, text):
        self.events.append((time.monotonic() - self.start, text))

    def changed(self, rising, since, until):
        """Was the share raised (or lowered) between two moments?"""
        pairs = zip(self.shares, self.shares[1:])
        return any(
            (after > before) == rising
            for (_, before), (at, after) in pairs
            if since - LEEWAY_S <= at <= until + LEEWAY_S
        )

    def judge_moves(self):
        """Users moved, moved back, and strays: those who changed side although the share gave no
        reason to."""
        arrived, moved, back, strays = {}, set(), set(), 0
        for at, user, to in self.moves:
            if not self.changed(to == "new", arrived.get(user, self.start), at):
                strays += 1
            arrived[user] = at
            (moved if to == "new" else back).add(user)
        return {"moved": len(moved), "moved_back": len(back), "strays": strays}


def percent(part, whole):
    return round(100 * part / whole, 2) if whole else None
