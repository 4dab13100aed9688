/* What the guard's counts prove: pure functions from counts to a verdict (docs/GUARD.md).
 *
 * A trial is a slot in a span of time: it is *seen* once and *bad* once, however often one client
 * calls. A span is the whole step, a window of a minute, or the time since a slot turned bad, which
 * may be the onset of a fault (health/onset.h), or, where no old side is left to compare with,
 * since most answers have been bad (health/spell.h); each starts from nothing and may spend only
 * its part of alpha, so that looking at any moment, any number of times, keeps false verdicts below
 * alpha for the whole step, however long it runs.
 *
 * What counts as bad is the caller's: an answer 5xx, a timeout, a reset, slower than the limit; of
 * the first attempt, before a retry rescues it. Client aborts and limits of ours are neither seen
 * nor bad.
 */
#ifndef HEALTH_EVIDENCE_H
#define HEALTH_EVIDENCE_H

#include "health/onset.h"
#include "health/spell.h"

#include <stdbool.h>
#include <stdint.h>

enum health_side {
    HEALTH_OLD,
    HEALTH_NEW,
    HEALTH_SIDES,
};

enum health_span {
    HEALTH_SPAN_STEP,
    HEALTH_SPAN_MINUTE, /* windows of a minute */
    HEALTH_SPAN_SPELL,  /* since the last pulse that was not mostly bad; where the new side is alone
                         */
    HEALTH_SPANS,
};

/* Length of a span's windows; 0 for the whole step. A spell begins with any pulse. */
int64_t health_span_ms(enum health_span span);

enum health_cause {
    HEALTH_CAUSE_NONE,
    HEALTH_CAUSE_ERRORS, /* the new side is worse than the old one */
    HEALTH_CAUSE_SHARED, /* both sides are worse than before the step */
};

/* "", "Errors", "Shared" */
const char *health_cause_text(enum health_cause cause);

struct health_params {
    double alpha;     /* false verdicts accepted, per step: 0.001 */
    double floor;     /* bad share accepted in any case: 0.005 */
    double tolerance; /* worse than the old side by this much is accepted: 0.25 */
    double excluding; /* passing a step excludes that new fails this much more than old: 0.05 */
    double share;     /* share of new in the slot table, 0 … 1 */
    bool shared;      /* spec.state: Shared */
};

/* One side in one span. */
struct health_tally {
    uint64_t seen;  /* slots with a first attempt */
    uint64_t bad;   /* slots with a bad one */
    uint64_t tried; /* first attempts of each slot up to and with its first bad one */
};

struct health_counts {
    uint64_t index; /* number of the window since the step began, from 0 */
    struct health_tally side[HEALTH_SIDES];
};

/* First attempts, each counted. */
struct health_requests {
    uint64_t total, bad;
};

struct health_evidence {
    struct health_counts span[HEALTH_SPANS];
    struct health_requests requests[HEALTH_SIDES]; /* of this step */
    struct health_requests before; /* of the old side, before the migration's first step
                                    * or during the last good one; zero if unknown */
    struct health_spell spell;
    struct health_onsets onsets; /* of one process: they cannot be added */
};

/* True when the table leaves too little on the old side to compare with. */
bool health_evidence_is_alone(const struct health_params *p);

/* The verdict on what is there now. Worth asking when one more slot of the new side turned bad:
 * anything else only weakens the evidence. */
enum health_cause health_evidence_judge(const struct health_params *p,
                                        const struct health_evidence *e);

/* How near the verdict is: 1 or more trips, 0 is no sign at all (the logarithm of the evidence ÷
 * that of what is needed, of the span that comes nearest). For the display. */
double health_evidence_level(const struct health_params *p, const struct health_evidence *e);

/* True when the data excludes, at 95 % and at any number of looks, that the new side's bad share
 * lies `excluding` or more above the old side's. Without traffic it is false: inconclusive. */
bool health_evidence_passed(const struct health_params *p, const struct health_evidence *e);

/* About how many more requests without a bad one the new side needs until passed(); 0 when passed.
 */
uint64_t health_evidence_wanting(const struct health_params *p, const struct health_evidence *e);

/* For `plan`: the least share of bad answers on the new side (0 … 1) that would be found within
 * `seconds` on average, at this many requests per second in all and this base error share; 1 is the
 * worst there is, and above 1 (2.0) means not even that. `users` bounds the slots (0: unknown,
 * many). */
double health_evidence_least(const struct health_params *p, double requests_per_s, double users,
                             double base, double seconds);

/* For several proxies: adds what may be added (tried, requests) and takes the later window of each
 * span; onsets stay those of `sum`, of spells the longer is taken. seen and bad are added as well,
 * which counts a slot seen by both proxies twice; where bitmaps are at hand, write the union's
 * counts over them with health_guard_union() (health/guard.h). */
void health_evidence_add(struct health_evidence *sum, const struct health_evidence *e);

#endif
