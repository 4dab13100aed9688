"""HAProxy in Watari's place, as a cross-check of the demo itself and of what is done by hand today:
weights through the runtime socket, stickiness by its own cookie, and nobody who watches the new
side."""

import pathlib
import socket
import time

from owned import start, stop

CONFIG = """global
    maxconn 4000
    stats socket {socket} mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 15s
    timeout check 2s
    timeout http-keep-alive 60s
    option redispatch
    retries 1
frontend web
    bind {host}:{port}
    default_backend app
backend app
    balance hash req.cook(DokuWiki)
    hash-type consistent sdbm avalanche
    option httpchk GET /healthz
    http-reuse aggressive
{servers}
"""


class Haproxy:
    name, guards, patience_s = "haproxy", False, 0

    def __init__(self, work, program, host, port, sites):
        self.work, self.host, self.port, self.sites = pathlib.Path(work), host, port, sites
        self.socket = self.work / "haproxy.sock"
        self.weight, self.phase, self.epoch, self.process = 0, "Pending", 1, None

    def start(self):
        self.socket.unlink(missing_ok=True)
        servers = "\n".join(
            f"    server {s.name} {s.address}:80 check inter 2s fall 3" for s in self.sites
        )
        config = self.work / "haproxy.cfg"
        config.write_text(
            CONFIG.format(socket=self.socket, host=self.host, port=self.port, servers=servers)
        )
        self.process = start(self.work, "haproxy", ["/usr/sbin/haproxy", "-db", "-W", "-f", config])
        end = time.monotonic() + 5
        while not self.socket.is_socket() and time.monotonic() < end:
            time.sleep(0.02)
        self.share(0)

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            sock.connect(str(self.socket))
            sock.sendall(command.encode() + b"\n")
            return sock.recv(65536).decode()

    def share(self, weight):
        self.weight = weight
        for site in self.sites:
            part = weight if site.side == "new" else 100 - weight
            self.tell(f"set server app/{site.name} weight {round(part * 2.56)}")
            self.tell(f"set server app/{site.name} state {'ready' if part else 'maint'}")

    def status(self):
        return {"phase": self.phase, "weight": self.weight, "epoch": self.epoch}

    def begin(self):
        self.phase = "Progressing"
        self.share(1)

    def promote(self, weight):
        self.share(weight)

    def roll_back(self):
        self.phase = "RolledBack"
        self.share(0)

    def resume(self):
        self.epoch += 1
        self.begin()

    def finish(self):
        self.phase = "Completed"
        return ""

    def stop(self):
        stop(self.process)
