#!/usr/bin/env python3
"""The demo: DokuWiki moves from two machines to two containers under load, breaks twice on the way,
and nobody notices more than they must. Exit 0 only if no request was lost and every bound held."""

import argparse
import asyncio
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import capacity
import cpu
import image
import net
import owned
import report
import wiki
from apache import Site
from browser import HOST
from crossing import Crossing
from haproxy import Haproxy
from ledger import Ledger
from owned import Failed
from screen import Screen
from watari import Watari
from wire import Lost, Wire

HERE = pathlib.Path(__file__).resolve().parent
ADDRESSES = {"old-1": 11, "old-2": 12, "new-1": 21, "new-2": 22}
EDGES = {"watari": Watari, "haproxy": Haproxy}
PORT = 8080
MOST_S = 240


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--watari",
        default="build/watari",
        metavar="FILE",
        help="the program (default build/watari)",
    )
    parser.add_argument(
        "--proxy", choices=EDGES, default="watari", help="what stands in front (default watari)"
    )
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument(
        "--think", type=float, default=5.0, help="mean seconds between a user's actions"
    )
    parser.add_argument("--rate", type=float, default=80, help="anonymous requests a second")
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default=pathlib.Path("/var/tmp/watari-demo"),
        help="work folder",
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="write the report there too"
    )
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    parser.add_argument(
        "--no-containers", action="store_true", help="plain processes in namespaces on both sides"
    )
    return parser.parse_args()


class Stage:
    """Everything that is set up before the story and taken down after it, whatever happened in
    between."""

    def __init__(self, options):
        self.options, self.work = options, options.work
        self.sites, self.edge, self.load, self.probe = [], None, None, None
        self.new_side, self.cpu_before = "containers", cpu.read()
        self.load_share = 1.0

    def clear(self):
        owned.sweep(self.work)
        image.clear(self.work)
        net.clear()
        wiki.clear(self.work / "wiki")

    def lock(self):
        self.work.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.held = open(self.work / "lock", "w")
        try:
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed(f"another demo runs in {self.work}") from None

    def build(self):
        for folder in ("edge", "state", "log", "faults", "site"):
            shutil.rmtree(self.work / folder, ignore_errors=True)
        subnet = net.free_subnet()
        self.host = subnet + ".1"
        net.make_bridge(self.host)
        wiki.make(self.work / "wiki", self.options.users)
        for name, last in ADDRESSES.items():
            net.make_host(name, f"{subnet}.{last}", self.host)
            self.sites.append(Site(self.work, name, f"{subnet}.{last}"))
        self.start_old()
        self.start_new()
        self.edge = EDGES[self.options.proxy](
            self.work, self.options.watari, self.host, PORT, self.sites
        )
        self.edge.start()

    def start_old(self):
        for site in self.side("old"):
            site.start_as_machine()

    def start_new(self):
        try:
            if self.options.no_containers:
                raise Failed("not wanted")
            image.make(self.work)
            for site in self.side("new"):
                site.start_as_container()
        except Failed as why:
            print(
                f"No containers here ({why}); the new side runs as plain processes in namespaces.",
                flush=True,
            )
            self.new_side = "plain processes"
            for site in self.side("new"):
                site.stop()
                site.start_as_machine()

    def side(self, side):
        return [site for site in self.sites if site.side == side]

    async def ready(self):
        """Every server answers a page by itself, and the edge answers one from the old side."""
        doors = [(site.address, 80, site.name, site.name) for site in self.sites]
        doors.append((self.host, PORT, self.edge.name, "old-"))
        for host, port, name, served_by in doors:
            said = await answers(host, port, served_by)
            if said:
                words = owned.last_words(self.work, name)
                raise Failed(f"{name} at {host}:{port} is not ready: {said}; {words}")

    async def start_load(self):
        self.cpu_before = cpu.read()
        edge = f"{self.host}:{PORT}"
        options = self.options
        self.probe = owned.start(
            self.work,
            "probe",
            [
                sys.executable,
                HERE / "probe.py",
                "--edge",
                edge,
                "--direct",
                f"{self.sites[0].address}:80",
            ],
            stdout=subprocess.PIPE,
        )
        with owned.log_of(self.work, "users").open("ab") as log:
            self.load = await asyncio.create_subprocess_exec(
                sys.executable,
                str(HERE / "users.py"),
                "--edge",
                edge,
                "--users",
                str(options.users),
                "--think",
                str(options.think),
                "--rate",
                str(options.rate),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 22,
                env={**os.environ, owned.MARK: str(self.work)},
                start_new_session=True,
            )

    async def end_load(self):
        self.load.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.load.wait(), 30)

    def end_probe(self):
        """Its result, once: the old servers are about to be switched off."""
        if self.probe is None:
            return None
        self.probe.send_signal(signal.SIGTERM)
        said = self.probe.communicate(timeout=10)[0]
        self.probe = None
        return json.loads(said) if said.strip() else None

    def end(self):
        if self.edge:
            self.edge.stop()
        for site in self.sites:
            site.stop(patience_s=2)
        self.clear()


