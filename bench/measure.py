"""Counters of the kernel, and one run of the load generator with the counters around it."""

import ctypes
import json
import os
import resource
import selectors
import signal
import subprocess
import time

FILES = 20000  # descriptors a process may have, the same for all
PR_SET_PDEATHSIG = 1
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A sentence that ends the benchmark or one peer's part of it."""


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def process_tree(root_pid):
    """The process and its descendants, as they are now."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = read(f"/proc/{name}/stat").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(name))
    tree, queue = [], [root_pid]
    while queue:
        pid = queue.pop()
        tree.append(pid)
        queue += children.get(pid, [])
    return tree


def process_cpu_ns(pids):
    """User and system time. The scheduler's own count in ns where the kernel shows it: utime and
    stime in /proc/PID/stat are the same time in steps of 10 ms, too coarse for a run at 30 %."""
    total = 0
    for pid in pids:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
            total += sum(int(read(f"/proc/{pid}/task/{t}/schedstat").split()[0]) for t in tasks)
        except FileNotFoundError:
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * TICK_NS
    return total


def core_idle_steal_ns(cpu):
    for line in read("/proc/stat").splitlines():
        fields = line.split()
        if fields[0] == f"cpu{cpu}":
            return (int(fields[4]) + int(fields[5])) * TICK_NS, int(fields[8]) * TICK_NS
    raise BenchError(f"/proc/stat has no line for cpu{cpu}")


def pss_bytes(pids):
    """Proportional set size: shared pages are divided by their users, so a tree adds up."""
    total = 0
    for pid in pids:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def slab_bytes():
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1]) * 1024
    return 0


class Sample:
    """What was used up to one moment."""

    def __init__(self, pids, cpu):
        self.wall_ns = time.monotonic_ns()
        self.process_ns = process_cpu_ns(pids)
        self.idle_ns, self.steal_ns = core_idle_steal_ns(cpu)

    def until(self, later, requests):
        wall_ns = later.wall_ns - self.wall_ns
        busy_ns = max(0, wall_ns - (later.idle_ns - self.idle_ns))
        process_ns = later.process_ns - self.process_ns
        count = max(1, requests)
        return {
            "process_us": process_ns / count / 1000,
            "core_us": busy_ns / count / 1000,
            "core_busy": busy_ns / wall_ns,
            "process_share": process_ns / wall_ns,
            "steal": (later.steal_ns - self.steal_ns) / wall_ns,
        }


class Load:
    """A running bench-load. Its output says when the measured seconds begin and end."""

    def __init__(self, bench, port, **options):
        command = [bench.tool("bench-load"), "--to", f"127.0.0.1:{port}"]
        for name, value in options.items():
            if value is True:
                command.append(f"--{name}")
            elif value not in (None, False):
                command += [f"--{name}", str(value)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, bufsize=0,
            preexec_fn=lambda: child_setup(bench.load_cpu))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def line(self, timeout_s):
        """The next line. Unbuffered: select() must not miss a line that was read with another."""
        if not self.selector.select(timeout_s):
            self.stop()
            raise BenchError(f"the load generator said nothing for {timeout_s:.0f} s")
        line = self.process.stdout.readline().decode()
        if not line:
            raise BenchError(f"the load generator ended with code {self.process.wait()}")
        return line

    def finish(self, timeout_s=10):
        figures = json.loads(self.line(timeout_s))
        self.process.wait(timeout_s)
        self.close()
        return figures

    def end(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.close()

    def close(self):
        self.selector.close()
        self.process.stdout.close()


def child_setup(cpu):
    """In the child, before exec: its core, its descriptors, an end when we end."""
    os.sched_setaffinity(0, {cpu})
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def measure(bench, peer, seconds, warm, **options):
    """One run: the load's figures and the peer's CPU for the same seconds."""
    if peer.log:
        os.truncate(peer.log, 0)
    pids = process_tree(peer.process.pid) if peer.process else []
    load = Load(bench, peer.port, seconds=seconds, warm=warm, **options)
    try:
        load.line(warm + 10)
        before = Sample(pids, bench.proxy_cpu)
        done = int(load.line(seconds + 10).split()[1])
        after = Sample(pids, bench.proxy_cpu)
        figures = load.finish()
    finally:
        load.stop()
    figures.update(before.until(after, done))
    if peer.log:
        figures["log_bytes"] = os.stat(peer.log).st_size
    return figures
