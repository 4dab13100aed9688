"""`watari up`: what it starts is kept running, survives it, is taken over again, and is confined."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import rig
from rig import HOST, wait_for

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run children as other users")


def stat_of(pid):
    """From the state on, field 3 of proc(5); None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat[0] != "Z"


def gone(pid):
    """Not only dead: a process lets go of its sockets with its last thread."""
    return not alive(pid) and tasks(pid) in ([], [str(pid)])


def tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


def stop(pid):
    """SIGSTOP, and until none of its threads runs."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all((stat_of(f"{pid}/task/{t}") or "T")[0] in "TZX" for t in tasks(pid)), 5, "all its threads to stop")


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


class Up:
    """`watari up` in a directory of its own; a new one in the same place takes over what an old one left."""

    def __init__(self, directory, site, *options, user=None, binary=None):
        self.binary = binary or rig.binary()
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.site = site
        self.port = site.port
        self.state = self.directory / "state"
        self.log_path = self.directory / "access.log"
        self.errors_path = self.directory / "stderr"
        self.files = self.directory / "site.yaml"
        self.files.write_text(site.text())
        self.files.chmod(0o600)
        self.api_port, self.admin_port = rig.free_port(), rig.free_port()
        self.options = options
        self.user = user
        self.process = None
        if user is not None:
            for path in (self.directory, self.files):
                os.chown(path, user, user)
        self.start()

    def command(self):
        return [self.binary, "up", "-f", str(self.files), "--state-dir", str(self.state),
                "--listen", f"{HOST}:{self.api_port}", "--admin", f"{HOST}:{self.admin_port}", "--workers", "1",
                "--access-log", str(self.log_path), "--access-log-format", "json",
                "--drain-seconds", "2", *self.options]  # fmt: skip

    def environment(self):
        # The sandbox forbids ptrace, which leak detection uses; a user of its own cannot write a report elsewhere.
        return dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=4", UBSAN_OPTIONS="print_stacktrace=1")

    def start(self):
        self.launch()
        try:
            self.wait_until_up()
        except AssertionError:
            self.close()
            raise

    def wait_until_up(self):
        wait_for(self.is_up, 30, "`watari up` to serve")

    def launch(self):
        more = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        with open(self.errors_path, "ab") as errors:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            env=self.environment(), **more)  # fmt: skip

    def is_up(self):
        assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.errors()}"
        try:
            return len(self.pids()) == 2 and rig.ask(self.port).status == 200
        except (OSError, rig.Ended, rig.WasReset):
            return False

    def errors(self):
        return self.errors_path.read_text(errors="replace")

    def pids(self):
        """{"control": pid, "proxy": pid}: what it wrote down, as far as it runs."""
        try:
            lines = (self.state / "children").read_text().splitlines()
        except FileNotFoundError:
            return {}
        notes = [(name, int(pid), ticks) for name, pid, ticks in map(str.split, lines)]
        # A pid may be another's by now, one that was started at another time.
        return {name: pid for name, pid, ticks in notes if alive(pid) and (stat_of(pid) or [])[19:20] == [ticks]}

    def kill(self, name):
        """SIGKILL; the seconds from its end until another one was started under that name (the kernel says when), without those
        for which others had the CPU."""
        pid = self.pids()[name]
        with rig.Starved(self.process.pid) as starved:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: gone(pid), 5, f"the end of {name}")
            begin = time.clock_gettime(time.CLOCK_BOOTTIME)
            new = wait_for(lambda: (lambda now: now if now != pid else None)(self.pids().get(name, pid)), 5, f"another {name}")
            started = int(stat_of(new)[19]) / os.sysconf("SC_CLK_TCK")
            return started - begin - starved.s()

    def kill_supervisor(self):
        self.process.kill()
        self.process.wait()

    def api(self, path):
        c = rig.Client(self.api_port)
        try:
            return c.ask(path, f"{HOST}:{self.api_port}")
        finally:
            c.close()

    def close(self):
        left = list(self.pids().values())
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise AssertionError("it did not end after SIGTERM: " + self.errors())
            finally:
                for pid in left:
                    if alive(pid):
                        os.kill(pid, signal.SIGKILL)
            assert self.process.returncode == 0, f"ended with {self.process.returncode}: {self.errors()}"
        else:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        text = self.errors()
        assert "Sanitizer" not in text and "runtime error" not in text, text


class Trickle:
    """A request every few milliseconds, each on a connection of its own; what failed, and how long each took."""

    def __init__(self, port, every=0.01):
        self.port, self.every = port, every
        self.n, self.failed, self.slowest = 0, [], 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(self.every):
            begin = time.monotonic()
            try:
                r = rig.ask(self.port)
                if r.status != 200:
                    self.failed.append(r.status)
            except Exception as e:
                self.failed.append(repr(e))
            self.n += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def wait_more(self, n):
        target = self.n + n
        wait_for(lambda: self.n >= target, 15, f"{n} more requests")

    def close(self):
        self.ended.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "a request has no end"


def one_site(origin):
    return rig.Site().backend("one", origin).simple_route("one")


@pytest.fixture
def up(world):
    def make(*options, **more):
        world.n_ups = getattr(world, "n_ups", 0) + 1
        site = one_site(world.origin())
        return world.keep(Up(world.directory / f"up{world.n_ups}", site, *options, **more))

    return make


# ---- children are kept ----


def test_killed_proxy_is_back_and_nobody_is_refused(up):
    u = up()
    with rig.Starved(u.process.pid) as starved:
        t = Trickle(u.port)
        t.wait_more(10)
        took = u.kill("proxy")
        t.wait_more(50)
        t.close()
        spared_s = starved.s(u.pids()["proxy"])
    assert took < 1.0
    # The one connection that the killed process held may die with it; those that came while none ran waited for the next.
    assert len(t.failed) <= 1, t.failed
    assert not any("Refused" in str(f) for f in t.failed), t.failed
    assert t.slowest < 3.0 + spared_s


def test_queue_is_kept_while_no_proxy_runs(up):
    u = up()
    stop(u.pids()["proxy"])
    waiting = [rig.Client(u.port) for _ in range(20)]  # in the socket's queue
    for c in waiting:
        c.send(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
    u.kill("proxy")
    assert [c.response().status for c in waiting] == [200] * 20
    for c in waiting:
        c.close()


def test_killed_again_and_again_it_is_back_within_a_second(up):
    u = up()
    assert max(u.kill("proxy") for _ in range(8)) < 1.0
    wait_for(u.is_up, 5, "the last one to serve")


def test_killed_control_disturbs_nothing(up):
    u = up()
    t = Trickle(u.port)
    t.wait_more(10)
    proxy = u.pids()["proxy"]
    assert u.kill("control") < 1.0
    t.wait_more(50)
    wait_for(lambda: api_is_ready(u), 10, "the API")
    t.close()
    assert t.failed == [] and u.pids()["proxy"] == proxy


def api_is_ready(u):
    try:
        return u.api("/readyz").status == 200
    except (OSError, rig.Ended, rig.WasReset):
        return False


# ---- the supervisor is killed ----


def test_all_survive_the_supervisor_and_are_taken_over(up):
    u = up()
    t = Trickle(u.port)
    t.wait_more(10)
    before = u.pids()
    u.kill_supervisor()
    t.wait_more(30)
    assert u.pids() == before
    u.start()
    wait_for(lambda: u.errors().count("adopted") == 2, 10, "both to be adopted")
    assert u.pids() == before
    wait_for(lambda: f"{HOST}:{u.port} is held again" in u.errors(), 5, "the sockets to be handed back")
    t.wait_more(10)
    assert t.failed == []
    # What was adopted is kept as well as what was started, and its queue too.
    assert u.kill("proxy") < 1.0
    t.wait_more(30)
    assert u.kill("control") < 1.0
    t.wait_more(30)
    t.close()
    assert len(t.failed) <= 1 and not any("Refused" in str(f) for f in t.failed), t.failed
    wait_for(lambda: api_is_ready(u), 10, "the API")


def test_taken_over_without_a_note(up):
    """As if the supervisor had been killed before it could write down whom it had started."""
    u = up()
    before = u.pids()
    u.kill_supervisor()
    notes = u.state / "children"
    notes.write_text("".join(l for l in notes.read_text().splitlines(True) if not l.startswith("proxy")))
    u.start()
    wait_for(lambda: u.errors().count("adopted") == 2, 10, "both to be adopted")
    assert u.pids() == before


def test_note_of_a_pid_that_is_anothers_now(up):
    u = up()
    u.kill_supervisor()
    for pid in u.pids().values():
        os.kill(pid, signal.SIGKILL)
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)  # until it is closed
    with other:
        (u.state / "children").write_text(f"proxy {other.pid} 1\ncontrol {other.pid} 1\n")
        u.start()
        assert other.pid not in u.pids().values()
        u.close()
        assert other.poll() is None


def test_all_are_killed_and_a_new_one_starts_all(up):
    u = up()
    before = u.pids()
    u.kill_supervisor()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    u.start()
    # One that is still dying may have been taken over for a moment.
    wait_for(lambda: set(u.pids()) == {"control", "proxy"} and not set(u.pids().values()) & set(before.values()), 5, "others")


def test_proxy_killed_while_no_supervisor_runs(up):
    u = up()
    before = u.pids()
    u.kill_supervisor()
    os.kill(before["proxy"], signal.SIGKILL)
    u.start()
    wait_for(lambda: u.pids().get("proxy", before["proxy"]) != before["proxy"], 5, "another proxy")
    assert u.pids()["control"] == before["control"]


# ---- one at a time, orderly ends ----


def test_second_is_refused(up):
    u = up()
    r = subprocess.run(u.command(), env=u.environment(), capture_output=True, text=True, timeout=90)
    assert r.returncode == 1
    assert f"another `watari up` (pid {u.process.pid}) runs with" in r.stderr
    assert u.is_up()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_ends_all(up, signo):
    u = up()
    pids = u.pids()
    u.process.send_signal(signo)
    assert u.process.wait(60) == 0
    assert not [pid for pid in pids.values() if alive(pid)]
    assert not (u.state / "api.sock").exists()
    with pytest.raises(ConnectionRefusedError):
        rig.Client(u.port)


def test_wrong_option_of_a_child_ends_it_all(tmp_path):
    command = [rig.binary(), "up", "--state-dir", str(tmp_path), "--listen", "here", "--admin", f"{HOST}:0"]
    r = subprocess.run(command, capture_output=True, text=True, timeout=90,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # fmt: skip
    assert r.returncode == 2
    assert "--listen here: expected ADDRESS:PORT" in r.stderr


def test_sighup_reopens_the_rotated_log(up):
    u = up()
    u.log_path.rename(u.directory / "old.log")
    u.process.send_signal(signal.SIGHUP)
    wait_for(lambda: u.log_path.exists(), 5, "a new access log")

    def logged():
        rig.ask(u.port, "/after-rotation")
        return "/after-rotation" in u.log_path.read_text()

    wait_for(logged, 5, "an entry in the new access log")


@pytest.mark.parametrize("name", ["control", "proxy"])
def test_sighup_ends_no_child_that_has_just_begun(up, name):
    u = up()
    for _ in range(3):
        u.kill(name)
        before = u.pids()
        u.process.send_signal(signal.SIGHUP)
        os.kill(before[name], signal.SIGHUP)
        wait_for(lambda: u.is_up() and api_is_ready(u), 10, "it to serve")
        assert u.pids() == before


def test_sigusr2_ends_nothing(up):
    """Elsewhere it upgrades a binary in place; its default is to end the process."""
    u = up()
    pids = u.pids()
    for n, pid in enumerate([u.process.pid, *pids.values()], 1):
        os.kill(pid, signal.SIGUSR2)
        wait_for(lambda: u.errors().count("in-place upgrade is not there yet; restart with") == n, 5, f"answer {n}")
    assert u.is_up() and u.pids() == pids


# ---- the first start ----


class First:
    """`watari up` where nothing was before; it may refuse to start."""

    def __init__(self, directory):
        self.directory = directory
        self.state = directory / "state"
        self.errors_path = directory / "stderr"
        self.process = None

    def command(self, *words):
        return [rig.binary(), "up", "--state-dir", str(self.state), "--access-log", "off", "--workers", "1",
                "--drain-seconds", "0", *words]  # fmt: skip

    def refused(self, *words):
        """(exit code, what it said); nothing of it runs any more."""
        r = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=90,
                           env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # fmt: skip
        assert "Sanitizer" not in r.stderr and "runtime error" not in r.stderr, r.stderr
        assert not (self.state / "children").exists() or not (self.state / "children").read_text(), r.stderr
        return r.returncode, r.stderr

    def start(self, *words):
        with open(self.errors_path, "ab") as errors:
            self.process = subprocess.Popen(self.command(*words, "--listen", f"{HOST}:0", "--admin", f"{HOST}:0"),
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # fmt: skip

    def says(self, text, seconds=20):
        """All that it has said when a line with that text is whole."""
        def said():
            assert self.process.poll() is None, self.errors_path.read_text()
            all_said = self.errors_path.read_text()
            return all_said if "\n" in all_said.partition(text)[2] else None

        return wait_for(said, seconds, repr(text))

    def metric(self, name):
        """Of control."""
        port = int(re.search(rf"API on http://{HOST}:(\d+)\n", self.says("API on http"))[1])
        text = rig.ask(port, "/metrics", f"{HOST}:{port}").body.decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, self.errors_path.read_text()

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()


@pytest.fixture
def first(tmp_path):
    f = First(tmp_path)
    yield f
    f.close()


def replace(path, text):
    """In one moment."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def serves(site):
    try:
        return rig.ask(site.port).status == 200
    except (OSError, rig.Ended, rig.WasReset):
        return False


