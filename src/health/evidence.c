#include "health/evidence.h"

#include <math.h>
#include <stddef.h>

/* At least so many slots of the new side must be bad: one client alone never takes a step back. */
enum { LEAST_BAD_SLOTS = 2 };

/* Above this share the old side is too small to compare with, and what it did before stands in. */
static const double CROWDED_SHARE = 0.9;

/* The past is no control: a slow hour is not the new side's fault, and nobody beside it shows that.
 * There only plain breakage counts, more than one slot in five. */
static const double ALONE_LEAST = 0.2;

/* The same where nothing is known of the past, or too little. */
static const double ALONE_UNKNOWN = 1.0 / 3;

/* What is shown of evidence that would do, had it lasted. */
static const double NOT_YET = 0.9;

/* Passing is judged at 95 %, shared between "not worse by `excluding`" and its looks by Ville's
 * inequality. */
static const double PASS_ALPHA = 0.05;

struct span_rule {
    int64_t length_ms;
    double spend; /* part of alpha for all windows of this length */
};

static const struct span_rule SPANS[HEALTH_SPANS] = {
    [HEALTH_SPAN_STEP] = {0, 0.35},
    [HEALTH_SPAN_MINUTE] = {60000, 0.10},
    [HEALTH_SPAN_SPELL] = {HEALTH_PULSE_MS, 0.55},
};

/* The rest of alpha is for the onsets, which are mute where spells are looked at. What is worth
 * acting on is asked more strictly of them than of the spans, by this factor: a side at its floor
 * has a run of bad luck some day. */
static const double ONSET_SPEND = 0.55, ONSET_STRICTER = 0.1;

struct weighted {
    double value, weight;
};

/* How many times worse the new side may be: a mixture, so that no single alternative has to be
 * guessed (Robbins 1970). Most weight stands on the gross faults, since there seconds count. */
static const struct weighted RATIOS[] = {
    {1.5, 0.03}, {2, 0.03}, {3, 0.04}, {5, 0.05}, {10, 0.08}, {30, 0.10}, {100, 0.15}, {1000, 0.52},
};

/* After an onset only gross faults are looked for: smaller ones need more than a few slots. */
static const struct weighted ONSET_RATIOS[] = {{10, 0.05}, {30, 0.15}, {300, 0.80}};

/* Which part of the way from the accepted share to 1 the bad share has gone. */
static const struct weighted PARTS[] = {
    {0.005, 0.05}, {0.02, 0.10}, {0.05, 0.15}, {0.15, 0.20}, {0.4, 0.20}, {0.9, 0.30},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int64_t health_span_ms(enum health_span span)
{
    return SPANS[span].length_ms;
}

const char *health_cause_text(enum health_cause cause)
{
    static const char *const text[] = {[HEALTH_CAUSE_NONE] = "",
                                       [HEALTH_CAUSE_ERRORS] = "Errors",
                                       [HEALTH_CAUSE_SHARED] = "Shared"};
    return (unsigned)cause < COUNT(text) ? text[cause] : "";
}

static double log_add(double a, double b)
{
    double hi = a > b ? a : b, lo = a > b ? b : a;
    return hi == -INFINITY ? hi : hi + log1p(exp(lo - hi));
}

/* Logarithm of a likelihood ratio: x times yes, y times no, under p against p0. */
static double log_ratio(double x, double y, double p, double p0)
{
    double sum = 0;
    if (x > 0)
        sum += x * log(p / p0);
    if (y > 0)
        sum += y * log1p((p0 - p) / (1 - p0));
    return sum;
}

/* "Of the slots that turn bad, those of the new side are no more than its share allows." */
static double log_e_relative(double odds, const struct weighted *ratios, size_t n, double bad_new,
                             double bad_old)
{
    double sum = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double r = ratios[i].value;
        double ratio = log_ratio(bad_new, bad_old, odds * r / (1 + odds * r), odds / (1 + odds));
        sum = log_add(sum, log(ratios[i].weight) + ratio);
    }
    return sum;
}

/* One side as numbers: counts, or what is expected (health_evidence_least). */
struct amount {
    double seen, bad, tried;
};

static struct amount amount_of(const struct health_tally *t)
{
    return (struct amount){(double)t->seen, (double)t->bad, (double)t->tried};
}

