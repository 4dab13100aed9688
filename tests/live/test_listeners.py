"""A listener whose address changes to one that cannot be had yet stays where it was: make before break."""

import json
import socket

import pytest

import rig
from rig import HOST, wait_for
from test_up import Trickle, Up, one_site, replace

NEWS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-news", "value": "1"}]}}
GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/web"


@pytest.fixture
def u(world):
    return world.keep(Up(world.directory / "up", one_site(world.origin())))


def moved(u, port):
    return u.site.text().replace(f'"port": {u.port},', f'"port": {port},')


def test_it_stays_with_the_new_routes(u):
    t = Trickle(u.port)
    t.wait_more(5)
    there = rig.free_port()
    with socket.create_server((HOST, there)):
        replace(u.files, moved(u, there).replace('"backendRefs"', f'"filters": [{json.dumps(NEWS)}], "backendRefs"'))
        # A worker that runs the new config accepts here: the old one's answers had no news.
        wait_for(lambda: rig.ask(u.port).seen("x-news") == ["1"], 20, "the new routes at the old port")
        stays = f"Gateway default/web, listener http stays served at {HOST}:{u.port} until it can move"
        wait_for(lambda: stays in u.errors(), 5, "the log to tell")
        wait_for(lambda: f"{HOST}:{u.port}, where it was, is still served" in u.api(GATEWAY).body.decode(), 20, "the status to tell")
        t.wait_more(20)
        t.close()
    assert t.failed == []


def test_it_moves_once_the_port_is_free(u):
    there = rig.free_port()
    with socket.create_server((HOST, there)):
        replace(u.files, moved(u, there))
        wait_for(lambda: f"stays served at {HOST}:{u.port}" in u.errors(), 20, "the port to be missed")
    wait_for(lambda: f"listening on http://{HOST}:{there}" in u.errors(), 20, "the port to be opened")
    assert rig.ask(there).status == 200
    wait_for(lambda: f"closing {HOST}:{u.port}: nothing listens there any more" in u.errors(), 20, "the old one to be closed")