def free():
    return ("--listen", f"{HOST}:0", "--admin", f"{HOST}:0")


@pytest.mark.parametrize("text, parts", [
    (None, ["site.yaml: No such file"]),
    ("", ["site.yaml: no objects"]),
    ("kind: [\n", ["site.yaml: line 2"]),
    ("kind: Shop\n", ["site.yaml: line 1: kind", "unknown"]),
    ("kind: Backend\napiVersion: watari.dev/v1alpha1\nmetadata: {name: b}\nspec:\n  endpoint: []\n",
     ["site.yaml: line 5: spec.endpoint: unknown field; did you mean \"endpoints\"?"]),
])  # fmt: skip
def test_first_start_with_wrong_files_starts_nothing(first, text, parts):
    path = first.directory / "site.yaml"
    if text is not None:
        path.write_text(text)
    code, said = first.refused("-f", str(path), *free())
    assert code == 2 and "nothing was started" in said, said
    assert all(p in said for p in parts), said
    assert not first.state.exists()


def test_first_start_waits_for_no_pipe(first):
    """One that nobody writes to would be read for ever."""
    directory = first.directory / "site"
    directory.mkdir()
    pipe = directory / "pipe.yaml"
    os.mkfifo(pipe)
    for path, said in (directory, f"{pipe}: not a regular file"), (pipe, f"{pipe}: neither a file nor a directory"):
        code, text = first.refused("-f", str(path), *free())
        assert code == 2 and said in text, text
        assert not first.state.exists()


