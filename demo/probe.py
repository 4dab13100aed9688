"""What the edge adds: the same small page, by turns straight from a server and through the edge,
over kept connections. Blocking sockets in a process of its own, for the least noise. On SIGTERM it
prints one JSON line."""

import argparse
import http.client
import json
import signal
import time

PAGE = "/lib/tpl/dokuwiki/images/logo.png"
HOST = "wiki.example"


class Ended(Exception):
    pass


def ended(*_):
    raise Ended


def ask(connection):
    """Seconds that one answer took, or None where nothing can be compared."""
    start = time.perf_counter()
    try:
        connection.request("GET", PAGE, headers={"Host": HOST})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    took = time.perf_counter() - start
    old = answer.status == 200 and answer.getheader("X-Served-By", "").startswith("old-")
    return took if old else None


def connect(address):
    host, _, port = address.rpartition(":")
    return http.client.HTTPConnection(host, int(port), timeout=5)


def quantiles(values):
    values = sorted(values)
    return {
        name: round(values[int(len(values) * q)] * 1000, 3)
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--direct", required=True)
    parser.add_argument("--edge", required=True)
    parser.add_argument("--rate", type=float, default=25, help="pairs a second")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, ended)
    ways = {"direct": connect(options.direct), "edge": connect(options.edge)}
    took = {way: [] for way in ways}
    try:
        while True:
            pair = {}
            for way in (sorted(ways) if len(took["edge"]) % 2 else sorted(ways, reverse=True)):
                pair[way] = ask(ways[way])
                time.sleep(0.5 / options.rate)
            if None not in pair.values():
                for way, seconds in pair.items():
                    took[way].append(seconds)
    except Ended:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if took["edge"]:
        print(
            json.dumps({"pairs": len(took["edge"]), **{way: quantiles(took[way]) for way in took}}),
            flush=True,
        )


if __name__ == "__main__":
    main()
