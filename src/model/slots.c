#include "model/slots.h"

#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

struct pair {
    uint64_t order; /* ascending: the highest score first */
    uint16_t slot;
    uint8_t to;
};

struct wt_hash_key model_slots_key(struct wt_str salt)
{
    /* The salt is no secret: the key only has to differ between services. */
    static const struct wt_hash_key first = {0x7761746172690001u, 0},
                                    second = {0x7761746172690002u, 0};
    return (struct wt_hash_key){wt_hash_str(first, salt), wt_hash_str(second, salt)};
}

void model_slots_fill(struct model_slots *t, uint8_t destination)
{
    memset(t->to, destination, sizeof(t->to));
}

/* ln L(s, e) with L = -ln u, u uniform in (0, 1) and keyed by slot and destination. Differences of
 * it are exactly antisymmetric, which makes the way back the exact inverse of the way there. */
static double log_length(struct wt_hash_key key, unsigned slot, unsigned destination)
{
    uint8_t bytes[4] = {(uint8_t)slot, (uint8_t)(slot >> 8), (uint8_t)destination, 's'};
    uint64_t h = wt_siphash(key, bytes, sizeof(bytes));
    double u = ((double)(h >> 11) + 0.5) * 0x1.0p-53;
    return log(-log(u));
}

static int weights_check(const double *weights, unsigned n, double *out_sum, struct wt_err *err)
{
    double sum = 0;
    if (n < 1 || n > MODEL_SLOTS_DESTINATIONS)
        return wt_fail(err, WT_EINVAL, "%u destinations: expected 1 to %d", n,
                       MODEL_SLOTS_DESTINATIONS);
    for (unsigned i = 0; i < n; i++) {
        if (!isfinite(weights[i]) || weights[i] < 0)
            return wt_fail(err, WT_EINVAL, "weight %u is negative or not a number", i);
        sum += weights[i];
    }
    if (!(sum > 0) || !isfinite(sum))
        return wt_fail(err, WT_EINVAL, "the weights sum to %g: at least one must be above 0", sum);
    *out_sum = sum;
    return 0;
}