async def answers(host, port, served_by, patience_s=20):
    """None once a page has come from the server that is meant; else what came last."""
    end = time.monotonic() + patience_s
    wire, said = Wire(host, port, 5), None
    while time.monotonic() < end:
        try:
            answer = await wire.ask(
                "GET", "/doku.php?id=start", [("Host", HOST), ("Connection", "close")]
            )
            if answer.status == 200 and answer.header("x-served-by").startswith(served_by):
                return None
            said = f"status {answer.status}"
        except Lost as why:
            said = str(why)
        await asyncio.sleep(0.1)
    return said


async def listen(stage, ledger):
    async for line in stage.load.stdout:
        ledger.add(json.loads(line))


async def watch(stage, ledger):
    while True:
        ledger.see(await asyncio.to_thread(stage.edge.status))
        await asyncio.sleep(0.1)


async def draw(screen):
    while True:
        screen.draw()
        await asyncio.sleep(0.25)


async def story(stage, ledger, screen):
    """The crossing beside its observers; when one of them fails, all end."""
    await stage.start_load()
    listener = asyncio.create_task(listen(stage, ledger))
    side_tasks = [
        asyncio.create_task(watch(stage, ledger)),
        asyncio.create_task(draw(screen)),
        listener,
    ]
    crossing = asyncio.create_task(Crossing(stage.edge, stage.sites, ledger).run())
    try:
        await asyncio.wait_for(first_to_fail(crossing, side_tasks), MOST_S)
        if stage.options.keep:
            await keep(stage, ledger)
    finally:
        crossing.cancel()
        await stage.end_load()
        await asyncio.wait_for(listener, 10)
        for task in side_tasks:
            task.cancel()


async def first_to_fail(crossing, others):
    done, _ = await asyncio.wait([crossing, *others], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    if crossing not in done:
        raise Failed("the load or a watcher ended before the crossing did")


async def keep(stage, ledger):
    ledger.tell(f"the edge: http://{stage.host}:{PORT}/ (Host: {HOST})")
    ledger.tell(f"a user: {wiki.name(0)}, {wiki.password(0)}")
    for site in stage.side("new"):
        ledger.tell(f"{site.name}: http://{site.address}/")
    ledger.tell("Ctrl-C ends it")
    await asyncio.Event().wait()


async def fit_load(stage):
    """Less load on a machine that has less time, and it says so."""
    options = stage.options
    pages = await capacity.pages_per_s(stage.side("old"))
    share = stage.load_share = capacity.share_of_load(pages)
    if share < 1:
        options.rate, options.think = options.rate * share, options.think / share
        print(f"The old side gives {pages:.0f} pages/s now: {share:.0%} of the usual load.", flush=True)


async def play(stage, ledger, screen):
    task = asyncio.current_task()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, task.cancel)
    await stage.ready()
    await fit_load(stage)
    screen.title += f"  two machines to two {stage.new_side}, {stage.options.users} users"
    ledger.start = time.monotonic()
    why = None
    try:
        await story(stage, ledger, screen)
    except Failed as error:
        why = str(error)
    except (asyncio.CancelledError, asyncio.TimeoutError) as error:
        task.uncancel()
        why = (
            "ended by a signal"
            if isinstance(error, asyncio.CancelledError)
            else f"not done in {MOST_S} s"
        )
    finally:
        screen.close()
    return why


def perform(options):
    stage, ledger = Stage(options), Ledger()
    screen = Screen(ledger, "DokuWiki crosses:")
    stage.lock()
    try:
        stage.clear()
        print(f"Starting two machines, two containers and {options.proxy} ...", flush=True)
        stage.build()
        why = asyncio.run(play(stage, ledger, screen))
        seconds = ledger.crossed_s or time.monotonic() - ledger.start
        result = report.make(
            ledger, stage.end_probe(), seconds, cpu.busy_percent(stage.cpu_before, cpu.read())
        )
    finally:
        stage.end()
    if why and not (options.keep and why == "ended by a signal"):
        result["broken_bounds"].insert(0, why)
    result["proxy"], result["new_side"] = options.proxy, stage.new_side
    result["load_percent"] = round(100 * stage.load_share)
    return result


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("demo: needs root, for network namespaces and containers")
    owned.adopt_orphans()
    try:
        result = perform(options)
    except Failed as why:
        sys.exit(f"demo: {why}")
    print(report.text(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(1 if result["broken_bounds"] else 0)


if __name__ == "__main__":
    main()
