"""The commands that look and change, against a real `watari control`; and one migration from end to end against `watari up`."""

import http.client
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import rig

SITE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: watari
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [{name: http, port: %(port)d, protocol: HTTP}]
---
apiVersion: watari.dev/v1alpha1
kind: Backend
metadata: {name: old, labels: {side: old}}
spec: {endpoints: [{address: 127.0.0.1, port: %(old)d}]}
---
apiVersion: watari.dev/v1alpha1
kind: Backend
metadata: {name: new, labels: {side: new}}
spec: {endpoints: [{address: 127.0.0.1, port: %(new)d}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example]
  rules: [{backendRefs: [{group: watari.dev, kind: Backend, name: old}]}]
"""
MIGRATION = """\
apiVersion: watari.dev/v1alpha1
kind: Migration
metadata: {name: shop}
spec:
  routeRefs: [{kind: HTTPRoute, name: shop}]
  from: {name: old}
  to: {name: new}
  state: Shared
  steps:
  - pause: {}
  - setWeight: 25
  - pause: {}
  - setWeight: 100
"""
BACKEND = """\
apiVersion: watari.dev/v1alpha1
kind: Backend
metadata: {name: %s}
spec: {endpoints: [{address: 127.0.0.1, port: %d}]}
"""
SOON = """\
apiVersion: watari.dev/v1alpha1
kind: Migration
metadata: {name: m}
spec:
  routeRefs: [{kind: HTTPRoute, name: shop}]
  from: {name: a}
  to: {name: b}
  state: Shared
  steps:
  - setMirror: {percentage: 5}
  - setWeight: 100
  - setMirror: {percentage: 0}
"""
ALL = SITE % {"port": 18080, "old": 18081, "new": 18082} + "---\n" + MIGRATION


class Cli:
    """Runs commands against one state directory; keeps the server that owns it."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = directory
        self.state = directory / "s"
        self.server = self.server_env = None
        self.env = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        self.env.pop("NO_COLOR", None)

    def argv(self, *words):
        return [self.binary, *words, "--state-dir", str(self.state)]

    def start(self, *words):
        self.log = open(self.directory / "server.log", "ab")
        self.server = subprocess.Popen(self.argv(*words), stdout=self.log, stderr=self.log, env=self.server_env)
        rig.wait_for(self.is_ready, 20, "the API to answer")

    def is_ready(self):
        """The files that it was started with are read: the API answers before."""
        assert self.server.poll() is None, (self.directory / "server.log").read_text(errors="replace")[-4000:]
        try:
            return self.raw("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def raw(self, path):
        """What the API answers to whoever asks without a command of ours."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.state / "api.sock"))
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = http.client.HTTPResponse(s)
            answer.begin()
            return answer.status, answer.read()

    def stop(self):
        if self.server:
            self.server.terminate()
            code = self.server.wait(40)
            self.server = None
            self.log.close()
            text = (self.directory / "server.log").read_text(errors="replace")
            assert code == 0, (code, text[-4000:])
            assert "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    def __call__(self, *words, stdin=None):
        done = subprocess.run(self.argv(*words), input=stdin, capture_output=True, text=True, timeout=60, env=self.env)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def ok(self, *words, stdin=None):
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, (words, done)
        return done.stdout

    def fails(self, code, *words, stdin=None):
        done = self(*words, stdin=stdin)
        assert done.returncode == code, (words, done)
        assert done.stderr.strip(), words
        return done.stderr

    def json(self, *words):
        return json.loads(self.ok("get", *words, "-o", "json"))

    def file(self, text, name="f.yaml"):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def watching(self, *words):
        return Watching(subprocess.Popen(self.argv(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env))


class Watching:
    """A command that goes on: its lines as they come."""

    def __init__(self, process):
        self.process = process
        self.rest = b""

    def line(self, seconds=40):
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, "no line came"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, "the command ended"
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def until(self, part):
        for _ in range(100):
            line = self.line()
            if part in line:
                return line
        raise AssertionError(f"{part!r} did not come")

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()
        errors = self.process.stderr.read()
        self.process.stderr.close()
        assert b"Sanitizer" not in errors, errors


@pytest.fixture
def cli(binary, tmp_path):
    c = Cli(binary, tmp_path)
    c.start("control")
    yield c
    c.stop()


@pytest.fixture
def alone(binary, tmp_path):
    """Without a server."""
    return Cli(binary, tmp_path)


# ---- without a server ----

COMMANDS = ["up", "control", "proxy", "get", "describe", "events", "plan", "validate", "explain", "apply", "delete", "migrate"]


def test_help_of_everything(alone):
    text = subprocess.run([alone.binary, "help"], capture_output=True, text=True, timeout=60).stdout
    assert [h for h in text.splitlines() if h in ("Run", "Look", "Change")] == ["Run", "Look", "Change"]
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", text, re.M), name
        done = subprocess.run([alone.binary, name, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout.startswith(f"usage: watari {name}"), done
        assert "--help" in done.stdout
        assert "Examples:" in done.stdout and f"  watari {name} " in done.stdout.split("Examples:")[1], done.stdout
        again = subprocess.run([alone.binary, "help", name], capture_output=True, text=True, timeout=60)
        assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


VERBS = ["status", "pause", "resume", "promote", "set-weight", "abort", "undo", "finish"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(alone, verb):
    one = alone.ok("migrate", verb, "--help")
    assert one.startswith(f"usage: watari migrate {verb} ")
    assert f"\n  watari migrate {verb} " in one.split("Examples:")[1].split("Options:")[0]
    assert [o for o in ("--full", "--apply", "--watch", "--all-namespaces") if o in one.split("Options:")[1]] == \
        {"promote": ["--full"], "finish": ["--apply"], "status": ["--watch", "--all-namespaces"]}.get(verb, [])
    done = subprocess.run([alone.binary, "help", "migrate", verb], capture_output=True, text=True, timeout=60)
    assert done.stdout == one


def test_help_of_nothing(alone):
    done = subprocess.run([alone.binary, "help", "gte"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "did you mean \"get\"" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("words, part", [
    (["gte", "be"], "did you mean \"get\""),
    (["get"], "name a kind"),
    (["get", "migraton"], "did you mean Migration"),
    (["get", "zzzzzzzz"], "there are HTTPRoute"),
    (["get", "be", "-o", "xml"], "-o is wide, yaml, json or name"),
    (["get", "be", "--ouput", "yaml"], "did you mean --output"),
    (["get", "be", "old", "-A"], "leave -A out"),
    (["get", "be/old", "new"], "not both"),
    (["get", "be/"], "KIND/NAME"),
    (["apply"], "with -f"),
    (["apply", "-f", "/nowhere"], "No such file"),
    (["apply", "-f", "x", "--dry-run=perhaps"], "--dry-run is"),
    (["delete", "be"], "name what to delete"),
    (["delete"], "name a kind"),
    (["describe", "be,hr", "x"], "one kind at a time"),
    (["get", "be,zzzzzzzz"], "there are HTTPRoute"),
    (["get", "all", "x"], "all takes no names"),
    (["get", "be,hr", "-w"], "-w watches one"),
    (["events", "mig/shop"], "--for mig/shop"),
    (["events", "--for", "mig"], "KIND/NAME"),
    (["plan"], "with -f"),
    (["plan", "-f", "x", "--users", "many"], "--users takes a number"),
    (["migrate"], "name a verb"),
    (["migrate", "promot", "shop"], "did you mean promote"),
    (["migrate", "promote"], "watari migrate promote NAME"),
    (["migrate", "set-weight", "shop"], "set-weight N NAME"),
    (["migrate", "set-weight", "101", "shop"], "from 0.002 to 100"),
    (["migrate", "set-weight", "nan", "shop"], "from 0.002 to 100"),
    (["migrate", "set-weight", "0.001", "shop"], "from 0.002 to 100"),
    (["migrate", "pause", "shop", "--full"], "belongs to promote"),
    (["migrate", "pause", "shop", "--wait", "soon"], "--wait takes a duration"),
    (["migrate", "pause"], "(see `watari migrate pause --help`)"),
    (["explain"], "name one kind"),
    (["explain", "migratoin"], "did you mean \"Migration\""),
    (["explain", "migration.spec.stepz"], "did you mean \"steps\""),
    (["validate"], "name a file"),
    (["apply", "-A", "-f", "x"], "leave -A out"),
    (["plan", "-A", "-f", "x"], "leave -A out"),
    # A place that cannot be made: whatever is not checked first ends there.
    (["up", "--state-dir", "/dev/null/s", "--workers", "x"], "--workers takes a whole number"),
    (["up", "--state-dir", "/dev/null/s", "--idle-timeout", "soon"], "--idle-timeout takes a duration"),
    (["up", "--state-dir", "/dev/null/s", "--memory-limit", "all"], "--memory-limit takes bytes"),
    (["up", "--state-dir", "/dev/null/s", "--access-log-format", "xml"], "--access-log-format is text or json"),
])
def test_wrong_usage_is_one_sentence(alone, words, part):
    done = subprocess.run([alone.binary, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and part in done.stderr, done
    assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1, done


@pytest.mark.parametrize("words", [["get", "be"], ["describe", "be", "old"], ["events"], ["delete", "be", "old"],
                                   ["migrate", "status", "shop"], ["migrate", "pause", "shop"], ["get", "be", "-w"]])
def test_no_server(alone, words):
    sentence = alone.fails(1, *words)
    assert "nothing answers at" in sentence and "`watari up`" in sentence and "--state-dir" in sentence


def test_no_server_at_an_address(alone, world):
    server = f"http://127.0.0.1:{world.refusing().port}"
    done = subprocess.run([alone.binary, "get", "be", "--server", server], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "--state-dir" not in done.stderr and "--listen" in done.stderr, done


def test_warnings_of_one_kind_share_a_line(alone):
    site = rig.ROOT / "tests" / "data" / "site.yaml"
    done = subprocess.run([alone.binary, "validate", str(site)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "valid" in done.stdout
    warnings = done.stderr.splitlines()
    assert len(warnings) == len({w.split(": ")[2] for w in warnings}), warnings
    two = BACKEND % ("a", 80) + "---\n" + SOON
    done = validate(alone, two)
    assert done.stderr.count("not in force in this release") == 1
    assert re.search(r"f.yaml: accepted, not in force in this release: \S+ \(line \d+\), \S+ \(line \d+\)$", done.stderr, re.M)


def test_no_objects_are_an_error(alone):
    for text in ("", "# nothing\n", "---\n---\n"):
        done = validate(alone, text)
        assert done.returncode == 2 and "f.yaml: no objects in it" in done.stderr, done


def test_a_pipe_in_a_directory_is_an_error(alone):
    directory = Path(alone.file(ALL)).parent / "pipes"
    directory.mkdir()
    os.mkfifo(directory / "pipe.yaml")
    done = subprocess.run([alone.binary, "validate", str(directory)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "pipe.yaml: not a regular file" in done.stderr, done


def validate(alone, text):
    return subprocess.run([alone.binary, "validate", alone.file(text)], capture_output=True, text=True, timeout=60)


def test_no_server_for_files(alone):
    path = alone.file(ALL)
    assert "nothing answers" in alone.fails(1, "apply", "-f", path)
    assert "--offline" in alone.fails(1, "plan", "-f", path)
    text = alone.ok("plan", "--offline", "-f", path, "--users", "1000")
    assert "setWeight 25 %" in text and "16384 slots, about 250 users" in text and "assumed: 10 requests" in text
    assert alone.ok("apply", "-f", path, "--dry-run=client").count("checked") == 5


# ---- objects ----


def test_apply_says_what_it_did(cli):
    path = cli.file(ALL)
    trial = cli.ok("apply", "-f", path, "--dry-run")
    assert "migration.watari.dev/shop created (server dry run)" in trial
    assert cli.json("be")["items"] == []
    assert cli.ok("apply", "-f", path).splitlines() == [
        "gateway.gateway.networking.k8s.io/web created", "backend.watari.dev/old created", "backend.watari.dev/new created",
        "httproute.gateway.networking.k8s.io/shop created", "migration.watari.dev/shop created"]
    assert all(line.endswith(" unchanged") for line in cli.ok("apply", "-f", path).splitlines())
    before = cli.json("be", "old")["metadata"]
    assert cli.ok("apply", "-f", "-", stdin=BACKEND % ("old", 99)) == "backend.watari.dev/old configured\n"
    after = cli.json("be", "old")
    assert after["spec"]["endpoints"][0]["port"] == 99 and after["metadata"]["uid"] == before["uid"]
    assert after["metadata"]["generation"] == before["generation"] + 1
    assert "labels" not in after["metadata"]


def test_apply_takes_what_get_gives(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    rig.wait_for(lambda: "status" in cli.json("mig", "shop"), what="a status")
    for form in ("yaml", "json"):
        for kind in ("mig", "be", "gw", "hr"):
            text = cli.ok("get", kind, "-o", form)
            path = cli.file(text, f"{kind}.{form}")
            assert all(line.endswith(" unchanged") for line in cli.ok("apply", "-f", path).splitlines()), text


def test_apply_refuses_what_others_have_changed_since(cli):
    cli.ok("apply", "-f", cli.file(BACKEND % ("b", 80)))
    read = cli.ok("get", "be", "b", "-o", "yaml")
    one, two = cli.file(read.replace("port: 80", "port: 81")), cli.file(read.replace("port: 80", "port: 82"), "two.yaml")
    assert "configured" in cli.ok("apply", "-f", one)
    for words in (["plan", "-f", two], ["apply", "-f", two, "--dry-run"], ["apply", "-f", two]):
        sentence = cli.fails(1, *words)
        assert "changed by someone else since it was read" in sentence and "get it again" in sentence, sentence
    port = lambda: cli.json("be", "b")["spec"]["endpoints"][0]["port"]
    assert port() == 81
    free = re.sub(r"(?m)^  resourceVersion: .*\n", "", Path(two).read_text())
    assert "resourceVersion" not in free and "configured" in cli.ok("apply", "-f", cli.file(free)) and port() == 82


def test_what_is_named_is_looked_for_on_the_server_too(cli):
    cli.ok("apply", "-n", "two", "-f", cli.file(ALL.split("---\n", 1)[1].rsplit("---", 1)[0], "site.yaml"))
    mig = cli.file(MIGRATION, "mig.yaml")
    for words in (["apply", "-f", mig, "--dry-run"], ["plan", "-f", mig]):
        done = cli(*words, "-n", "two")
        assert done.returncode == 0 and "warning" not in done.stderr, done
        warnings = cli(*words).stderr.splitlines()
        assert "warning: mig.yaml: line 6: spec.from: there is no Backend default/old" in \
            [w.replace(str(cli.directory) + "/", "") for w in warnings] and len(warnings) == 3, warnings
    done = cli("apply", "-f", cli.file(MIGRATION.replace("{name: new}", "{name: nwe}"), "mig.yaml"), "-n", "two")
    assert [w.split(": ", 2)[2] for w in done.stderr.splitlines()] == ["line 7: spec.to: there is no Backend two/nwe"], done
    assert "warning" not in cli("delete", "-f", mig, "-n", "two").stderr


def test_apply_wrong_input_changes_nothing(cli):
    good = BACKEND % ("good", 80)
    sentence = cli.fails(2, "apply", "-f", cli.file(good + "---\n" + BACKEND % ("bad", 99999)))
    assert "f.yaml: line 9: spec.endpoints[0].port" in sentence
    assert cli.json("be")["items"] == []
    # Well-formed alone, and refused by the server because of what is there: nothing of the file is written.
    cli.ok("apply", "-f", cli.file(ALL))
    moved = ALL.replace("to: {name: new}", "to: {name: good}")
    sentence = cli.fails(2, "apply", "-f", cli.file(good + "---\n" + moved))
    assert "nothing was changed" in sentence
    assert cli("get", "be", "good").returncode == 1


def test_what_curl_shows_ends_its_line(cli):
    for path in ("/apis", "/apis/watari.dev/v1alpha1/backends", "/nothing"):
        _, body = cli.raw(path)
        assert body.endswith(b"}\n") and json.loads(body), body


def test_namespaces(cli):
    cli.ok("apply", "-n", "two", "-f", cli.file(BACKEND % ("b", 80)))
    cli.ok("apply", "-f", cli.file(BACKEND % ("b", 81)))
    assert cli.json("be", "b", "-n", "two")["spec"]["endpoints"][0]["port"] == 80
    assert len(cli.json("be")["items"]) == 1 and len(cli.json("be", "-A")["items"]) == 2
    rows = cli.ok("get", "be", "-A").splitlines()
    assert rows[0].split() == ["NAMESPACE", "NAME", "HOSTS", "HEALTHY", "AGE"] and rows[2].startswith("two ")
    text = (BACKEND % ("b", 80)).replace("{name: b}", "{name: b, namespace: three}")
    assert "-n says two" in cli.fails(2, "apply", "-n", "two", "-f", cli.file(text))
    cli.ok("delete", "be", "b", "-n", "two")
    assert len(cli.json("be", "-A")["items"]) == 1


def test_get_forms(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    rows = [r.split() for r in cli.ok("get", "backends").splitlines()]
    assert rows[0] == ["NAME", "HOSTS", "HEALTHY", "AGE"]
    assert [r[0] for r in rows[1:]] == ["new", "old"] and rows[2][1] == "127.0.0.1:18081"
    assert cli.ok("get", "gateway").splitlines()[1].split()[:3] == ["web", "127.0.0.1", "18080"]
    assert cli.ok("get", "hr").splitlines()[1].split()[:2] == ["shop", "shop.example"]
    assert cli.ok("get", "mig").splitlines()[0].split() == ["NAME", "PHASE", "STEP", "WEIGHT", "AGE", "MESSAGE"]
    assert "FROM" in cli.ok("get", "mig", "-o", "wide").splitlines()[0]
    assert cli.ok("get", "be", "-o", "name") == "backend.watari.dev/new\nbackend.watari.dev/old\n"
    assert cli.ok("get", "be/old", "-o", "name") == "backend.watari.dev/old\n"
    assert [d["metadata"]["name"] for d in cli.json("be", "old", "new")["items"]] == ["old", "new"]
    assert cli.ok("get", "be", "-l", "side=new", "-o", "name") == "backend.watari.dev/new\n"
    assert "not found in namespace default" in cli.fails(1, "get", "be", "nope")
    assert cli.ok("get", "be", "-l", "side notin (new),!zone", "-o", "name") == "backend.watari.dev/old\n"
    assert "labelSelector" in cli.fails(2, "get", "be", "-l", "side in new")
    assert "no name of an object" in cli.fails(2, "get", "be", "../old")
    assert "\033" not in cli.ok("get", "be")


def test_get_several(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    found = cli("get", "be", "nope", "old")
    assert found.returncode == 1 and "backend.watari.dev/nope not found" in found.stderr, found
    assert [r.split()[0] for r in found.stdout.splitlines()] == ["NAME", "old"]
    assert cli("get", "be", "nope").stdout == ""

    def names(text):
        return [[r.split()[0] for r in table.splitlines()[1:]] for table in text.split("\n\n")]

    assert names(cli.ok("get", "be,hr")) == [["backend/new", "backend/old"], ["httproute/shop"]]
    assert names(cli.ok("get", "all")) == \
        [["httproute/shop"], ["gateway/web"], ["backend/new", "backend/old"], ["migration/shop"]]
    assert cli.ok("get", "mig/shop", "be/old", "be/new", "-o", "name").split() == \
        ["migration.watari.dev/shop", "backend.watari.dev/old", "backend.watari.dev/new"]
    whole = json.loads(cli.ok("get", "mig/shop", "be/old", "-o=json"))
    assert whole["kind"] == "List" and [i["kind"] for i in whole["items"]] == ["Migration", "Backend"]
    assert "No objects in namespace empty" in cli("get", "all", "-n", "empty").stderr
    assert re.findall(r"^Name: +(\w+)$", cli.ok("describe", "be"), re.M) == ["new", "old"]
    assert cli.ok("delete", "be/old", "be/new").count("deleted") == 2


def test_output_that_nobody_takes(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    for words in (["get", "be"], ["get", "mig", "-o", "yaml"], ["apply", "-f", cli.file(ALL)], ["explain", "mig"]):
        argv = cli.argv(*words) if words[0] != "explain" else [cli.binary, *words]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=cli.env)
        assert done.returncode == 1 and "standard output cannot be written" in done.stderr, done
    w = subprocess.Popen(cli.argv("get", "be", "-w"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    w.stdout.readline()
    w.stdout.close()  # | head -1
    try:
        ports = iter(range(20000, 30000))
        rig.wait_for(lambda: cli.ok("apply", "-f", cli.file(BACKEND % ("a", next(ports)))) and w.poll() is not None, 20,
                     "it to end")  # fmt: skip
        assert w.returncode == -signal.SIGPIPE and w.stderr.read() == b""
    finally:
        w.kill()
        w.wait(10)
        w.stderr.close()


def test_get_watches(cli):
    cli.ok("apply", "-f", cli.file(BACKEND % ("a", 80)))
    w = cli.watching("get", "be", "-w")
    try:
        assert w.line().startswith("NAME")
        assert w.line().startswith("a ")
        cli.ok("apply", "-f", cli.file(BACKEND % ("b", 81)))
        assert w.until("127.0.0.1:81").startswith("b ")
        cli.ok("apply", "-f", cli.file(BACKEND % ("b", 82)))
        w.until("127.0.0.1:82")
    finally:
        w.close()
    w = cli.watching("get", "be", "b", "-w", "-o", "json")
    try:
        w.until('"port": 82')
        cli.ok("apply", "-f", cli.file(BACKEND % ("a", 83)))
        cli.ok("apply", "-f", cli.file(BACKEND % ("b", 84)))
        while "port" not in (line := w.line()):
            pass
        assert '"port": 84' in line
    finally:
        w.close()


def test_delete(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    assert cli.ok("delete", "be/new", "--dry-run") == 'backend.watari.dev "new" deleted (server dry run)\n'
    assert cli.ok("delete", "mig", "shop") == 'migration.watari.dev "shop" deleted\n'
    assert cli.ok("delete", "be", "new", "old").count("deleted") == 2
    assert "not found" in cli.fails(1, "delete", "be", "old")
    assert cli.ok("delete", "be", "old", "--ignore-not-found") == ""
    cli.fails(1, "delete", "-f", cli.file(ALL))
    assert cli.json("gw")["items"] == [] and cli.json("hr")["items"] == []


def test_describe_and_events(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    text = cli.ok("describe", "mig/shop")
    assert re.search(r"^Name: +shop$", text, re.M) and "\nSpec:\n  routeRefs:\n" in text and "\nStatus:\n" in text
    assert "alpha: 0.001\n" in text
    assert "▶  1  pause until promoted" in text and text.index("Events:") > text.index("Status:")
    assert "Started" in text.split("Events:")[1]
    events = cli.ok("events", "--for", "mig/shop")
    assert events.splitlines()[0].split()[:4] == ["LAST", "SEEN", "TYPE", "REASON"] and "migration/shop" in events
    assert "No events" in cli("events", "--for", "mig/other").stderr
    w = cli.watching("events", "-w", "--for", "mig/shop")
    try:
        w.until("Started")
        cli.ok("migrate", "pause", "shop")
        assert "pause" in w.until("RequestDone")
    finally:
        w.close()


# ---- plan ----


def test_plan_changes_nothing(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    changed = ALL.replace("setWeight: 25", "setWeight: 50").replace("port: 18082", "port: 1") + "---\n" + BACKEND % ("third", 80)
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")

    def said():
        """What users said; statuses are control's, at any time."""
        return [(d["metadata"]["uid"], d["metadata"]["generation"], d["spec"]) for k in ("be", "mig") for d in cli.json(k)["items"]]

    before = said()
    text = cli.ok("plan", "-f", cli.file(changed), "--users", "1000", "--requests-per-second", "100")
    assert len(before) == 3 and said() == before
    assert "~ spec.steps[1].setWeight: 25 -> 50" in text and "backend.watari.dev/third is new" in text
    assert "backend.watari.dev/old is unchanged" in text and "32768 slots, about 500 users" in text
    assert re.search(r"setWeight 50 % +32768 slots.*until promoted +[0-9.]+ % of answers bad, in 10m", text)
    assert text.rstrip().endswith("Plan: 1 new, 2 changed, 3 unchanged.")
    one, two = "{address: 127.0.0.1, port: 1}", "{address: 127.0.0.1, port: 1}, {address: 127.0.0.1, port: 2, weight: 3}"
    assert "old 50 %, new 50 % (0.5 x)" in text and "an old host carries 100 % of all requests while no user has moved" in text
    larger = cli.ok("plan", "-f", cli.file(changed.replace(one, two)))
    assert "old 50 %, new 37.5 % (0.38 x)" in larger and "2 new hosts (of different weights" in larger
    assert re.search(r"setWeight 100 % .* old 0 %, new 75 % \(0.75 x\) +- +nothing is left to compare with", larger)
    named = changed.replace("endpoints: [" + one + "]", "dns: {hostname: new.test, port: 80}")
    assert "new hosts not known (dns: may change)" in cli.ok("plan", "--offline", "-f", cli.file(named))
    plan = json.loads(cli.ok("plan", "-f", cli.file(changed.replace(one, two)), "--users", "1000", "-o", "json"))
    assert (plan["kind"], plan["new"], plan["changed"], plan["unchanged"], plan["refused"]) == ("Plan", 1, 2, 3, 0)
    item = next(i for i in plan["items"] if i["kind"] == "Migration")
    assert item["change"] == "changed" and item["changes"][0] == {"path": "spec.steps[1].setWeight", "before": 25, "after": 50}
    half, whole = [s for s in item["effects"]["steps"] if "setWeight" in s]
    told = ("step", "slotsMoved", "usersMoved", "oldHostPercent", "newHostPercent")
    assert [half[name] for name in told] == [2, 32768, 500, 50, 37.5]
    assert half["compares"] and half["leastFaultPercent"] > 0 and not whole["compares"] and whole["leastFaultPercent"] is None
    slow = cli.ok("plan", "-f", cli.file(changed), "--requests-per-second", "0.001")
    assert "too few requests" in slow
    moved = ALL.replace("to: {name: new}", "to: {name: third}")
    assert "spec.to" in cli.fails(2, "plan", "-f", cli.file(moved + "---\n" + BACKEND % ("third", 80)))


def test_what_was_passed_is_not_promised(cli):
    """An edit of a step that has been passed does nothing: whoever makes it is told."""
    site = ALL.replace("  - setWeight: 25\n", "")
    cli.ok("apply", "-f", cli.file(site))
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    cli.ok("migrate", "promote", "shop")
    edited = cli.file(site.replace("  - pause: {}\n", "  - setWeight: 30\n", 1))
    sentence = "stays at 0 %: step 2 has begun, those before it do nothing any more; `watari migrate set-weight N shop` moves it now"
    text = cli.ok("plan", "-f", edited)
    assert sentence in text and re.search(r"\n  1 +setWeight 30 % +passed *\n", text), text
    effects = [i for i in json.loads(cli.ok("plan", "-f", edited, "-o", "json"))["items"] if i["kind"] == "Migration"][0]["effects"]
    assert [s["passed"] for s in effects["steps"]] == [True, False, False] and effects["notInForce"] == sentence
    assert "not in force" not in cli.ok("migrate", "status", "shop")
    done = cli("apply", "-f", edited)
    assert done.returncode == 0 and done.stderr == f"warning: migration.watari.dev/shop {sentence}\n", done
    assert "1  setWeight 30 %  not in force: passed, 0 % stays" in cli.ok("migrate", "status", "shop")
    assert sentence not in cli.ok("plan", "-f", edited)


# ---- migrate ----


def test_migrate_answers(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    assert "pause: done; held at 0 % by a user (Paused, step 1/4, 0 %)" in cli.ok("migrate", "pause", "shop")
    assert "resume: done" in cli.ok("migrate", "resume", "mig/shop")
    assert "refused: it is not held" in cli.fails(1, "migrate", "resume", "shop")
    # No proxy: no user may move.
    assert "set-weight refused: waits for a proxy" in cli.fails(1, "migrate", "set-weight", "25", "shop")
    assert "set-weight refused" in cli.fails(1, "migrate", "set-weight", "shop", "25%")
    assert "undo refused" in cli.fails(1, "migrate", "undo", "shop")
    for more in ([], ["--apply"]):
        early = cli("migrate", "finish", "shop", *more)
        assert early.returncode == 1 and early.stdout == "" and "not all users are on the new side" in early.stderr, early
        assert "promote --full shop" in early.stderr
    assert "abort: done" in cli.ok("migrate", "abort", "shop")
    for more in ([], ["--full"]):
        assert "`migrate resume` begins a new attempt" in cli.fails(1, "migrate", "promote", "shop", *more)
    assert "nothing to hold" in cli.fails(1, "migrate", "pause", "shop")
    assert "resume: done" in cli.ok("migrate", "resume", "shop")
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    assert "not found" in cli.fails(1, "migrate", "pause", "nope")
    assert "asked" in cli.ok("migrate", "pause", "shop", "--wait", "0")
    assert "request" not in cli.json("mig", "shop")["spec"]


def test_migrate_at_the_same_time(cli):
    """Each of several people gets the answer to the own question, or a sentence that says to try again."""
    cli.ok("apply", "-f", cli.file(ALL))
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    running = [subprocess.Popen(cli.argv("migrate", "pause", "shop"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(5)]
    results = [(p.communicate(timeout=60), p.returncode) for p in running]
    assert any(code == 0 for _, code in results), results
    for (out, err), code in results:
        assert (code == 0 and "pause: done" in out) or (code == 1 and ("run it again" in err or "has not answered" in err)), \
            results


def test_status_of_all(cli):
    assert cli("migrate", "status", "-A").stderr == "no Migrations found\n"
    cli.ok("apply", "-f", cli.file(ALL))
    cli.ok("apply", "-n", "other", "-f", cli.file(ALL))
    text = cli.ok("migrate", "status", "-A")
    assert "default/shop" in text and "other/shop" in text
    assert "leave the name out" in cli.fails(2, "migrate", "status", "-A", "shop")
    assert "name it, without -A" in cli.fails(2, "migrate", "status", "-A", "-w")
    assert "use -n" in cli.fails(2, "migrate", "pause", "-A", "shop")
    assert cli.ok("explain", "migration", "--server", "http://127.0.0.1:1") == cli.ok("explain", "migration")


def test_status_redraws_on_a_terminal(cli):
    cli.ok("apply", "-f", cli.file(ALL))
    rig.wait_for(lambda: "Paused" in cli.ok("get", "mig"), what="the migration to pause")
    plain = cli.ok("migrate", "status", "shop")
    assert "\033" not in plain and "▶  1  pause until promoted" in plain and "0 % asked" in plain
    main, child = pty.openpty()
    process = subprocess.Popen(cli.argv("migrate", "status", "shop", "-w"), stdout=child, stderr=child, env=cli.env)
    os.close(child)
    seen = b""
    try:
        end = time.monotonic() + 60
        while b"held at 0 %" not in seen and time.monotonic() < end:
            if select.select([main], [], [], 0.2)[0]:
                seen += os.read(main, 65536)
            if b"pause until promoted" in seen and b"held" not in seen:
                cli("migrate", "pause", "shop")
        assert b"held at 0 %" in seen and re.search(rb"\033\[\d+A\r\033\[J", seen), seen
    finally:
        process.kill()
        process.wait(10)
        os.close(main)


# ---- all of it ----


def test_a_migration_from_end_to_end(binary, tmp_path, world):
    old, new = world.origin("old"), world.origin("new")
    port = rig.free_port()
    c = Cli(binary, tmp_path)
    site = c.file(SITE % {"port": port, "old": old.port, "new": new.port}, "site.yaml")
    # Leaks are looked for in one process at a time; in a sandbox LeakSanitizer, which needs ptrace(), cannot.
    c.server_env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    c.start("up", "-f", site, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1", "--no-users")
    try:
        rig.wait_for(lambda: answers(port), 20, "the proxy to serve")
        c.ok("apply", "-f", c.file(MIGRATION))
        rig.wait_for(lambda: "Paused" in c.ok("get", "mig"), 20, "the migration to pause")
        rig.wait_for(lambda: "1 of 1 run this step" in c.ok("migrate", "status", "shop"), 20, "the proxy to report")
        assert "promote: done" in c.ok("migrate", "promote", "shop")
        rig.wait_for(lambda: "25 %" in c.ok("get", "mig"), 20, "25 %")
        rig.wait_for(lambda: {origin_of(port) for _ in range(60)} == {"old", "new"}, 20, "users on both sides")
        status = c.ok("migrate", "status", "shop")
        assert "25 % asked" in status and "16384 of 65536 slots are on the new side" in status
        assert "undo: done" in c.ok("migrate", "undo", "shop")
        rig.wait_for(lambda: {origin_of(port) for _ in range(20)} == {"old"}, 20, "all users on the old side again")
        assert "set-weight: done" in c.ok("migrate", "set-weight", "50", "shop")
        rig.wait_for(lambda: {origin_of(port) for _ in range(20)} == {"old", "new"}, 20, "users on both sides")
        assert "resume: done" in c.ok("migrate", "resume", "shop")
        assert "promote: done" in c.ok("migrate", "promote", "shop", "--full")
        rig.wait_for(lambda: {origin_of(port) for _ in range(10)} == {"new"}, 20, "all users on the new side")
        rig.wait_for(lambda: "Retiring" in c.ok("get", "mig"), 20, "the end of the steps")
        done = c("migrate", "finish", "shop")
        assert done.returncode == 0 and "name: new" in done.stdout and "--apply shop" in done.stderr
        done = c("migrate", "finish", "shop", "--apply")
        assert done.returncode == 0 and "httproute.gateway.networking.k8s.io/shop configured" in done.stdout, done
        assert ("HTTPRoute/shop comes from a file that watari follows: change it there too, or the next change of it there "
                "takes this one back" in done.stderr)  # fmt: skip
        rig.wait_for(lambda: "Completed" in c.ok("get", "mig"), 20, "the migration to complete")
        assert c.json("hr", "shop")["spec"]["rules"][0]["backendRefs"][0]["name"] == "new"
        assert "Completed" in c.ok("migrate", "status", "shop", "-w")
        assert c.ok("delete", "mig", "shop") == 'migration.watari.dev "shop" deleted\n'
        assert {origin_of(port) for _ in range(10)} == {"new"}
        # A share that the routes do not tell keeps its Migration: users would jump.
        c.ok("apply", "-f", c.file(SITE % {"port": port, "old": old.port, "new": new.port}))
        c.ok("apply", "-f", c.file(MIGRATION))
        rig.wait_for(lambda: "1 of 1 run this step" in c.ok("migrate", "status", "shop"), 20, "the proxy to report")
        c.ok("migrate", "set-weight", "50", "shop")
        rig.wait_for(lambda: "finalizers" in c.json("mig", "shop")["metadata"], 20, "the finalizer")
        gone = c("delete", "mig", "shop")
        assert gone.stdout == 'migration.watari.dev "shop" marked for deletion\n' and "watari describe" in gone.stderr
        assert "marked for deletion" in c.ok("migrate", "status", "shop")
        assert re.search("abort: (done|asked; the Migration went away)", c.ok("migrate", "abort", "shop"))
        rig.wait_for(lambda: c("get", "mig", "shop").returncode == 1, 20, "the Migration to go")
    finally:
        c.stop()


def origin_of(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": "shop.example"})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body)
        return json.loads(body)["origin"]
    finally:
        connection.close()


def answers(port):
    try:
        return origin_of(port)
    except (OSError, AssertionError):
        return None
