"""Processes of the demo: every one carries the work folder in its environment, so that a later run
finds and ends what a crashed one left, and nothing else."""

import ctypes
import os
import pathlib
import signal
import subprocess
import time

MARK = "WATARI_DEMO"
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """One sentence for the user; the demo ends with it."""


def adopt_orphans():
    """What our children leave behind becomes our child, so that it can be ended by its id."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(*words, check=True, timeout=30, env=None, stdin=None):
    """A short command; its output as text. A failure names the command and what it said."""
    try:
        done = subprocess.run(
            [str(w) for w in words],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            stdin=stdin or subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{words[0]}: {error}") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed(
            f"{' '.join(map(str, words))}: {said[-1] if said else f'exit {done.returncode}'}"
        )
    return done


def start(work, name, words, **more):
    """A long-running process, its output in WORK/log/NAME.log."""
    env = {**os.environ, MARK: str(work)}
    with log_of(work, name).open("ab") as out:
        more.setdefault("stdout", out)
        try:
            return subprocess.Popen(
                [str(w) for w in words],
                stderr=out,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
                **more,
            )
        except OSError as error:
            raise Failed(f"{words[0]}: {error.strerror}") from error


def log_of(work, name):
    path = pathlib.Path(work, "log", f"{name}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def last_words(work, name):
    """What a process said last, for a message about its end."""
    lines = (
        log_of(work, name).read_text(errors="replace").splitlines()
        if log_of(work, name).exists()
        else []
    )
    return lines[-1] if lines else "it said nothing"


def stop(process, how=signal.SIGTERM, patience_s=10):
    """Asks, waits, then insists."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def left_behind(work):
    """Ids of living processes that carry our mark, and of our own children."""
    wanted = f"{MARK}={work}".encode()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            marked = wanted in entry.joinpath("environ").read_bytes().split(b"\0")
        except (OSError, IndexError, ValueError):
            continue
        if marked or parent == os.getpid():
            yield int(entry.name)


def sweep(work, patience_s=5):
    """Ends all of ours: first asked, then forced. The caller itself is never among them."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in left_behind(work):
            signal_quietly(pid, how)
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            reap()
            if not any(True for _ in left_behind(work)):
                return
            time.sleep(0.05)


def signal_quietly(pid, how):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