/* "An attempt of a slot that was not bad before is bad with chance q at most." Attempts after a
 * slot's first bad one are no trials: they would count one broken client many times. */
static double log_e_absolute(double q, struct amount t)
{
    double sum = -INFINITY;
    double good = fmax(0, t.tried - t.bad);
    for (size_t i = 0; i < COUNT(PARTS); i++) {
        double worse = q + (1 - q) * PARTS[i].value;
        sum = log_add(sum, log(PARTS[i].weight) + log_ratio(t.bad, good, worse, q));
    }
    return sum;
}

/* Wilson's lower bound at two sigma. */
static double lower_share(double n, double total)
{
    if (total <= 0)
        return 0;
    double p = n / total, z2 = 4;
    double half = sqrt(z2 * (p * (1 - p) / total + z2 / (4 * total * total)));
    return fmax(0, (p + z2 / (2 * total) - half) / (1 + z2 / total));
}

/* The new side's share of the slots. The hash deals them at random, so the table's share is the
 * chance that the next slot to turn bad is one of the new side's, busy or not. Where more were
 * clearly seen (pins, failover), that is the share. */
static double share_of(const struct health_params *p, const struct health_counts *step)
{
    double n = (double)step->side[HEALTH_NEW].seen, o = (double)step->side[HEALTH_OLD].seen;
    return fmin(fmax(fmax(p->share, lower_share(n, n + o)), 1e-6), 1 - 1e-6);
}

/* Kullback and Leibler's divergence of two coins. */
static double divergence(double p, double q)
{
    double sum = 0;
    if (p > 0)
        sum += p * log(p / q);
    if (p < 1)
        sum += (1 - p) * log((1 - p) / (1 - q));
    return sum;
}

/* The bound that the true share passes with chance alpha at most (Chernoff, inverted): towards 1 or
 * 0. */
static double bound(const struct health_requests *r, double alpha, double towards)
{
    if (r->total == 0)
        return towards;
    double p = (double)r->bad / (double)r->total, need = log(1 / alpha) / (double)r->total;
    double inner = p, outer = towards;
    for (int i = 0; i < 50; i++) {
        double mid = (inner + outer) / 2;
        if (mid > 0 && mid < 1 && divergence(p, mid) < need)
            inner = mid;
        else
            outer = mid;
    }
    return outer;
}

/* The bad share that the past justifies; 1 when the past is unknown. */
static double accepted_share(const struct health_params *p, const struct health_evidence *e)
{
    if (e->before.total == 0)
        return 1;
    double was = bound(&e->before, p->alpha / 2, 1) * (1 + p->tolerance);
    return fmin(fmax(p->floor, was), 1 - 1e-9);
}

/* The bad share that a new side may have with nobody beside it. A short past that went well proves
 * little; then it is the share of an unknown past, unless the past was provably worse. */
static double alone_share(const struct health_params *p, const struct health_evidence *e,
                          double accepted)
{
    double proven = bound(&e->before, p->alpha / 2, 0) * (1 + p->tolerance);
    double most = fmin(fmax(ALONE_UNKNOWN, proven), 1 - 1e-9);
    return fmax(ALONE_LEAST, fmin(accepted, most));
}

/* What the evidence of a span must reach: -log of its part of alpha. The parts of all windows sum
 * to the span's spend. */
static double needed(double alpha, enum health_span s, uint64_t index)
{
    double part = SPANS[s].spend, length = (double)SPANS[s].length_ms,
           from = (double)index * length;
    if (length > 0)
        part *= health_onset_allowance(from + length) - health_onset_allowance(from);
    return -log(alpha * part);
}

struct levels {
    double errors, shared; /* evidence ÷ needed; 1 trips */
};

struct question {
    const struct health_params *params;
    double share, accepted, alone;
    bool lasts;  /* long enough for a verdict without an old side */
    double odds; /* that a slot that turns bad is the new side's, if that is all right */
    double need;
};

/* Both must speak: worse than the other side (the claim that must hold at any look), and above the
 * floor (which is asked at alpha in each window, without dividing it among them). */
