#!/usr/bin/env python3
"""The benchmarks (docs/BENCH.md): Watari beside HAProxy, nginx, Envoy and a bare byte forwarder.

The proxy has the first core to itself, the load and the backend share the second. All peers run in
one go, in rounds whose order rotates, so that what disturbs the machine disturbs all of them.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import instructions as counts  # noqa: E402
import memory  # noqa: E402
import paired  # noqa: E402
import peer as peers  # noqa: E402
import swap as swaps  # noqa: E402
import table  # noqa: E402
import verdict as verdicts  # noqa: E402
from measure import BenchError, measure  # noqa: E402

NAMES = ["saturation", "rates", "latency", "idle", "routes", "swap", "verdict"]
ASKED_ONLY = ["instructions"]  # needs valgrind
SHARES = [0.3, 0.7]
OWN_PEAK_SHARE = 0.7
CONNECTIONS = 64
RIVALS = ["haproxy", "nginx", "envoy"]  # they know HTTP; the forwarder does not
P99_FACTOR = 1.1


class Effort:
    """How long and how often; --quick is for CI."""

    def __init__(self, quick, rounds, seconds):
        self.rounds = rounds or (1 if quick else 3)
        self.seconds = seconds or (0.6 if quick else 3.0)
        self.warm = 0.3 if quick else 0.5
        # What is judged within a round wants many short rounds.
        self.pairs = rounds or (2 if quick else 11)
        self.pair_seconds = seconds or (0.4 if quick else 1.5)
        self.pair_warm = 0.2 if quick else 0.3
        self.shares = SHARES[1:] if quick else SHARES
        self.idle_counts = [2000] if quick else [5000, 18000]
        self.routes = 2000 if quick else 10000
        self.swaps = 3 if quick else 10
        self.verdicts = 1 if quick else 5
        self.counted = 3000 if quick else 12000


class Bench:
    """What every part needs: the programs, the cores, a directory, what must be ended."""

    def __init__(self, args):
        self.root = os.path.dirname(HERE)
        self.build = os.path.abspath(args.build or os.path.join(self.root, "build"))
        self.effort = Effort(args.quick, args.rounds, args.seconds)
        if args.nice:
            raise_priority(args.nice)
        self.started = []
        self.notes = []
        self.peaks = {}
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy_cpu, self.load_cpu = cpus[0], cpus[min(1, len(cpus) - 1)]
        if len(cpus) < 2:
            self.note("one core only: the load takes its time from the proxy")
        os.sched_setaffinity(0, {self.load_cpu})
        self.dir = tempfile.mkdtemp(prefix="watari-bench-", dir=args.dir or roomy_dir())
        os.chmod(self.dir, 0o755)  # nginx's worker is another user
        self.dirs = 0
        self.origin = None

    def note(self, text):
        self.notes.append(text)
        print(f"note: {text}", file=sys.stderr)

    def tool(self, name):
        path = os.path.join(self.build, "bench", name)
        if not os.path.exists(path):
            raise BenchError(f"{path} is not there (./dev build, or --build DIR)")
        return path

    def make_dir(self, name):
        self.dirs += 1
        path = os.path.join(self.dir, f"{name}-{self.dirs}")
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def close(self):
        for started in reversed(list(self.started)):
            started.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def raise_priority(nice):
    """Where the kernel shares cores between sessions first (autogroup), a nice value counts inside
    a session only, so the session's own is set too. We get it ourselves as well, because we read
    the counters on the load's core. Best effort: it needs root."""
    try:
        os.setsid()
    except PermissionError:
        pass  # we lead a process group already: then the shell's session it is
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(nice))
    except OSError:
        pass


def roomy_dir():
    """Logs go to memory where there is room: a disk's write-back is not the proxy's work."""
    try:
        stat = os.statvfs("/dev/shm")
        return "/dev/shm" if stat.f_bavail * stat.f_frsize > 1 << 30 else None
    except OSError:
        return None


def factories(bench, only):
    """The peers that this machine has; each absent one is said once."""
    found = []
    for factory in peers.ALL:
        if only and factory.name not in only:
            continue
        try:
            factory(bench)
            found.append(factory)
        except BenchError as error:
            bench.note(f"without {factory.name}: {error}")
    return found


