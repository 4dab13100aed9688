"""`watari up`: what it starts is kept running, survives it, is taken over again, and is confined."""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

import rig
from rig import HOST, wait_for

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run children as other users")


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


class Up:
    """`watari up` in a directory of its own; a new one in the same place takes over what an old one left."""

    def __init__(self, directory, site, *options, user=None):
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
        return [rig.binary(), "up", "-f", str(self.files), "--state-dir", str(self.state),
                "--listen", f"{HOST}:{self.api_port}", "--admin", f"{HOST}:{self.admin_port}", "--workers", "1",
                "--access-log", str(self.log_path), "--access-log-format", "json",
                "--drain-seconds", "2", *self.options]  # fmt: skip

    def environment(self):
        # The sandbox forbids ptrace, which leak detection uses; a user of its own cannot write a report elsewhere.
        return dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=4", UBSAN_OPTIONS="print_stacktrace=1")

    def start(self):
        more = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        with open(self.errors_path, "ab") as errors:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            env=self.environment(), **more)  # fmt: skip
        wait_for(self.is_up, 30, "`watari up` to serve")

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
        return {l.split()[0]: int(l.split()[1]) for l in lines if alive(int(l.split()[1]))}

    def kill(self, name):
        """SIGKILL; the seconds until another one runs under that name."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        begin = time.monotonic()
        wait_for(lambda: self.pids().get(name, pid) != pid, 5, f"another {name}")
        return time.monotonic() - begin

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
                self.process.wait(15)
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
        self.thread.join(15)


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
    t = Trickle(u.port)
    t.wait_more(10)
    took = u.kill("proxy")
    t.wait_more(50)
    t.close()
    assert took < 1.0
    # The one connection that the killed process held may die with it; those that came while none ran waited for the next.
    assert len(t.failed) <= 1, t.failed
    assert not any("Refused" in str(f) for f in t.failed), t.failed
    assert t.slowest < 3.0


def test_queue_is_kept_while_no_proxy_runs(up):
    u = up()
    proxy = u.pids()["proxy"]
    os.kill(proxy, signal.SIGSTOP)
    wait_for(lambda: all("State:\tT" in (t / "status").read_text() for t in Path(f"/proc/{proxy}/task").iterdir()), 5,
             "all its threads to stop")  # fmt: skip
    waiting = [rig.Client(u.port, timeout=10) for _ in range(20)]  # in the socket's queue
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
    other = subprocess.Popen(["sleep", "60"])
    (u.state / "children").write_text(f"proxy {other.pid} 1\ncontrol {other.pid} 1\n")
    u.start()
    assert other.pid not in u.pids().values()
    u.close()
    assert other.poll() is None
    other.kill()
    other.wait()


def test_all_are_killed_and_a_new_one_starts_all(up):
    u = up()
    before = u.pids()
    u.kill_supervisor()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    u.start()
    assert set(u.pids()) == {"control", "proxy"}
    assert not set(u.pids().values()) & set(before.values())


def test_proxy_killed_while_no_supervisor_runs(up):
    u = up()
    before = u.pids()
    u.kill_supervisor()
    os.kill(before["proxy"], signal.SIGKILL)
    u.start()
    assert u.pids()["control"] == before["control"] and u.pids()["proxy"] != before["proxy"]


# ---- one at a time, orderly ends ----


def test_second_is_refused(up):
    u = up()
    r = subprocess.run(u.command(), env=u.environment(), capture_output=True, text=True, timeout=30)
    assert r.returncode == 1
    assert "another `watari up` runs with" in r.stderr
    assert u.is_up()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_ends_all(up, signo):
    u = up()
    pids = u.pids()
    u.process.send_signal(signo)
    assert u.process.wait(15) == 0
    assert not [pid for pid in pids.values() if alive(pid)]
    assert not (u.state / "api.sock").exists()
    with pytest.raises(ConnectionRefusedError):
        rig.Client(u.port)


def test_wrong_option_of_a_child_ends_it_all(tmp_path):
    command = [rig.binary(), "up", "--state-dir", str(tmp_path), "--listen", "here", "--admin", f"{HOST}:0"]
    r = subprocess.run(command, capture_output=True, text=True, timeout=30,
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
        assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 1 << 2  # CAP_DAC_READ_SEARCH
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
    probe = subprocess.run(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", rig.binary(), "version"],
                           capture_output=True, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))  # fmt: skip
    if probe.returncode != 0:
        pytest.skip("another user cannot run the binary here")
    with tempfile.TemporaryDirectory(prefix="watari-up-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        u = Up(Path(directory) / "up", one_site(world.origin()), user=user)
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
    outside = u.directory.parent / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    u.log_path.rename(u.directory / "old.log")
    u.log_path.symlink_to(outside / "stolen")
    os.kill(u.pids()["proxy"], signal.SIGHUP)
    end = time.monotonic() + 1.5
    while time.monotonic() < end and not (outside / "stolen").exists():
        assert rig.ask(u.port).status == 200
        time.sleep(0.05)
    assert (outside / "stolen").exists() == can


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
            assert "Seccomp:\t2" in (task / "status").read_text()
    assert u.errors().count("sandbox: ") == 2


def test_without_sandbox(up):
    u = up("--no-sandbox")
    for pid in u.pids().values():
        assert status_of(pid)["Seccomp"] == "0"
