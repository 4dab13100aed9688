"""Statements about rounds in which everything ran under the same disturbance.

On a machine that others use, or that has too few cores, the medians of rounds lie further apart
than the peers do. Within one round they had the same weather, so what is compared is compared
there, and the rounds are counted.
"""

import math
import statistics


def by_round(runs, key):
    return {run["round"]: run[key] for run in runs}


def ratios(runs, base_runs, key):
    """value / base of every round that has both."""
    base = by_round(base_runs, key)
    return [value / base[turn] for turn, value in by_round(runs, key).items() if base.get(turn)]


def middle(values):
    """Median and quartiles, or None for too few values to have any."""
    if len(values) < 2:
        return None
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high, "rounds": len(values)}


def sign_test(wins, rounds):
    """The chance of so many wins or more if either outcome were as likely as the other."""
    return sum(math.comb(rounds, k) for k in range(wins, rounds + 1)) / 2 ** rounds


def at_most(ours, theirs, factor, key):
    """In how many rounds that both have ours was at most `factor` times theirs. None when there is
    no such round. Who claims it of the best of several asks it of each, and believes the largest p:
    the best one *of each round* would be the one that chance favoured there."""
    base = by_round(theirs, key)
    shared = [(value, base[turn]) for turn, value in by_round(ours, key).items() if turn in base]
    # A difference of two percentiles can be negative: then the allowance is added, not taken.
    wins = sum(value <= other + (factor - 1) * abs(other) for value, other in shared)
    return {"wins": wins, "rounds": len(shared), "p": sign_test(wins, len(shared))} if shared else None