def start_all(bench, found):
    running = []
    for factory in found:
        peer = factory(bench)
        try:
            running.append(peer.start())
        except BenchError as error:
            bench.note(f"without {peer.name}: {error}")
    return running


def rotated(items, by):
    return items[by % len(items):] + items[:by % len(items)] if items else []


def median_of(runs):
    """Medians of every figure, the sum of errors, and the spread of the CPU time per request."""
    first = runs[0]
    result = {key: statistics.median(r[key] for r in runs)
              for key, value in first.items() if isinstance(value, (int, float))}
    result["errors"] = sum(r["errors"] for r in runs)
    result["spread"] = spread([r["process_us"] for r in runs])
    # What disturbs a run only adds to it: on a busy machine the least is nearer to the truth.
    result["least_us"] = min(r["process_us"] for r in runs)
    result["runs"] = runs
    return result


def spread(values):
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def rounds(bench, running, once, count=None):
    """once(peer) for every peer in every round; the medians, in the order of `running`."""
    runs = {peer.name: [] for peer in running}
    for turn in range(count or bench.effort.rounds):
        for peer in rotated(running, turn):
            try:
                runs[peer.name].append({**once(peer), "round": turn})
            except BenchError as error:
                bench.note(f"{peer.name}: {error}")
    return {name: median_of(list_) for name, list_ in runs.items() if list_}


def run(bench, peer, short=False, **options):
    effort = bench.effort
    seconds, warm = ((effort.pair_seconds, effort.pair_warm) if short else
                     (effort.seconds, effort.warm))
    figures = measure(bench, peer, seconds, warm, connections=CONNECTIONS, cookies=True, **options)
    # HAProxy, nginx and Envoy write 90 bytes and more for each request.
    if peer.log and figures["requests"] > 5000 and figures["log_bytes"] < 20 * figures["requests"]:
        bench.note(f"{peer.name}: {figures['log_bytes']} bytes of log for {figures['requests']} "
                   "requests: its access log is not on, so it is not comparable")
    return figures


def saturation(bench, running):
    result = rounds(bench, running, lambda peer: run(bench, peer))
    bench.peaks = {name: r["rate"] for name, r in result.items()}
    shared = max((r["core_busy"] - r["process_share"] for r in result.values()), default=0)
    if shared > 0.1:
        bench.note(f"up to {100 * shared:.0f} % of the proxy's core went to something else: "
                   "the figures are provisional")
    stolen = max((r["steal"] for r in result.values()), default=0)
    if stolen > 0.02:
        bench.note(f"the machine's host took up to {100 * stolen:.0f} % of the core")
    return result


def need_peaks(bench, running):
    if not bench.peaks:
        saturation(bench, running)


def rates(bench, running):
    need_peaks(bench, running)
    levels = []
    for share in bench.effort.shares:
        rate = max(1, round(share * min(bench.peaks.values(), default=0)))
        levels.append({"share": share, "rate": rate,
                       "peers": rounds(bench, running, lambda p, r=rate: run(bench, p, rate=r))})
    return {"levels": levels}


def latency_once(bench, peer):
    """The peer and the backend without it, one after the other, at the same rate."""
    rate = max(1, round(OWN_PEAK_SHARE * bench.peaks[peer.name]))
    figures = run(bench, peer, short=True, rate=rate)
    direct = run(bench, bench.origin, short=True, rate=rate)
    for key in ("p50_us", "p99_us"):
        figures[f"direct_{key}"] = direct[key]
        figures[f"added_{key}"] = figures[key] - direct[key]
    return figures


def latency(bench, running):
    need_peaks(bench, running)
    running = [peer for peer in running if peer.name in bench.peaks]
    result = rounds(bench, running, lambda peer: latency_once(bench, peer), bench.effort.pairs)
    for figures in result.values():
        figures["added"] = paired.middle([r["added_p99_us"] for r in figures["runs"]])
    if "watari" in result:
        ours = result["watari"]["runs"]
        result["watari"]["beside"] = {
            name: paired.at_most(ours, result[name]["runs"], P99_FACTOR, "added_p99_us")
            for name in RIVALS if name in result}
    return result


