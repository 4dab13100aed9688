"""A bridge and one network namespace per server: each is a machine with an address of its own."""

import pathlib

from owned import Failed, run

PREFIX = "wtdemo-"
BRIDGE = PREFIX + "br0"
SUBNETS = ("10.77.0", "10.177.0", "172.31.77", "192.168.177")


def free_subnet():
    """The first /24 that no route of this machine uses."""
    routes = run("ip", "-4", "route", "show", "table", "all").stdout
    for subnet in SUBNETS:
        if subnet + "." not in routes:
            return subnet
    raise Failed("no free subnet: all of " + ", ".join(SUBNETS) + " have routes here")


def clear():
    """Removes what this or an earlier run made."""
    for line in run("ip", "netns", "list", check=False).stdout.splitlines():
        name = line.split()[0]
        if name.startswith(PREFIX):
            run("ip", "netns", "del", name, check=False)
    run("ip", "link", "del", BRIDGE, check=False)


def make_bridge(address):
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", address + "/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def make_host(name, address, gateway):
    """A namespace, joined to the bridge by a pair of interfaces."""
    space, outer = PREFIX + name, PREFIX + name[:3] + name[-1]
    run("ip", "netns", "add", space)
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "link", "set", outer, "master", BRIDGE, "up")
    run("ip", "-n", space, "link", "set", "lo", "up")
    run("ip", "-n", space, "addr", "add", address + "/24", "dev", "eth0")
    run("ip", "-n", space, "link", "set", "eth0", "up")
    run("ip", "-n", space, "route", "add", "default", "via", gateway)


def path(name):
    return pathlib.Path("/run/netns", PREFIX + name)
