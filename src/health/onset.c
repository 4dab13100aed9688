#include "health/onset.h"

#include "health/evidence.h"

#include <math.h>
#include <string.h>

/* The first half hour of a step may spend this part of alpha, evenly; all time after it the rest,
 * in falling parts, or an endless step would have nothing left. */
static const double EARLY_MS = 1800000, EARLY_PART = 0.8;

/* The third slot tells how fast they come. If no more than this many slots were to be expected in
 * the meantime, that is a burst, which a fault makes and base errors seldom do. It takes half of
 * the purse; anything else takes little. */
static const unsigned TELLING = 3;
static const double BURST_EXPECTED = 0.33, BURST_PART = 0.5, OTHER_PART = 0.015;

/* When both fail and the new side fails some seconds longer (its timeouts are longer, say), an
 * account from then on would know only its half of the story. So while the old side has far more
 * bad slots than usual, none is opened that can speak; the older ones, which saw it all, can. To
 * say less never breaks the bound; the purse pays for these, too, or it would depend on sides. */
static const double HEAT_MS = 10000, HEAT_TIMES = 4, HEAT_LEAST = 5;

double health_onset_allowance(double ms)
{
    if (ms <= EARLY_MS)
        return ms > 0 ? EARLY_PART * ms / EARLY_MS : 0;
    return EARLY_PART + (1 - EARLY_PART) * (1 - EARLY_MS / ms);
}

static void spend(struct health_onsets *o, struct health_onset *s)
{
    double expected = s->per_ms * (double)(o->now_ms - s->at_ms);
    s->part = o->purse * (expected <= BURST_EXPECTED ? BURST_PART : OTHER_PART);
    o->purse -= s->part;
}

/* Opens the slot's own account and returns the first one that has not counted the slot before. */
static unsigned open_account(struct health_onsets *o, uint16_t slot)
{
    unsigned from = 0;
    if (o->n == HEALTH_ONSETS) {
        memmove(o->list, o->list + 1, sizeof(o->list) - sizeof(o->list[0]));
        o->n--;
    }
    for (unsigned i = 0; i < o->n; i++)
        if (o->list[i].slot == slot)
            from = i + 1;
    double per_ms = o->now_ms > 0 ? (double)o->total / (double)o->now_ms : 0;
    struct health_onset *s = &o->list[o->n++];
    *s = (struct health_onset){.at_ms = o->now_ms, .per_ms = per_ms, .good = o->good, .slot = slot};
    s->mute = o->heat > HEAT_LEAST + HEAT_TIMES * per_ms * HEAT_MS;
    return from;
}

void health_onset_add(struct health_onsets *o, unsigned side, uint16_t slot, int64_t at_ms,
                      uint64_t good)
{
    int64_t now_ms = at_ms > o->now_ms ? at_ms : o->now_ms;
    o->purse += health_onset_allowance((double)now_ms) - health_onset_allowance((double)o->now_ms);
    o->heat = o->heat * exp((double)(o->now_ms - now_ms) / HEAT_MS) + (side == HEALTH_OLD);
    o->now_ms = now_ms;
    o->good = good;
    for (unsigned i = open_account(o, slot); i < o->n; i++) {
        struct health_onset *s = &o->list[i];
        s->bad[side]++;
        if (s->bad[HEALTH_OLD] + s->bad[HEALTH_NEW] == TELLING)
            spend(o, s);
    }
    o->total++;
}