def routes(bench, _running):
    many = bench.effort.routes

    class Few(peers.Watari):
        routes = 10

    class Many(peers.Watari):
        routes = many

    try:
        few, lots = Few(bench).start(), Many(bench).start()
    except BenchError as error:
        bench.note(f"routes: {error}")
        return {}
    cases = [Case("10 routes", few, 10), Case(f"{many} routes, the same 10", lots, 10),
             Case(f"{many} routes, all of them", lots, many)]
    result = rounds(bench, cases, lambda case: run(
        bench, case.peer, short=True, host="h####.routes.test", path="/p####/item",
        targets=case.targets), bench.effort.pairs)
    for stopped in (few, lots):
        stopped.stop()
    base = result.get("10 routes", {}).get("runs", [])
    for figures in result.values():
        figures["ratio"] = paired.middle(paired.ratios(figures["runs"], base, "process_us"))
    return result


class Case:
    """A name for a peer with a certain load."""

    def __init__(self, name, peer, targets):
        self.name, self.peer, self.targets = name, peer, targets


def idle(bench, _running):
    return memory.idle(bench, bench.found, bench.effort.idle_counts)


def swap(bench, _running):
    return swaps.swap(bench, bench.effort.routes, bench.effort.swaps)


def verdict(bench, _running):
    return verdicts.verdict(bench, bench.effort.verdicts)


def instructions(bench, _running):
    return counts.instructions(bench, bench.effort.counted)


PARTS = {"saturation": saturation, "rates": rates, "latency": latency, "idle": idle,
         "routes": routes, "swap": swap, "verdict": verdict,
         "instructions": instructions}
RUNNING_TOGETHER = {"saturation", "rates", "latency"}


def bench_all(bench, names, only, quiet):
    results = {}
    bench.found = factories(bench, only)
    bench.origin = peers.Origin(bench)
    together = start_all(bench, bench.found) if RUNNING_TOGETHER & set(names) else []
    for name in names:
        if name not in PARTS:
            continue
        if name not in RUNNING_TOGETHER:
            for peer in together:
                peer.stop()
            together = []
        results[name] = PARTS[name](bench, together)
        if not quiet:
            show(name, results[name])
    return results


def show(name, result):
    text = getattr(table, name)(result) if result else f"  {name}: not measured (the notes say why)"
    print(f"\n{text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", metavar="NAME", help=", ".join(NAMES + ASKED_ONLY))
    parser.add_argument("--json", action="store_true", help="every figure of every round")
    parser.add_argument("--quick", action="store_true", help="within a minute; for CI")
    parser.add_argument("--build", metavar="DIR", help="build directory (build)")
    parser.add_argument("--dir", help="where the peers' files and logs go for the time of the run")
    parser.add_argument("--peer", action="append", metavar="NAME",
                        choices=[p.name for p in peers.ALL], help="this one only; may be repeated")
    parser.add_argument("--nice", type=int, default=0, metavar="N",
                        help="priority of the proxies and the load, -20 on a shared machine (root)")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--seconds", type=float, help="length of one run")
    args = parser.parse_args()
    for name in args.name:
        if name not in NAMES + ASKED_ONLY:
            parser.error(f"{name}: no such benchmark; there are {', '.join(NAMES + ASKED_ONLY)}")
    return args


def wrong_answers(results):
    """Watari's wrong or missing answers; other peers' are theirs."""
    found = [results.get("saturation", {}), results.get("latency", {}), results.get("routes", {})]
    found += [level["peers"] for level in results.get("rates", {}).get("levels", [])]
    return sum(r["errors"] for part in found for name, r in part.items()
               if name == "watari" or "routes" in name)


def main():
    args = arguments()
    # In the order of NAMES: first what runs with all peers started.
    names = [name for name in NAMES + ASKED_ONLY if name in args.name] or NAMES
    begun = time.monotonic()
    bench = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        bench = Bench(args)
        results = bench_all(bench, names, args.peer, quiet=args.json)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if bench:
            bench.close()
    seconds = time.monotonic() - begun
    if args.json:
        print(json.dumps({"results": results, "notes": bench.notes, "seconds": seconds}, indent=1))
    else:
        print(f"\n  {seconds:.0f} s, medians of {bench.effort.rounds} rounds ({bench.effort.pairs} of latency "
              "and routes); core us: busy time "
              "of the proxy's core, whoever used it")
    return 1 if wrong_answers(results) else 0


if __name__ == "__main__":
    sys.exit(main())
