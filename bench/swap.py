"""What it costs to change one of many routes: the way of `watari up`, from a file to every worker."""

import os
import time
import urllib.request

import peer as peers
from measure import BenchError, process_cpu_ns, process_tree

CHANGE_S = 20
STEP_S = 0.05
REST_S = 0.5
RESTING = 0.05  # of a core
REST_MOST_S = 60


class Up(peers.Watari):
    """Control and proxy together; the first route has a file of its own, which changes."""

    ready_s = 60  # 10,000 documents are checked and stored first

    def __init__(self, bench, routes):
        super().__init__(bench)
        self.routes = routes

    def prepare(self):
        super().prepare()
        self.api_port = peers.free_port()
        self.changed = os.path.join(self.site, "changed.yaml")
        self.change("/at-first")

    def command(self):
        return [self.program, "up", "-f", self.site, "--workers", "1", "--no-users",
                "--listen", f"127.0.0.1:{self.api_port}",
                "--admin", f"127.0.0.1:{self.admin_port}",
                "--state-dir", os.path.join(self.dir, "state")]

    def change(self, path):
        text = peers.route_yaml(self.routes).replace("/p0000", path)
        with open(self.changed + "~", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.changed + "~", self.changed)

    def gauges(self):
        """The proxy's gauges of its snapshots, in seconds but for the version."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        fields = (line.split() for line in lines if line.startswith("watari_snapshot_"))
        return {name.removeprefix("watari_snapshot_"): float(value) for name, value in fields}


def until_served(up, path):
    host = peers.route_address(up.routes)[0]
    deadline = time.monotonic() + CHANGE_S
    while not peers.answers(up.port, host, path):
        if time.monotonic() > deadline:
            raise BenchError(f"swap: the changed route was not in force within {CHANGE_S} s")
        time.sleep(STEP_S)


def at_rest(up):
    """One change at a time: statuses are written and the snapshot before is on disk."""
    pids = process_tree(up.process.pid)
    deadline = time.monotonic() + REST_MOST_S
    busy = 1
    while busy > RESTING and time.monotonic() < deadline:
        before, start = process_cpu_ns(pids), time.monotonic()
        time.sleep(REST_S)
        busy = (process_cpu_ns(pids) - before) / 1e9 / (time.monotonic() - start)


def swap(bench, routes, turns):
    """The figures of `turns` changes of one route among `routes`."""
    up = Up(bench, routes)
    runs = []
    try:
        up.start()
        until_served(up, "/at-first")
        for turn in range(turns):
            path = f"/changed-{turn}"
            at_rest(up)
            before_ns = time.monotonic_ns()
            up.change(path)
            until_served(up, path)
            seen_ns = time.monotonic_ns()
            gauges = up.gauges()
            runs.append({"build_ms": gauges["build_seconds"] * 1e3,
                         "adopt_ms": gauges["adopt_seconds"] * 1e3,
                         "file_to_answer_ms": (seen_ns - before_ns) / 1e6})
    except (BenchError, OSError, KeyError) as error:
        bench.note(f"swap: {error}")
    finally:
        up.stop()
    return {"routes": routes, "runs": runs}