def test_first_start_follows_no_standard_input(first):
    code, said = first.refused("-f", "-", *free())
    assert code == 2 and "standard input" in said


def test_first_start_without_files_says_what_to_do(first, world):
    first.start()
    said = first.says("nothing to serve yet")
    first.says("proxy started")  # from then on it can be ended in order
    assert "watari up -f FILE" in said and f"watari apply -f FILE --state-dir {first.state}" in said


def test_wrong_files_later_leave_what_was_there(first, world):
    site = one_site(world.origin())
    path = first.directory / "site.yaml"
    path.write_text(site.text())
    first.start("-f", str(path))
    first.says(f"listening on http://{HOST}:{site.port}")
    wait_for(lambda: serves(site), 10, "it to serve")
    first.stop()
    path.write_text(site.text().replace("gatewayClassName", "gatewayClasName"))
    first.errors_path.write_text("")
    first.start("-f", str(path))
    said = first.says("the files are refused: what was in force before stays")
    assert 'did you mean "gatewayClassName"' in said
    wait_for(lambda: serves(site), 10, "it to serve what it served before")
    # However often it looks again: one mistake is told once.
    for n in range(3):
        looks = first.metric("watari_control_files_rejected_total")
        replace(path, path.read_text())
        wait_for(lambda: first.metric("watari_control_files_rejected_total") > looks, 10, f"look {n}")
    replace(path, site.text())
    said = first.says("the files are right again")
    assert said.count("did you mean") == 1


