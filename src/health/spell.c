#include "health/spell.h"

#include "health/evidence.h"

/* Most attempts bad: four pulses in a row, so what lasts less than 1.75 s never is a spell, and
 * what lasts 2.25 s always is. */
enum { RUN_LEAST = 4 };

/* Fewer bad ones than that: 8 of the last 10 seconds, so that half of all answers may be bad for
 * some seconds. */
enum { RECENT = 20, RECENT_LEAST = 16 };

static bool is_share(uint64_t bad, uint64_t tried, uint64_t of, uint64_t whole)
{
    return bad > 0 && bad * whole >= tried * of;
}

bool health_spell_add(struct health_spell *s, const struct health_pulse *p)
{
    uint64_t bad = p->bad[HEALTH_NEW], tried = p->tried[HEALTH_NEW];
    if (tried == 0)
        return true;
    /* Between 90 and 100 % somebody is left on the old side. Where most of them fail, too, it is
     * not the new side's fault; one may be a broken client. */
    bool both = p->bad[HEALTH_OLD] >= 2 && is_share(p->bad[HEALTH_OLD], p->tried[HEALTH_OLD], 2, 3);
    s->run = !both && is_share(bad, tried, 2, 3) ? s->run + 1 : 0;
    s->recent = (s->recent << 1 | (!both && is_share(bad, tried, 1, 5))) & ((1U << RECENT) - 1);
    return s->run > 0;
}

bool health_spell_lasts(const struct health_spell *s)
{
    return s->run >= RUN_LEAST || __builtin_popcount(s->recent) >= RECENT_LEAST;
}
