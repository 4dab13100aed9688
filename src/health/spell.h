/* How long the new side has been bad, where no old side is left to compare with.
 *
 * There a hiccup of the whole machine looks like a broken new side, and only time tells them apart.
 * So time is cut into pulses of half a second, each judged by itself; a verdict that rests on the
 * new side alone waits until enough of them were bad (docs/GUARD.md). A pure value.
 */
#ifndef HEALTH_SPELL_H
#define HEALTH_SPELL_H

#include <stdbool.h>
#include <stdint.h>

enum { HEALTH_PULSE_MS = 500 };

struct health_spell {
    uint32_t run;    /* pulses in a row in which most of the new side's attempts were bad */
    uint32_t recent; /* the last 20, newest in the lowest bit: 1 where at least one in five was */
};

/* Attempts of each slot up to and with its first bad one in the pulse, by enum health_side; and
 * slots that were bad in it. */
struct health_pulse {
    uint64_t tried[2], bad[2];
};

/* One more pulse has ended. Returns whether the run of bad ones goes on; one without an attempt
 * changes nothing. */
bool health_spell_add(struct health_spell *s, const struct health_pulse *p);

/* Whether the new side has been bad for longer than a hiccup. */
bool health_spell_lasts(const struct health_spell *s);

#endif