static unsigned largest(const double *values, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* Largest remainder; equal remainders go to the lower number. */
static void quotas_of(const double *weights, unsigned n, double sum, int quota[])
{
    double rest[MODEL_SLOTS_DESTINATIONS], given[MODEL_SLOTS_DESTINATIONS];
    int left = MODEL_SLOTS;
    for (unsigned i = 0; i < n; i++) {
        double exact = weights[i] / sum * MODEL_SLOTS;
        quota[i] = (int)exact;
        rest[i] = exact - quota[i];
        left -= quota[i];
    }
    for (; left > 0; left--) {
        unsigned i = largest(rest, n);
        quota[i]++;
        rest[i] = -1;
    }
    for (unsigned i = 0; i < n; i++)
        given[i] = quota[i];
    for (unsigned i = 0; i < n; i++)
        if (weights[i] > 0 && quota[i] == 0) {
            unsigned from = largest(given, n);
            quota[from]--;
            given[from]--;
            quota[i] = 1;
        }
}

static uint64_t order_of(double score)
{
    uint64_t bits;
    memcpy(&bits, &score, sizeof(bits));
    uint64_t rising = bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
    return ~rising;
}

/* Least significant digit first, 11 bits a pass: stable, and several times faster than qsort here.
 */
static struct pair *pairs_sort(struct pair *from, struct pair *spare, size_t n)
{
    enum { BITS = 11, BUCKETS = 1 << BITS };
    static const uint64_t mask = BUCKETS - 1;
    uint32_t start[BUCKETS];
    for (unsigned shift = 0; shift < 64; shift += BITS) {
        memset(start, 0, sizeof(start));
        for (size_t i = 0; i < n; i++)
            start[from[i].order >> shift & mask]++;
        uint32_t sum = 0;
        for (unsigned b = 0; b < BUCKETS; b++) {
            uint32_t count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            spare[start[from[i].order >> shift & mask]++] = from[i];
        struct pair *swap = from;
        from = spare;
        spare = swap;
    }
    return from;
}

/* Every slot of a destination with too many, with every destination that has too few. With `bias`
 * (ln of each weight) the order is that of weighted rendezvous, so that a failover of these slots
 * spreads by weight, too. */
static size_t pairs_fill(struct pair *pairs, const struct model_slots *t, const int *excess,
                         unsigned n, struct wt_hash_key key, const double *bias)
{
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        /* Against the order of slots on the way back, so that equal scores are undone last come
         * first. */
        unsigned slot = excess[0] > 0 ? i : MODEL_SLOTS - 1 - i;
        unsigned from = t->to[slot];
        if (excess[from] <= 0)
            continue;
        double here = log_length(key, slot, from) - bias[from];
        for (unsigned to = 0; to < n; to++)
            if (excess[to] < 0)
                pairs[count++] =
                    (struct pair){order_of(here - (log_length(key, slot, to) - bias[to])),
                                  (uint16_t)slot, (uint8_t)to};
    }
    return count;
}

static int pairs_give(const struct pair *pairs, size_t count, int *excess, struct model_slots *t)
{
    int moved = 0;
    for (size_t i = 0; i < count; i++) {
        /* A slot given away already belongs to a destination without excess, so it moves once. */
        uint8_t *at = &t->to[pairs[i].slot];
        if (excess[*at] <= 0 || excess[pairs[i].to] >= 0)
            continue;
        excess[*at]--;
        excess[pairs[i].to]++;
        *at = pairs[i].to;
        moved++;
    }
    return moved;
}

int model_slots_move(struct model_slots *t, const double *weights, unsigned n,
                     struct wt_hash_key key, struct wt_err *err)
{
    double sum = 0;
    int excess[MODEL_SLOTS_DESTINATIONS] = {0}, quota[MODEL_SLOTS_DESTINATIONS];
    int r = weights_check(weights, n, &sum, err);
    if (r < 0)
        return r;
    for (unsigned slot = 0; slot < MODEL_SLOTS; slot++) {
        if (t->to[slot] >= n)
            return wt_fail(err, WT_EINVAL, "slot %u is at destination %u of %u", slot, t->to[slot],
                           n);
        excess[t->to[slot]]++;
    }
    quotas_of(weights, n, sum, quota);
    size_t givers = 0, takers = 0;
    for (unsigned i = 0; i < n; i++) {
        givers += excess[i] > quota[i] ? (size_t)excess[i] : 0;
        takers += excess[i] < quota[i];
        excess[i] -= quota[i];
    }
    if (takers == 0)
        return 0;
    wt_autofree struct pair *pairs = wt_malloc(givers * takers * 2 * sizeof(*pairs));
    if (!pairs)
        return wt_fail(err, WT_ENOMEM, "no memory to move slots");
    /* Two destinations need no bias, and without it the order is exactly reversed on the way back.
     */
    double bias[MODEL_SLOTS_DESTINATIONS] = {0};
    for (unsigned i = 0; i < n && n > 2; i++)
        bias[i] = log(fmax(weights[i] / sum, 1e-9));
    size_t count = pairs_fill(pairs, t, excess, n, key, bias);
    return pairs_give(pairs_sort(pairs, pairs + count, count), count, excess, t);
}

int model_slots_set_share(struct model_slots *t, double percent, struct wt_hash_key key,
                          struct wt_err *err)
{
    if (!(percent >= 0 && percent <= 100))
        return wt_fail(err, WT_EINVAL, "a share of %g %%: expected 0 to 100", percent);
    return model_slots_move(t, (double[]){100 - percent, percent}, 2, key, err);
}

unsigned model_slots_quota(double percent)
{
    int quota[MODEL_SLOTS_DESTINATIONS];
    if (!(percent >= 0 && percent <= 100))
        return percent > 100 ? MODEL_SLOTS : 0;
    quotas_of((double[]){100 - percent, percent}, 2, 100, quota);
    return (unsigned)quota[1];
}

unsigned model_slots_count(const struct model_slots *t, uint8_t destination)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        n += t->to[i] == destination;
    return n;
}

