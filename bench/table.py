"""Aligned tables of what was measured."""

import statistics


def aligned(header, rows):
    cells = [header] + [[str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]))
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join("  " + line.rstrip() for line in lines)


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else "-"


def base_of(result, name, key):
    return result[name][key] if name in result else None


def saturation(result):
    rows = []
    haproxy, forwarder = (base_of(result, n, "process_us") for n in ("haproxy", "forwarder"))
    haproxy_core, forwarder_core = (base_of(result, n, "core_us") for n in ("haproxy", "forwarder"))
    for name, r in result.items():
        rows.append([name, f"{r['rate']:.0f}", f"{r['process_us']:.1f}", f"{r['least_us']:.1f}",
                     f"{100 * r['spread']:.0f} %", ratio(r["process_us"], haproxy),
                     ratio(r["process_us"], forwarder), f"{r['core_us']:.1f}",
                     ratio(r["core_us"], haproxy_core), ratio(r["core_us"], forwarder_core),
                     f"{100 * r['core_busy']:.0f} %", r["errors"]])
    return aligned(["saturation, 64 connections", "requests/s", "process us", "least", "spread",
                    "/haproxy", "/forwarder", "core us", "/haproxy", "/forwarder", "core busy",
                    "errors"], rows)


def rates(result):
    blocks = []
    for level in result["levels"]:
        peers = level["peers"]
        haproxy, forwarder = (base_of(peers, n, "process_us") for n in ("haproxy", "forwarder"))
        rows = [[name, f"{r['process_us']:.1f}", f"{r['least_us']:.1f}",
                 f"{100 * r['spread']:.0f} %",
                 ratio(r["process_us"], haproxy), ratio(r["process_us"], forwarder),
                 f"{r['core_us']:.1f}", f"{100 * r['core_busy']:.0f} %", r["errors"]]
                for name, r in peers.items()]
        title = f"{level['rate']:.0f} requests/s ({100 * level['share']:.0f} % of the slowest)"
        blocks.append(aligned([title, "process us", "least", "spread", "/haproxy", "/forwarder",
                               "core us", "core busy", "errors"], rows))
    return "\n\n".join(blocks)


def quartiles(figures, digits):
    if not figures:
        return "-"
    return f"{figures['low']:.{digits}f} to {figures['high']:.{digits}f}"


def latency(result):
    rows = [[name, f"{r['rate']:.0f}", f"{r['p50_us']:.0f}", f"{r['p99_us']:.0f}",
             f"{r['direct_p50_us']:.0f}", f"{r['direct_p99_us']:.0f}", f"{r['added_p50_us']:.0f}",
             f"{r['added_p99_us']:.0f}", quartiles(r["added"], 0), r["errors"]]
            for name, r in result.items()]
    text = aligned(["open loop at 70 % of its own peak", "requests/s", "p50 us", "p99 us",
                    "direct p50", "direct p99", "added p50", "added p99", "its quartiles",
                    "errors"], rows)
    for name, pairs in result.get("watari", {}).get("beside", {}).items():
        if pairs:
            text += (f"\n  watari's added p99 was at most 1.1 x {name}'s of the same round in "
                     f"{pairs['wins']} of {pairs['rounds']} rounds (sign test: p = {pairs['p']:.4f})")
    return text


def idle(result):
    rows = []
    for name, counts in result.items():
        for count, r in counts.items():
            rows.append([name, count, r["held"], f"{r['pss_per_connection']:.0f}",
                         f"{r['pss_total'] / 1048576:.1f}", f"{r['slab_per_connection']:.0f}"])
    return aligned(["idle keep-alive connections", "asked", "held", "PSS bytes each",
                    "PSS MiB in all", "slab bytes each *"], rows) + \
        "\n  * kernel memory of the whole machine: both ends of each connection, and the upstream's"


def routes(result):
    rows = [[name, f"{r['rate']:.0f}", f"{r['process_us']:.2f}", f"{r['least_us']:.2f}",
             f"{r['ratio']['median']:.2f}" if r["ratio"] else "-", quartiles(r["ratio"], 2),
             r["errors"]] for name, r in result.items()]
    return aligned(["routes of watari", "requests/s", "process us", "least",
                    "/10 routes, same round", "its quartiles", "errors"], rows)


def worst_rows(runs, names):
    """A row for each figure: the least of the runs, the median and the worst."""
    rows = []
    for text, key in names:
        values = sorted(r[key] for r in runs)
        rows.append([text] + [f"{v:.1f}" for v in
                              (values[0], statistics.median(values), values[-1])])
    return rows


def swap(result):
    if not result["runs"]:
        return "  swap: not measured (the notes say why)"
    return aligned([f"one of {result['routes']} routes changed, ms", "least", "median", "worst"],
                   worst_rows(result["runs"], [("to build the snapshot", "build_ms"),
                                               ("until every worker ran it", "adopt_ms"),
                                               ("from the file to the first answer",
                                                "file_to_answer_ms")]))


def verdict(result):
    if not result["runs"]:
        return "  verdict: not measured (the notes say why)"
    return aligned(["the new side answers nothing but 500", "least", "median", "worst"],
                   worst_rows(result["runs"],
                              [("ms from the first request to the verdict", "to_verdict_ms"),
                               ("ms from the verdict to the last request there",
                                "last_request_ms"),
                               ("requests that it was sent", "sent_to_bad")]))


def instructions(result):
    return aligned(["user instructions of watari's worker", "requests", "per request"],
                   [["callgrind", result["requests"], f"{result['per_request']:.0f}"]])
