"""From the guard's verdict to the last request that the bad side is sent."""

import json
import os
import time

import peer as peers
from measure import BenchError, Load

VERDICT_S = 20
AFTER_S = 1.0


class Failing(peers.Watari):
    """The benchmark's migration; its new side is an origin that answers nothing but 500."""

    def __init__(self, bench, bad):
        super().__init__(bench)
        self.bad = bad

    def fill(self, template, path):
        good = self.bench.origin.ports
        self.bench.origin.ports = [good[0], self.bad.ports[0]]
        try:
            super().fill(template, path)
        finally:
            self.bench.origin.ports = good

    def command(self):
        command = super().command()
        command[command.index("--workers") + 1] = "2"  # a verdict is one worker's, all must obey
        return command

    def verdict_ms(self):
        """The wall clock's time of the verdict, or None."""
        path = os.path.join(self.dir, "state", "verdicts.json")
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)["verdicts"][0]["atMs"]
        except (OSError, ValueError, LookupError):
            return None


def await_verdict(peer):
    deadline = time.monotonic() + VERDICT_S
    while peer.verdict_ms() is None:
        if time.monotonic() > deadline:
            raise BenchError(f"the guard reached no verdict within {VERDICT_S} s")
        time.sleep(0.02)


def once(bench):
    bad = peers.Origin(bench, status=500)
    peer = Failing(bench, bad)
    try:
        peer.start()
        load = Load(bench, peer.port, seconds=VERDICT_S + AFTER_S, warm=0, connections=64,
                    cookies=True)
        try:
            started_ms = time.time() * 1000
            await_verdict(peer)
            time.sleep(AFTER_S)
        finally:
            load.stop()
        verdict_ms = peer.verdict_ms()
    finally:
        peer.stop()
        bad.stop()
    return {"to_verdict_ms": verdict_ms - started_ms,
            "last_request_ms": max(0, bad.said["last_ms"][0] - verdict_ms),
            "sent_to_bad": bad.said["requests"][0]}


def verdict(bench, turns):
    runs = []
    for _ in range(turns):
        try:
            runs.append(once(bench))
        except BenchError as error:
            bench.note(f"verdict: {error}")
    return {"runs": runs}