# ---- addresses that somebody else has ----


@pytest.fixture
def taken():
    """A port, and this process has it."""
    with socket.socket() as s:
        s.bind((HOST, 0))
        s.listen()
        yield s.getsockname()[1]


@pytest.mark.parametrize("option, what", [("--listen", "the API"), ("--admin", "metrics and admin")])
def test_taken_port_is_told_at_the_start(first, taken, option, what):
    options = dict(zip(free()[::2], free()[1::2])) | {option: f"{HOST}:{taken}"}
    code, said = first.refused(*(w for pair in options.items() for w in pair))
    assert code == 1 and len(said.splitlines()) == 2, said  # with the one that there are no files
    last = said.splitlines()[-1]
    assert f"{what}" in last and f"listen on {HOST}:{taken}: Address already in use" in last, said
    assert f"(pid {os.getpid()})" in last and f"{option} ADDR:PORT" in last


def test_taken_port_ends_nothing_that_runs(up):
    """The API's port is lost while no supervisor runs: the next one says so, and the proxy serves on."""
    u = up()
    before = u.pids()
    u.kill_supervisor()
    os.kill(before["control"], signal.SIGKILL)
    wait_for(lambda: gone(before["control"]), 5, "control to end")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((HOST, u.api_port))
        s.listen()
        r = subprocess.run(u.command(), env=u.environment(), capture_output=True, text=True, timeout=90)
        assert r.returncode == 1 and f"(pid {os.getpid()})" in r.stderr, r.stderr
        assert alive(before["proxy"]) and rig.ask(u.port).status == 200
    u.start()
    assert u.pids()["proxy"] == before["proxy"]