unsigned model_slots_changed(const struct model_slots *a, const struct model_slots *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        n += a->to[i] != b->to[i];
    return n;
}

static unsigned bits_for(unsigned n)
{
    return n <= 2 ? 1 : n <= 4 ? 2 : 4;
}

int model_slots_encode(const struct model_slots *t, unsigned n, struct wt_buf *out)
{
    if (n < 1 || n > MODEL_SLOTS_DESTINATIONS)
        return WT_EINVAL;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        if (t->to[i] >= n)
            return WT_EINVAL;
    if (model_slots_count(t, t->to[0]) == MODEL_SLOTS)
        return wt_buf_printf(out, "%u=%u", n, t->to[0]);
    unsigned bits = bits_for(n), per_byte = 8 / bits;
    size_t size = MODEL_SLOTS / per_byte;
    wt_autofree uint8_t *packed = wt_calloc(1, size);
    if (!packed)
        return WT_ENOMEM;
    for (unsigned i = 0; i < MODEL_SLOTS; i++)
        packed[i / per_byte] |= (uint8_t)(t->to[i] << (i % per_byte * bits));
    int r = wt_buf_printf(out, "%u:", n);
    return r < 0 ? r : wt_base64_add(out, packed, size);
}

static int unpack(uint8_t *to, const struct wt_buf *packed, unsigned n)
{
    unsigned bits = bits_for(n), per_byte = 8 / bits;
    if (packed->len != MODEL_SLOTS / per_byte)
        return WT_EINVAL;
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        to[i] = (uint8_t)((uint8_t)packed->ptr[i / per_byte] >> (i % per_byte * bits)) &
                (uint8_t)((1u << bits) - 1);
        if (to[i] >= n)
            return WT_EINVAL;
    }
    return 0;
}

static int decode(struct model_slots *t, struct wt_str text, unsigned *out_n)
{
    char sign = 0;
    size_t at = 0;
    uint64_t n, one;
    while (at < text.len && at < 3 && !sign) {
        sign = text.ptr[at] == ':' || text.ptr[at] == '=' ? text.ptr[at] : 0;
        at++;
    }
    struct wt_str rest = wt_str_sub(text, at, text.len);
    if (!sign || !wt_str_u64(wt_str_sub(text, 0, at - 1), &n) || n < 1 ||
        n > MODEL_SLOTS_DESTINATIONS)
        return WT_EINVAL;
    *out_n = (unsigned)n;
    if (sign == '=') {
        if (!wt_str_u64(rest, &one) || one >= n)
            return WT_EINVAL;
        model_slots_fill(t, (uint8_t)one);
        return 0;
    }
    wt_autobuf struct wt_buf packed = wt_buf_make(MODEL_SLOTS);
    int r = wt_base64_decode(&packed, rest);
    return r < 0 ? r : unpack(t->to, &packed, (unsigned)n);
}

int model_slots_decode(struct model_slots *t, struct wt_str text, unsigned *out_n,
                       struct wt_err *err)
{
    unsigned n = 0;
    wt_autobuf struct wt_buf again = wt_buf_make(2 * MODEL_SLOTS);
    wt_autofree struct model_slots *read = wt_malloc(sizeof(*read));
    if (!read)
        return wt_fail(err, WT_ENOMEM, "no memory for a slot table");
    int r = decode(read, text, &n);
    /* One text per table: what we would write differently was not written by us. */
    if (r == 0)
        r = model_slots_encode(read, n, &again);
    if (r == WT_ENOMEM)
        return wt_fail(err, r, "no memory for a slot table");
    if (r < 0 || !wt_str_eq(wt_buf_str(&again), text))
        return wt_fail(err, WT_EINVAL,
                       "not a slot table: expected \"n:\" and base64url of %d slots", MODEL_SLOTS);
    memcpy(t, read, sizeof(*t));
    if (out_n)
        *out_n = n;
    return 0;
}