static struct levels span_levels(const struct question *q, struct amount n, struct amount o)
{
    const struct health_params *p = q->params;
    struct levels levels = {0, 0};
    if (n.bad < LEAST_BAD_SLOTS)
        return levels;
    double relative = log_e_relative(q->odds, RATIOS, COUNT(RATIOS), n.bad, o.bad) / q->need;
    double absolute = log_e_absolute(p->floor, n) / -log(p->alpha);
    double worse = q->accepted < 1 ? log_e_absolute(q->accepted, n) / q->need : 0;
    if (q->share > CROWDED_SHARE) {
        /* Two ways to a verdict, each with half of alpha. */
        double both = q->need / (q->need + log(2));
        double alone = log_e_absolute(q->alone, n) / q->need * both;
        relative = fmax(relative * both, q->lasts ? alone : fmin(alone, NOT_YET));
    }
    levels.errors = fmax(0, fmin(relative, absolute));
    if (p->shared && q->accepted < 1 && o.bad >= LEAST_BAD_SLOTS)
        levels.shared = fmax(0, fmin(worse, log_e_absolute(q->accepted, o) / q->need));
    return levels;
}

/* The same two questions since the onset. Who has no old side beside it has no onset either: there
 * a start that was chosen for being bad proves nothing. */
static double onset_level(const struct question *q, const struct health_onsets *all,
                          const struct health_onset *s)
{
    double bad = s->bad[HEALTH_NEW], alpha = q->params->alpha;
    if (s->mute || s->part <= 0 || bad < LEAST_BAD_SLOTS || q->share > CROWDED_SHARE)
        return 0;
    double need = -log(alpha * ONSET_SPEND * s->part);
    double relative =
        log_e_relative(q->odds, ONSET_RATIOS, COUNT(ONSET_RATIOS), bad, s->bad[HEALTH_OLD]);
    if (relative <= 0)
        return 0;
    struct amount n = {0, bad, bad + (double)(all->good - s->good)};
    double absolute = log_e_absolute(q->params->floor, n);
    return fmax(0, fmin(relative / need, absolute / -log(alpha * ONSET_STRICTER)));
}

static struct question question_of(const struct health_params *p, const struct health_evidence *e)
{
    double share = share_of(p, &e->span[HEALTH_SPAN_STEP]);
    double accepted = accepted_share(p, e);
    /* Pulses are counted by the table's share. Where pins alone make it large, the past decides. */
    return (struct question){
        .params = p,
        .share = share,
        .accepted = accepted,
        .alone = share > CROWDED_SHARE ? alone_share(p, e, accepted) : accepted,
        .lasts = health_evidence_is_alone(p) ? health_spell_lasts(&e->spell) : accepted < 1,
        .odds = share / (1 - share) * (1 + p->tolerance),
    };
}

bool health_evidence_is_alone(const struct health_params *p)
{
    return p->share > CROWDED_SHARE;
}

static struct levels all_levels(const struct health_params *p, const struct health_evidence *e)
{
    struct levels all = {0, 0};
    struct question q = question_of(p, e);
    for (int s = 0; s < (health_evidence_is_alone(p) ? HEALTH_SPANS : HEALTH_SPAN_SPELL); s++) {
        const struct health_counts *c = &e->span[s];
        q.need = needed(p->alpha, (enum health_span)s, c->index);
        struct levels one =
            span_levels(&q, amount_of(&c->side[HEALTH_NEW]), amount_of(&c->side[HEALTH_OLD]));
        all.errors = fmax(all.errors, one.errors);
        all.shared = fmax(all.shared, one.shared);
    }
    for (unsigned i = 0; i < e->onsets.n; i++)
        all.errors = fmax(all.errors, onset_level(&q, &e->onsets, &e->onsets.list[i]));
    return all;
}

enum health_cause health_evidence_judge(const struct health_params *p,
                                        const struct health_evidence *e)
{
    struct levels levels = all_levels(p, e);
    if (levels.errors >= 1)
        return HEALTH_CAUSE_ERRORS;
    return levels.shared >= 1 ? HEALTH_CAUSE_SHARED : HEALTH_CAUSE_NONE;
}

double health_evidence_level(const struct health_params *p, const struct health_evidence *e)
{
    struct levels levels = all_levels(p, e);
    return fmax(levels.errors, levels.shared);
}

/* The share at which the new side would have failed the step. */
static double excluded_share(const struct health_params *p, const struct health_evidence *e)
{
    double old = 0;
    if (e->requests[HEALTH_OLD].total > 0)
        old = bound(&e->requests[HEALTH_OLD], PASS_ALPHA / 20, 0);
    else if (e->before.total > 0)
        old = bound(&e->before, PASS_ALPHA / 20, 0);
    return fmin(old + p->excluding, 1 - 1e-9);
}

