"""The demo's result as data, as text, and as a yes or no."""

import math

from tally import bucket_ms

LAST_BAD_S = {"errors": 5.0, "slow": 5.0}
MOST_S = 170


def make(ledger, probe, seconds, busy):
    counts, status = ledger.counts, ledger.status
    requests = counts["ok"] + counts["bad"] + counts["lost"]
    report = {
        "seconds": round(seconds, 1),
        "requests": requests,
        "per_second": round(requests / max(seconds, 1), 1),
        "machine_busy_percent": busy,
        "lost": counts["lost"],
        "bad": counts["bad"],
        "wrong": counts["wrong"],
        "not_sent": counts["shed"],
        "rescued": (status.get("requests") or {}).get("rescued"),
        "edge_says": status.get("requests"),
        "users": {
            "all": sum(ledger.users.values()),
            **ledger.judge_moves(),
            "slots": status.get("users"),
        },
        "served_by": {k[3:]: n for k, n in sorted(counts.items()) if k.startswith("at ")},
        "latency_ms": {
            side: {q: quantile(counts_of, f) for q, f in (("p50", 0.5), ("p99", 0.99))}
            for side, counts_of in ledger.latency.items()
        },
        "steps": [span.result() for span in ledger.spans],
        "faults": [fault.result() for fault in ledger.faults],
        "added_latency_ms": added(probe),
        "probe": probe,
        "events": ledger.events,
        "notes": {kind: list(notes) for kind, notes in ledger.notes.items()},
        "bad_unbroken": counts["bad"] - sum(fault.bad for fault in ledger.faults),
    }
    report["broken_bounds"] = list(broken_bounds(report))
    return report


def quantile(counts, fraction):
    left = sum(counts.values()) * fraction
    for index in sorted(counts):
        left -= counts[index]
        if left <= 0:
            return round(bucket_ms(index), 1)
    return None


def added(probe):
    if not probe:
        return None
    return {q: round(probe["edge"][q] - probe["direct"][q], 3) for q in ("p50", "p90", "p99")}


def broken_bounds(report):
    """Each broken promise as a sentence; none means the demo passed."""
    if report["lost"]:
        yield f"{report['lost']} requests were lost"
    if (report["edge_says"] or {}).get("lost"):
        yield f"the edge itself counts {report['edge_says']['lost']} lost"
    if report["wrong"]:
        yield f"{report['wrong']} answers were wrong (logged out, or own words missing)"
    if report["not_sent"]:
        yield f"{report['not_sent']} requests could not be sent: too much load for this machine"
    if report["users"]["strays"]:
        yield f"{report['users']['strays']} users changed side without a reason"
    if report["seconds"] > MOST_S:
        yield f"it took {report['seconds']:.0f} s, bound {MOST_S} s"
    if len(report["faults"]) < len(LAST_BAD_S):
        yield "the crossing ended early"
    for fault in report["faults"]:
        bound, last = LAST_BAD_S[fault["kind"]], fault["last_bad_after_s"]
        if last is None:
            yield f"fault '{fault['kind']}' reached nobody: nothing was proved"
        elif last > bound:
            yield f"last bad answer {last} s after the fault '{fault['kind']}', bound {bound} s"
    for step in report["steps"]:
        if not share_holds(step):
            measured = f"{step['measured']} % measured in {step['requests']} requests"
            yield f"{step['asked']} % asked, {measured}"


def share_holds(step):
    """Within five standard deviations of the share that was asked."""
    if not step["requests"]:
        return True
    asked = step["asked"] / 100
    room = 5 * math.sqrt(asked * (1 - asked) / step["requests"]) + 2 / step["requests"]
    return abs(step["requests_new"] / step["requests"] - asked) <= room


def text(report):
    rows = [*summary(report), *map(fault_row, report["faults"])]
    if report["added_latency_ms"]:
        rows.append(latency_row(report["added_latency_ms"], report["probe"]))
    rows += ["  share asked -> measured:", *map(step_row, report["steps"])]
    rows += [f"  NOT HELD: {sentence}" for sentence in report["broken_bounds"]]
    held = "no request was lost; every bound held"
    return "\n".join([*rows, "the demo did not pass" if report["broken_bounds"] else held])


def summary(report):
    r, users = report, report["users"]
    yield (
        f"{r['requests']:,} requests in {r['seconds']:.0f} s ({r['per_second']:.0f}/s), "
        f"{r['load_percent']} % of the usual load, machine busy {r['machine_busy_percent']} %"
    )
    yield (
        f"  lost {r['lost']}   bad {r['bad']}   rescued {number(r['rescued'])}"
        f"   wrong {r['wrong']}   (bad with nothing broken: {r['bad_unbroken']})"
    )
    yield (
        f"  users {users['all']}: moved {users['moved']}, moved back {users['moved_back']}, "
        f"strays {users['strays']}"
    )


def fault_row(fault):
    return (
        f"  fault '{fault['kind']}' at {fault['weight']:g} %: {fault['bad']} bad answers, "
        f"the last {number(fault['last_bad_after_s'])} s after the fault; "
        f"rolled back after {number(fault['rolled_back_after_s'])} s"
    )


def latency_row(added_ms, probe):
    direct, edge = probe["direct"], probe["edge"]
    return (
        f"  added latency p50 {added_ms['p50']} ms, p99 {added_ms['p99']} ms   "
        f"(direct {direct['p50']} and {direct['p99']}, edge {edge['p50']} and {edge['p99']}, "
        f"{probe['pairs']} pairs)"
    )


def step_row(step):
    return (
        f"    {step['asked']:5g} % -> {number(step['measured']):>6} % of {step['requests']:5} "
        f"requests; {number(step['users_measured']):>6} % of {step['users']} users; "
        f"{step['seconds']} s"
    )


def number(value):
    return "?" if value is None else str(value)
