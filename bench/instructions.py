"""User instructions that a proxied request costs the worker, counted by valgrind. They are the same on
a quiet and on a busy machine, so they are what a change to the request's path is judged by."""

import glob
import os
import re
import shutil
import signal
import time

import peer as peers
from measure import BenchError, Load

CONNECTIONS = 64
PATIENCE_S = 120


class Counted(peers.Watari):
    """Watari under callgrind, a file for each thread."""

    ready_s = PATIENCE_S

    def command(self):
        return ["valgrind", "--tool=callgrind", "--separate-threads=yes",
                f"--callgrind-out-file={self.dir}/count"] + super().command()


def lines(path):
    with open(path, "rb") as file:
        return file.read().count(b"\n")


def load_until(bench, peer, requests):
    """Errors are not judged here: the load is cut off in the middle of its requests."""
    load = Load(bench, peer.port, connections=CONNECTIONS, cookies=True, seconds=2 * PATIENCE_S,
                warm=0.1, timeout=60)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while lines(peer.log) < requests:
            if time.monotonic() > deadline:
                raise BenchError(f"{requests} requests took over {PATIENCE_S} s under valgrind")
            time.sleep(0.2)
    finally:
        load.stop()
    time.sleep(0.5)


def busiest_thread(directory):
    totals = []
    for path in glob.glob(os.path.join(directory, "count-*")):
        with open(path, encoding="ascii", errors="replace") as file:
            found = re.search(r"^totals: (\d+)", file.read(), re.MULTILINE)
        totals.append(int(found.group(1)) if found else 0)
    if not totals:
        raise BenchError("callgrind wrote no counts")
    return max(totals)


def instructions(bench, requests):
    if not shutil.which("valgrind"):
        bench.note("without instructions: valgrind is not installed (apt-get install valgrind)")
        return {}
    try:
        peer = Counted(bench).start()
        load_until(bench, peer, requests)
        process = peer.process
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        served = lines(peer.log)
        return {"requests": served, "per_request": busiest_thread(peer.dir) / served}
    except BenchError as error:
        bench.note(f"instructions: {error}")
        return {}
