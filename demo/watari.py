"""Watari in front of both sides: its files, its start, and the words the demo says to it (all
through the CLI)."""

import json
import os
import pathlib
import socket
import time
import urllib.error
import urllib.request

from owned import Failed, run, start, stop

NAME = "wiki"
SLOWER_THAN_S = 0.8
GROUP = "watari.dev/v1alpha1"

SITE = """apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: watari
  addresses: [{{type: IPAddress, value: {host}}}]
  listeners:
  - {{name: http, port: {port}, protocol: HTTP}}
{backends}---
apiVersion: watari.dev/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: both}}
spec:
  targetRefs:
  - {{group: watari.dev, kind: Backend, name: old}}
  - {{group: watari.dev, kind: Backend, name: new}}
  healthCheck:
    active:
      type: HTTP
      http: {{path: /healthz, expectedStatuses: [200]}}
      interval: 2s
      timeout: 2s
      healthyThreshold: 1
      unhealthyThreshold: 3
  timeout: {{http: {{requestTimeout: 15s}}, tcp: {{connectTimeout: 2s}}}}
  loadBalancer: {{type: LeastRequest}}
"""

BACKEND = """---
apiVersion: watari.dev/v1alpha1
kind: Backend
metadata: {{name: {side}}}
spec:
  endpoints:
{endpoints}
"""

ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: wiki}}
spec:
  parentRefs: [{{name: web}}]
  hostnames: [wiki.example]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /}}}}]
    backendRefs: [{{group: watari.dev, kind: Backend, name: {side}}}]
"""

# After 10 % somebody looks before half of the users move. `excluding` is wide because a demo has
# seconds, not hours.
MIGRATION = """apiVersion: watari.dev/v1alpha1
kind: Migration
metadata: {{name: wiki}}
spec:
  routeRefs: [{{kind: HTTPRoute, name: wiki}}]
  from: {{group: watari.dev, kind: Backend, name: old}}
  to: {{group: watari.dev, kind: Backend, name: new}}
  state: Shared
  userKey: {{cookie: DokuWiki}}
  steps:
  - setWeight: 1
  - pause: {{duration: 5s}}
  - setWeight: 10
  - pause: {{}}
  - setWeight: 50
  - pause: {{duration: 10s}}
  - setWeight: 100
  - retire: {{after: 0s}}
  - finish: {{}}
  guard: {{slowerThan: {slower_ms}ms, excluding: 0.2}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Watari:
    """The edge as the demo sees it. Haproxy offers the same methods."""

    name, guards, patience_s = "watari", True, 12

    def __init__(self, work, program, host, port, sites):
        self.work, self.program = pathlib.Path(work), pathlib.Path(program).resolve()
        self.host, self.port, self.sites = host, port, sites
        self.files, self.state = self.work / "edge", self.work / "state"
        self.api = f"http://127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.process = None
        if not os.access(self.program, os.X_OK):
            raise Failed(f"{program} is not there: ./dev build makes it")

    def start(self):
        self.files.mkdir(parents=True)
        self.state.mkdir(mode=0o755)
        backends = "".join(self.backend(side) for side in ("old", "new"))
        self.write("site.yaml", SITE.format(host=self.host, port=self.port, backends=backends))
        self.write("route.yaml", ROUTE.format(side="old"))
        self.process = start(
            self.work,
            "watari",
            [
                self.program,
                "up",
                "-f",
                self.files,
                "--state-dir",
                self.state,
                "--listen",
                self.api.removeprefix("http://"),
                "--drain-seconds",
                "5",
                "--admin",
                self.admin,
            ],
        )

    def backend(self, side):
        rows = [f"  - {{address: {s.address}, port: 80}}" for s in self.sites if s.side == side]
        return BACKEND.format(side=side, endpoints="\n".join(rows))

    def write(self, name, text):
        """Whole or not at all: the folder is watched."""
        draft = self.work / (name + ".draft")
        draft.write_text(text)
        draft.rename(self.files / name)

    def begin(self):
        self.write("migration.yaml", MIGRATION.format(slower_ms=int(SLOWER_THAN_S * 1000)))

    def status(self):
        """Status of the Migration; empty while there is none or nobody answers."""
        url = f"{self.api}/apis/{GROUP}/namespaces/default/migrations/{NAME}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.load(answer).get("status") or {}
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def say(self, verb, *more, check=True):
        done = run(
            self.program,
            "migrate",
            verb,
            NAME,
            *more,
            "--server",
            self.api,
            check=check,
            timeout=15,
        )
        return done.stdout.strip()

    def promote(self, weight):
        """Refused while the new side is not healthy; then a person would try again."""
        end = time.monotonic() + 20
        while True:
            try:
                return self.say("promote")
            except Failed as error:
                if "waits" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def resume(self):
        return self.say("resume")

    def finish(self):
        """The route of the site's owner follows: that is his file, so Watari prints the change and
        we make it."""
        said = self.say("finish", check=False)
        self.write("route.yaml", ROUTE.format(side="new"))
        return said

    def stop(self):
        stop(self.process, patience_s=15)
