import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rig  # noqa: E402


@pytest.fixture(scope="session")
def binary():
    return rig.binary()


class World:
    """Makes things and ends them, last made first; what went wrong in one of them fails the test."""

    def __init__(self, directory):
        self.directory = directory
        self.things = []
        self.n_proxies = 0

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def origin(self, name="origin", behave=rig.echo, **more):
        return self.keep(rig.Origin(name, behave, **more))

    def refusing(self):
        return self.keep(rig.Refusing())

    def blackhole(self):
        return self.keep(rig.Blackhole())

    def proxy(self, site, **more):
        self.n_proxies += 1
        proxy = rig.Proxy(self.directory / f"proxy{self.n_proxies}", site, **more)
        self.things.append(proxy)
        return proxy

    def client(self, proxy, **more):
        return self.keep(rig.Client(proxy.port, **more))

    def end(self):
        wrong = []
        for thing in reversed(self.things):
            try:
                thing.stop() if isinstance(thing, rig.Proxy) else thing.close()
            except (AssertionError, OSError) as e:
                wrong.append(e)
        assert not wrong, wrong


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.end()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("shared"))
    yield w
    w.end()