def test_api_port_is_kept_while_control_is_restarted(up):
    u = up()
    wait_for(lambda: api_is_ready(u), 10, "the API")
    stop(u.pids()["control"])
    waiting = rig.Client(u.api_port)
    waiting.send(f"GET /readyz HTTP/1.1\r\nHost: {HOST}:{u.api_port}\r\n\r\n".encode())
    u.kill("control")
    assert waiting.response().status in (200, 503)
    waiting.close()


def test_taken_listener_is_named_and_served_once_it_is_free(first, world):
    site = one_site(world.origin())
    path = first.directory / "site.yaml"
    path.write_text(site.text())
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(site.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"ready\n"
        first.start("-f", str(path))
        said = first.says("is not served: listen on")
        line = next(l for l in said.splitlines() if "is not served" in l)
        assert re.search(r"Gateway default/\w+, listener \w+ is not served", line), line
        assert f"{HOST}:{site.port}: Address already in use" in line and f"(pid {holder.pid})" in line
    first.says(f"listening on http://{HOST}:{site.port}")
    wait_for(lambda: serves(site), 10, "it to serve")


HOLD = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("ready", flush=True)
sys.stdin.read()
"""


# ---- users and the sandbox ----


def own_user(pid):
    s = status_of(pid)
    return {int(x) for x in s["Uid"].split()}, s


@ROOT_ONLY
def test_children_run_as_users_of_their_own(up):
    u = up()
    pids = u.pids()
    uids = {}
    for name, pid in pids.items():
        ids, s = own_user(pid)
        assert len(ids) == 1 and 0 not in ids, s["Uid"]
        assert "0" not in s["Gid"].split() and not s.get("Groups", "").strip()
        kept = {"control": 1 << 2, "proxy": 0}[name]  # CAP_DAC_READ_SEARCH
        assert [int(s[c], 16) for c in ("CapEff", "CapPrm", "CapAmb")] == [kept] * 3
        uids[name] = ids.pop()
    assert uids["control"] != uids["proxy"]
    assert (u.state / "proxy" / "site.key").stat().st_uid == uids["proxy"]
    assert (u.state / "control" / "control.db").stat().st_uid == uids["control"]
    assert u.log_path.stat().st_uid == uids["proxy"]
    for name in ("children", "up.lock"):
        assert (u.state / name).stat().st_uid == 0 and (u.state / name).stat().st_mode & 0o77 == 0
    api = (u.state / "api.sock").stat()
    assert api.st_uid == uids["control"] and api.st_mode & 0o7 == 0
    supervisor = (u.state / "supervisor.sock").stat()
    assert supervisor.st_uid == uids["proxy"] and supervisor.st_mode & 0o77 == 0


@ROOT_ONLY
@pytest.mark.parametrize("above, itself, kept", [(0o755, 0o755, False), (0o700, 0o755, False), (0o755, 0o700, True)])
def test_proxy_reaches_its_places_without_a_capability(world, above, itself, kept):
    by_descriptor = above == 0o700
    with tempfile.TemporaryDirectory(prefix="watari-up-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(above)
        (Path(directory) / "up").mkdir(itself)
        u = Up(Path(directory) / "up", one_site(world.origin()))
        try:
            assert ("/proc/self/fd/" in u.errors()) == by_descriptor
            wait_for((u.state / "proxy" / "snapshot").exists, 5, "the snapshot on disk")
            key, before = (u.state / "proxy" / "site.key").read_bytes(), u.pids()
            stop(before["control"])
            try:
                u.kill("proxy")
                wait_for(u.is_up, 5, "the next one to serve what it finds on disk")
            finally:
                os.kill(before["control"], signal.SIGCONT)
            assert (u.state / "proxy" / "site.key").read_bytes() == key
            assert int(status_of(u.pids()["proxy"])["CapPrm"], 16) == (1 << 2 if kept else 0)
            assert u.errors().count("the proxy keeps CAP_DAC_READ_SEARCH") == (2 if kept else 0)
            u.log_path.rename(u.directory / "old.log")
            u.process.send_signal(signal.SIGHUP)
            reopened = lambda: u.log_path.exists() and rig.ask(u.port, "/again").status == 200 and "/again" in u.log_path.read_text()
            wait_for(reopened, 5, "the log to be opened anew")
            u.kill_supervisor()
            u.start()
            wait_for(lambda: u.errors().count("adopted") == 2, 10, "both to be adopted")
        finally:
            u.close()


@ROOT_ONLY
def test_without_users_all_stay_root_and_go_back(up):
    u = up("--no-users")
    assert all(own_user(pid)[0] == {0} for pid in u.pids().values())
    u.close()
    u.options = ()  # what root made becomes theirs
    u.start()
    assert all(0 not in own_user(pid)[0] for pid in u.pids().values())
    assert (u.state / "proxy" / "site.key").stat().st_uid != 0


@ROOT_ONLY
def test_links_in_a_childs_directory_are_not_followed(up, tmp_path):
    u = up()
    u.close()
    outside = tmp_path / "outside"
    outside.write_text("root's")
    (u.state / "proxy" / "link").symlink_to(outside)
    os.link(outside, u.state / "proxy" / "second-name")
    u.start()
    assert outside.stat().st_uid == 0


@ROOT_ONLY
def test_as_a_normal_user(world):
    user = 61234
    with tempfile.TemporaryDirectory(prefix="watari-up-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        # The tree may lie where only its owner looks.
        binary = shutil.copy(rig.binary(), Path(directory) / "watari")
        u = Up(Path(directory) / "up", one_site(world.origin()), user=user, binary=str(binary))
        try:
            for pid in u.pids().values():
                ids, s = own_user(pid)
                assert ids == {user}
                assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1" and int(s["CapEff"], 16) == 0
            assert u.kill("proxy") < 1.0
            wait_for(u.is_up, 5, "the next proxy")
            before = u.pids()
            u.kill_supervisor()
            u.start()
            wait_for(lambda: u.errors().count("adopted") == 2, 10, "both to be adopted")
            assert u.pids() == before
        finally:
            u.close()


@pytest.mark.parametrize("options, can", [((), False), (("--no-sandbox",), True)])
def test_proxy_cannot_write_outside(up, options, can):
    """The only way to have it write somewhere: a log that was rotated away, and a link in its place."""
    u = up(*options)
    with tempfile.TemporaryDirectory(prefix="watari-up-") as directory:
        Path(directory).chmod(0o777)
        stolen = Path(directory) / "stolen"
        u.log_path.rename(u.directory / "old.log")
        u.log_path.symlink_to(stolen)
        os.kill(u.pids()["proxy"], signal.SIGHUP)

        def reopened():
            assert rig.ask(u.port).status == 200
            return stolen.exists() or "cannot be opened anew (Permission denied)" in u.errors()

        wait_for(reopened, 10, "the log to be opened again")
        assert stolen.exists() == can


def test_sandbox_is_on(up):
    u = up()
    for pid in u.pids().values():
        s = status_of(pid)
        assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
        assert Path(f"/proc/{pid}/limits").read_text().split("Max core file size")[1].split()[0] == "0"
        limits = re.search(r"Max open files\s+(\d+)\s+(\d+)", Path(f"/proc/{pid}/limits").read_text())
        assert limits[1] == limits[2]
        # Threads that were started later too.
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has ended
                assert "Seccomp:\t2" in (task / "status").read_text()
    assert u.errors().count("sandbox: ") == 2


def test_without_sandbox(up):
    u = up("--no-sandbox")
    for pid in u.pids().values():
        assert status_of(pid)["Seccomp"] == "0"
