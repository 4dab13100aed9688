"""The run, drawn in place on a terminal; one plain line every few seconds anywhere else."""

import shutil
import sys
import time

BARS = " ▁▂▃▄▅▆▇█"
LABEL = 9
PLAIN_EVERY_S = 5
HEAD_ROWS, EVENTS = 13, 8


def paint(code, text):
    return f"\x1b[{code}m{text}\x1b[0m"


def tinted(name, counts, none, some):
    """A count with its name, in the colour for none or for some."""
    return paint(some if counts[name] else none, f"{name} {counts[name]}")


class Screen:
    def __init__(self, ledger, title, out=sys.stdout):
        self.ledger, self.title, self.out = ledger, title, out
        self.live = out.isatty()
        self.drawn, self.plain_at, self.told = 0, 0.0, 0

    def draw(self):
        if self.live:
            return self.redraw()
        self.tell_events()
        if time.monotonic() - self.plain_at >= PLAIN_EVERY_S:
            self.plain_at = time.monotonic()
            print(self.summary(), file=self.out, flush=True)

    def tell_events(self):
        for at, text in self.ledger.events[self.told :]:
            print(f"{clock(at)}  {text}", file=self.out, flush=True)
        self.told = len(self.ledger.events)

    def summary(self):
        counts, users = self.ledger.counts, self.ledger.users
        total = counts["ok"] + counts["bad"] + counts["lost"]
        return (
            f"{clock(time.monotonic() - self.ledger.start)}  share {self.ledger.share:g} %"
            f"  users old {users.get('old', 0)} new {users.get('new', 0)}"
            f"  requests {total}  lost {counts['lost']}  bad {counts['bad']}"
            f"  wrong {counts['wrong']}"
        )

    def redraw(self):
        size = shutil.get_terminal_size((100, 30))
        room = max(1, min(EVENTS, size.lines - HEAD_ROWS - 1))
        rows = self.rows(min(size.columns, 111) - 1 - LABEL - 12, room)
        up = f"\x1b[{self.drawn}F" if self.drawn else ""
        self.out.write("\x1b[?25l" + up + "".join(f"\x1b[2K{row}\n" for row in rows) + "\x1b[J")
        self.out.flush()
        self.drawn = len(rows)

    def rows(self, width, room):
        ledger, counts = self.ledger, self.ledger.counts
        status = ledger.status
        columns = self.columns(width)
        total = counts["ok"] + counts["bad"] + counts["lost"]
        last = columns[-1] if columns else {}
        rows = [
            f"{paint(1, self.title)}  {clock(time.monotonic() - ledger.start)}",
            "",
            f"  {paint(1, f'{ledger.share:g} %')} on the new side"
            f"   {status.get('phase', 'no migration yet')}"
            f"   step {status.get('step', '-')}   epoch {status.get('epoch', '-')}",
            self.river(width),
            "",
            self.chart("share", columns, "share", 100, 36, f"{ledger.share:g} %"),
            self.chart("req/s", columns, "all", None, 32, f"{last.get('all', 0):.0f}"),
            self.chart("bad/s", columns, "bad", None, 33, f"{last.get('bad', 0):.0f}"),
            self.chart("lost/s", columns, "lost", None, 31, f"{last.get('lost', 0):.0f}"),
            "",
            f"  requests {total:,}   {tinted('lost', counts, 32, 31)}"
            f"   {tinted('bad', counts, 0, 33)}   {tinted('wrong', counts, 0, 31)}",
            "",
        ]
        rows += [f"  {paint(2, clock(at))}  {text[:width]}" for at, text in ledger.events[-room:]]
        return rows

    def river(self, width):
        """The users on both banks."""
        users = self.ledger.users
        everyone = max(1, sum(users.values()))
        new = round(width * users.get("new", 0) / everyone)
        banks = paint(34, "█" * (width - new)) + paint(36, "█" * new)
        return f"  old {users.get('old', 0):4} {banks} {users.get('new', 0):4} new"

    def columns(self, width):
        """The whole run in `width` columns: means of the rates, the last share in each."""
        ticks = self.ledger.ticks
        if not ticks:
            return []
        start, span = self.ledger.start, max(60.0, ticks[-1][0] - self.ledger.start)
        cells = {}
        for at, counts, share in ticks:
            cell = cells.setdefault(
                min(width - 1, int((at - start) / span * width)), {"all": 0, "bad": 0, "lost": 0}
            )
            cell["share"] = share
            for name in ("ok", "bad", "lost"):
                cell["all"] += counts.get(name, 0)
            cell["bad"] += counts.get("bad", 0)
            cell["lost"] += counts.get("lost", 0)
        seconds = span / width
        empty = {"all": 0, "bad": 0, "lost": 0, "share": 0}
        return [
            {
                key: value if key == "share" else value / seconds
                for key, value in cells.get(i, empty).items()
            }
            for i in range(max(cells) + 1)
        ]

    def chart(self, label, columns, key, top, colour, last):
        top = top or max([c[key] for c in columns] + [1e-9])
        bars = "".join(BARS[min(8, -int(-8 * c[key] / top // 1)) if c[key] else 0] for c in columns)
        return f"  {label:{LABEL - 2}}{paint(colour, bars)} {last}"

    def close(self):
        if self.live:
            self.out.write("\x1b[?25h")
            self.out.flush()
        else:
            self.tell_events()


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
