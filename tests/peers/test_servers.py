"""Real servers behind Watari, real clients in front of it: nginx, HAProxy and Apache; curl and wrk."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import rig

BIG_BYTES = 20 << 20

NGINX = """daemon off; pid {dir}/pid; worker_processes 1; error_log stderr error;
events {{ worker_connections 512; }}
http {{ access_log {dir}/requests.log; client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
  uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp; client_max_body_size 0;
  server {{ listen 127.0.0.1:{port}; root {dir}/www; }} }}
"""

HAPROXY = """global
  maxconn 512
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port}
  default_backend files
backend files
  server s 127.0.0.1:{behind}
"""

APACHE = """ServerRoot {dir}
ServerName test
Listen 127.0.0.1:{port}
PidFile {dir}/pid
ErrorLog {dir}/error.log
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
DocumentRoot {dir}/www
KeepAliveTimeout 1
User {user}
Group {group}
"""


def www(directory):
    root = directory / "www"
    root.mkdir()
    big = os.urandom(BIG_BYTES)
    (root / "big").write_bytes(big)
    (root / "small").write_text("small\n")
    for p in (directory, root):
        p.chmod(0o755)
    for f in root.iterdir():
        f.chmod(0o644)
    return hashlib.sha256(big).hexdigest()


class Peer:
    """A real server on a port of its own."""

    def __init__(self, directory, config, command, **more):
        self.directory = directory
        self.port = rig.free_port()
        path = directory / "config"
        path.write_text(config.format(dir=directory, port=self.port, **more))
        self.process = subprocess.Popen([c.format(config=path, dir=directory) for c in command],
                                        stdout=subprocess.DEVNULL, stderr=open(directory / "peer.log", "wb"),
                                        start_new_session=True)  # fmt: skip  (Apache ends its whole process group)
        try:
            rig.wait_for(self.answers, 15, f"{command[0]} to answer")
        except AssertionError as e:
            self.close()
            raise AssertionError(f"{e}: {(directory / 'peer.log').read_text()}") from e

    def answers(self):
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"
        try:
            return rig.ask(self.port, "/small").status == 200
        except (OSError, rig.Ended, rig.WasReset):
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(40)


def make(name, directory):
    directory.mkdir()
    digest = www(directory)
    if name == "nginx":
        return [Peer(directory, NGINX, ["nginx", "-e", "stderr", "-p", "{dir}", "-c", "{config}"])], digest
    if name == "apache":
        user, group = ("www-data", "www-data") if os.geteuid() == 0 else (f"#{os.geteuid()}", f"#{os.getegid()}")
        command = ["apache2", "-f", "{config}", "-DFOREGROUND"]
        return [Peer(directory, APACHE, command, user=user, group=group)], digest
    behind = Peer(directory, NGINX, ["nginx", "-e", "stderr", "-p", "{dir}", "-c", "{config}"])
    front_dir = directory / "front"
    front_dir.mkdir()
    return [Peer(front_dir, HAPROXY, ["haproxy", "-db", "-f", "{config}"], behind=behind.port), behind], digest


@pytest.fixture
def public():
    """A directory that servers can read as users of their own: pytest closes those that it makes, whenever a session begins."""
    with tempfile.TemporaryDirectory(prefix="watari-peer-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(params=["nginx", "haproxy", "apache"])
def site(request, tmp_path, public):
    """(proxy, digest of /big) with that server behind."""
    peers, digest = make(request.param, public / "peer")
    proxy = rig.Proxy(tmp_path / "proxy", rig.Site().backend("one", peers[0].port).simple_route("one"), workers=2)
    yield proxy, digest
    try:
        proxy.stop()
    finally:
        for p in peers:
            p.close()


def curl(proxy, *options):
    out = subprocess.run(["curl", "-sS", "--max-time", "120", "-H", "Host: one.test", *options], capture_output=True, check=True)
    return out.stdout


def url(proxy, path):
    return f"http://{rig.HOST}:{proxy.port}{path}"


def test_downloads_are_whole_in_every_protocol(site):
    proxy, digest = site
    for version in ("--http1.0", "--http1.1"):
        assert hashlib.sha256(curl(proxy, version, url(proxy, "/big"))).hexdigest() == digest
    part = curl(proxy, "-r", "1000-1999", url(proxy, "/big"))
    assert len(part) == 1000
    assert curl(proxy, "-o", "/dev/null", "-w", "%{http_code}", url(proxy, "/absent")) == b"404"
    assert b"200" in curl(proxy, "-I", url(proxy, "/small")).split(b"\r\n")[0]


def test_one_connection_serves_many_requests(site):
    proxy, _ = site
    names = [url(proxy, "/small")] * 50
    out = curl(proxy, "-w", "%{num_connects} %{http_code}\n", "-o", "/dev/null", *[x for n in names for x in (n, "-o", "/dev/null")])
    connects = sum(int(line.split()[0]) for line in out.decode().splitlines())
    assert connects == 1
    assert out.count(b" 200") == 50


def test_load_without_an_error(site):
    proxy, _ = site
    out = subprocess.run(["wrk", "-t1", "-c32", "-d3", "--timeout", "30s", "-H", "Host: one.test", url(proxy, "/small")], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    assert int(re.search(r"(\d+) requests in", out)[1]) > 100
    assert proxy.metric("watari_requests_lost_total") == 0


def test_a_server_that_restarts_loses_idempotent_requests_none(tmp_path, public):
    """Apache closes kept connections after a second: what was kept must not be trusted blindly."""
    peers, _ = make("apache", public / "peer")
    proxy = rig.Proxy(tmp_path / "proxy", rig.Site().backend("one", peers[0].port).simple_route("one"))
    try:
        for pause in (0.0, 0.9, 1.0, 1.05, 1.1, 1.5):
            client = rig.Client(proxy.port)
            assert client.ask("/small").status == 200
            # The pause is the point: the server's own limit passes during some of them.
            rig.time.sleep(pause)
            assert client.ask("/small").status == 200
            client.close()
        assert proxy.metric("watari_requests_lost_total") == 0
    finally:
        proxy.stop()
        peers[0].close()


def test_all_peers_are_here():
    missing = [p for p in ("nginx", "haproxy", "apache2", "curl", "wrk") if not shutil.which(p) and not os.path.exists(f"/usr/sbin/{p}")]
    assert not missing, missing
