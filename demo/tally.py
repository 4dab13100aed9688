"""What the load saw, in the load's own process: counts since the last line, and one JSON line a
tick for the demo."""

import collections
import json
import math
import time

SAMPLES = 8  # described failures a tick; the counts are complete in any case


def bucket(seconds):
    """Logarithmic, 10 % wide: enough for p50 and p99."""
    return int(math.log(max(seconds * 1000, 0.05)) * 10)


def bucket_ms(index):
    return math.exp((index + 0.5) / 10)


class Tally:
    def __init__(self, slow_s):
        self.slow_s = slow_s
        self.side = {}
        self.clear()

    def clear(self):
        self.counts = collections.Counter()
        self.latency = {"old": collections.Counter(), "new": collections.Counter()}
        self.moves, self.notes, self.last_bad = [], [], None

    def answer(self, kind, served_by, status, took_s):
        """Sorts one answer: lost, bad or ok. An answer without the servers' mark was made on the
        way: lost."""
        side = served_by.partition("-")[0]
        if side not in ("old", "new"):
            return self.lost(kind, f"status {status} that no server sent")
        late = side == "new" and took_s > self.slow_s
        verdict = "bad" if status >= 500 or late else "ok"
        self.counts[verdict] += 1
        self.counts[f"{kind} {side}"] += 1
        self.counts[f"at {served_by}"] += 1
        if verdict == "bad":
            self.counts[f"bad {side}"] += 1
            self.last_bad = time.monotonic()
            self.note(f"bad {kind} {served_by} status {status} {took_s:.2f} s")
        else:
            self.latency[side][bucket(took_s)] += 1
        return verdict

    def lost(self, kind, why):
        self.counts["lost"] += 1
        self.note(f"lost {kind}: {why}")
        return "lost"

    def wrong(self, why):
        """The answer came, and it was not what a user must see: not logged in, or his own words
        missing."""
        self.counts["wrong"] += 1
        self.note(f"wrong: {why}")

    def seen(self, user, served_by):
        side = served_by.partition("-")[0]
        before = self.side.get(user)
        if not side or before == side:
            return
        self.side[user] = side
        if before:
            self.moves.append((round(time.monotonic(), 3), user, side))

    def note(self, text):
        if len(self.notes) < SAMPLES:
            self.notes.append(text)

    def line(self):
        """One tick as JSON; the next starts empty."""
        sides = collections.Counter(self.side.values())
        text = json.dumps(
            {
                "at": time.monotonic(),
                "counts": self.counts,
                "latency": self.latency,
                "moves": self.moves,
                "notes": self.notes,
                "last_bad": self.last_bad,
                "users": sides,
            }
        )
        self.clear()
        return text
