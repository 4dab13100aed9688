"""What idle keep-alive connections cost, and how many one process holds."""

import time

from measure import FILES, BenchError, Load, measure, process_tree, pss_bytes, slab_bytes

OPEN_S = 45
SETTLE_S = 1


def hold(bench, peer, connections):
    """Opens the connections, one request on each, and looks while they are idle."""
    # Warm first, with as many under way at once as the opening below has: the buffers of that burst
    # are then in both readings, and the difference is what idle connections cost.
    measure(bench, peer, seconds=0.5, warm=0.1, connections=64, cookies=True)
    pids = process_tree(peer.process.pid)
    time.sleep(SETTLE_S)
    pss_before, slab_before = pss_bytes(pids), slab_bytes()
    load = Load(bench, peer.port, hold=True, seconds=120, warm=OPEN_S, connections=connections,
                cookies=True)
    try:
        load.line(OPEN_S + 10)
        time.sleep(SETTLE_S)
        pss_after, slab_after = pss_bytes(pids), slab_bytes()
        load.end()
        answered = int(load.line(10).split()[1])
        figures = load.finish()
    finally:
        load.stop()
    held = min(answered, figures["open"])
    if held < connections:
        bench.note(f"idle: {peer.name} holds {held} of {connections} connections "
                   f"({figures['errors']} failed; {OPEN_S} s to open them)")
    return {
        "asked": connections,
        "held": held,
        "pss_per_connection": (pss_after - pss_before) / max(1, held),
        "pss_total": pss_after,
        "slab_per_connection": (slab_after - slab_before) / max(1, held),
        "errors": figures["errors"],
    }


def idle(bench, factories, counts):
    """For each peer and count a fresh process, so that no earlier burst has grown it."""
    results = {}
    for factory in factories:
        for count in counts:
            if count * factory.files_each > FILES - 100:
                continue
            peer = factory(bench)
            try:
                peer.start()
                results.setdefault(peer.name, {})[count] = hold(bench, peer, count)
            except BenchError as error:
                bench.note(f"idle: {peer.name} with {count} connections: {error}")
            finally:
                peer.stop()
    return results