/* The reversed test: evidence that the share is below q, a mixture again. */
static bool is_below(double q, double bad, double total)
{
    static const struct weighted parts[] = {{0, 0.4}, {0.1, 0.2}, {0.3, 0.2}, {0.6, 0.2}};
    double sum = -INFINITY;
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (parts[i].value > 0 || bad == 0) {
            double ratio = log_ratio(bad, total - bad, q * parts[i].value, q);
            sum = log_add(sum, log(parts[i].weight) + ratio);
        }
    }
    return sum >= -log(PASS_ALPHA);
}

bool health_evidence_passed(const struct health_params *p, const struct health_evidence *e)
{
    const struct health_requests *r = &e->requests[HEALTH_NEW];
    return r->total > 0 && r->bad <= r->total &&
           is_below(excluded_share(p, e), (double)r->bad, (double)r->total);
}

uint64_t health_evidence_wanting(const struct health_params *p, const struct health_evidence *e)
{
    const struct health_requests *r = &e->requests[HEALTH_NEW];
    double q = excluded_share(p, e), bad = (double)r->bad;
    if (health_evidence_passed(p, e))
        return 0;
    uint64_t lo = r->total, hi = r->total + 1;
    while (hi < UINT64_C(1) << 40 && !is_below(q, bad, (double)hi)) {
        lo = hi;
        hi *= 2;
    }
    while (lo + 1 < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (is_below(q, bad, (double)mid))
            hi = mid;
        else
            lo = mid;
    }
    return hi - r->total;
}

/* How many of `slots` have met at least one of `events` dealt to them at random. */
static double met(double slots, double events)
{
    return slots > 0 ? slots * (1 - exp(-events / slots)) : 0;
}

static bool would_find(const struct question *q, double requests, double slots, double base,
                       double fault)
{
    double share = q->params->share, worse = 1 - (1 - base) * (1 - fault);
    double tries_new = requests * share, tries_old = requests * (1 - share);
    struct amount n = {met(slots * share, tries_new), met(slots * share, tries_new * worse), 0};
    struct amount o = {met(slots * (1 - share), tries_old),
                       met(slots * (1 - share), tries_old * base), 0};
    n.tried = worse > 0 ? n.bad / worse : tries_new;
    return span_levels(q, n, o).errors >= 1;
}

double health_evidence_least(const struct health_params *p, double requests_per_s, double users,
                             double base, double seconds)
{
    double slots = users > 0 ? met(65536, users) : 65536;
    double share = fmin(fmax(p->share, 1e-6), 1 - 1e-6), requests = requests_per_s * seconds;
    struct question q = {.params = p,
                         .share = share,
                         .accepted = 1,
                         .alone = ALONE_UNKNOWN,
                         .lasts = true,
                         .odds = share / (1 - share) * (1 + p->tolerance),
                         .need = needed(p->alpha, HEALTH_SPAN_STEP, 0)};
    double lo = 0, hi = 1;
    if (!would_find(&q, requests, slots, base, 1))
        return 2;
    for (int i = 0; i < 40; i++) {
        double mid = (lo + hi) / 2;
        if (would_find(&q, requests, slots, base, mid))
            hi = mid;
        else
            lo = mid;
    }
    return hi;
}

void health_evidence_add(struct health_evidence *sum, const struct health_evidence *e)
{
    for (int s = 0; s < HEALTH_SPANS; s++) {
        struct health_counts *to = &sum->span[s];
        const struct health_counts *from = &e->span[s];
        if (from->index < to->index)
            continue;
        if (from->index > to->index)
            *to = (struct health_counts){.index = from->index};
        for (int side = 0; side < HEALTH_SIDES; side++) {
            to->side[side].seen += from->side[side].seen;
            to->side[side].bad += from->side[side].bad;
            to->side[side].tried += from->side[side].tried;
        }
    }
    for (int side = 0; side < HEALTH_SIDES; side++) {
        sum->requests[side].total += e->requests[side].total;
        sum->requests[side].bad += e->requests[side].bad;
    }
    sum->before.total += e->before.total;
    sum->before.bad += e->before.bad;
    if (!health_spell_lasts(&sum->spell))
        sum->spell = e->spell;
}
