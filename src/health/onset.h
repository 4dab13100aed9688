/* The last slots that turned bad, each of which may have been the onset of a fault.
 *
 * A fault that begins in the middle of a long step must not be weighed together with the good hours
 * before it, nor wait for a window to begin. So every bad slot opens an account of its own: the
 * distinct slots of both sides that turned bad since. Each account may spend a part of alpha, and
 * the parts of a whole step sum to 1 at most. Which part depends on when slots turn bad and on
 * which slots they are, never on their sides: under "the new side is all right" the hash deals the
 * sides at random, whatever the rest, so each account keeps its bound (docs/GUARD.md). A pure
 * value.
 */
#ifndef HEALTH_ONSET_H
#define HEALTH_ONSET_H

#include <stdbool.h>
#include <stdint.h>

enum { HEALTH_ONSETS = 64 };

struct health_onset {
    int64_t at_ms;   /* since the step began */
    double per_ms;   /* bad slots until then ÷ time until then */
    double part;     /* of alpha; 0 until the third slot tells how fast they come */
    uint64_t good;   /* the new side's good first attempts until then */
    uint32_t bad[2]; /* distinct slots since and with this one, by enum health_side */
    uint16_t slot;
    bool mute; /* opened while the old side failed as well: never speaks */
};

struct health_onsets {
    struct health_onset list[HEALTH_ONSETS]; /* oldest first */
    unsigned n;
    double purse;   /* what of alpha may be spent and is not */
    double heat;    /* bad slots of the old side, those of ten seconds ago by 1/e */
    int64_t now_ms; /* of the last slot */
    uint64_t total; /* slots so far; one that turns bad again a minute later counts again */
    uint64_t good;  /* the new side's good first attempts until the last slot */
};

/* The part of a step's alpha that may be spent until `ms` after its beginning; 1 at most, for ever.
 */
double health_onset_allowance(double ms);

/* One more slot has turned bad, `at_ms` after the step began. `side` is an enum health_side;
 * `good` counts the new side's good first attempts until now. */
void health_onset_add(struct health_onsets *o, unsigned side, uint16_t slot, int64_t at_ms,
                      uint64_t good);

#endif
