/* The slot table under random migrations: moves are minimal, shares exact, the way back identical,
 * and a user who logs in stays where he is.
 *
 *   sim_slots [ROUNDS [SEED]]
 */
#include "base/mem.h"
#include "model/identity.h"
#include "model/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

static void expect(bool holds, const char *what, uint64_t round)
{
    if (!holds) {
        failures++;
        printf("round %llu: %s\n", (unsigned long long)round, what);
    }
}

static struct wt_hash_key random_key(struct wt_rng *rng)
{
    uint64_t salt = wt_rng_next(rng);
    return model_slots_key(wt_str((const char *)&salt, sizeof(salt)));
}

/* Any number of destinations and any weights: the fewest moves that reach the quotas. */
static void among_many(struct wt_rng *rng, struct model_slots *t, uint64_t round)
{
    struct wt_hash_key key = random_key(rng);
    unsigned n = 2 + wt_rng_below(rng, 5);
    struct model_slots *before = wt_malloc(sizeof(*before));
    double weights[MODEL_SLOTS_DESTINATIONS];
    model_slots_fill(t, 0);
    for (int step = 0; step < 3; step++) {
        double sum = 0;
        for (unsigned i = 0; i < n; i++)
            sum += weights[i] = wt_rng_below(rng, 4) ? wt_rng_unit(rng) : 0;
        weights[0] += sum > 0 ? 0 : 1;
        sum += sum > 0 ? 0 : 1;
        *before = *t;
        int moved = model_slots_move(t, weights, n, key, NULL), least = 0;
        for (unsigned i = 0; i < n; i++) {
            int had = (int)model_slots_count(before, (uint8_t)i),
                has = (int)model_slots_count(t, (uint8_t)i);
            least += had > has ? had - has : 0;
            expect(fabs(has - weights[i] / sum * MODEL_SLOTS) <= 1,
                   "a share is off by more than a slot", round);
        }
        expect(moved == least, "more slots moved than needed", round);
        expect((int)model_slots_changed(before, t) == moved, "moved is not what changed", round);
    }
    wt_free(before);
}

/* Two destinations: whatever the way, the table depends on the share alone. */
static void path_independent(struct wt_rng *rng, struct model_slots *t, uint64_t round)
{
    struct wt_hash_key key = random_key(rng);
    struct model_slots *straight = wt_malloc(sizeof(*straight));
    double percent = wt_rng_unit(rng) * 100;
    model_slots_fill(straight, 0);
    model_slots_fill(t, 0);
    model_slots_set_share(straight, percent, key, NULL);
    for (int i = 0; i < 3; i++)
        model_slots_set_share(t, wt_rng_unit(rng) * 100, key, NULL);
    model_slots_set_share(t, percent, key, NULL);
    expect(model_slots_changed(t, straight) == 0, "the way changed the cohort", round);
    wt_free(straight);
}

/* A session that starts without a cookie, logs in, rotates its session id: one slot all along. */
static void logins(struct wt_rng *rng, uint64_t round)
{
    uint8_t site[32], random[8];
    for (int i = 0; i < 32; i++)
        site[i] = (uint8_t)wt_rng_next(rng);
    struct model_identity_keys keys = model_identity_keys_from(site);
    struct wt_hash_key key = random_key(rng);
    for (int user = 0; user < 200; user++) {
        char session[24], cookie[MODEL_IDENTITY_TEXT + 1];
        struct wt_str known = {NULL, 0};
        int slot = -1;
        for (int request = 0; request < 6; request++) {
            bool mint, has_session = request > 0 || wt_rng_below(rng, 2);
            uint64_t fresh = wt_rng_next(rng);
            memcpy(random, &fresh, sizeof(random));
            snprintf(session, sizeof(session), "%llx", (unsigned long long)wt_rng_next(rng));
            struct wt_str user_key = has_session ? wt_str_z(session) : wt_str(NULL, 0);
            struct model_identity id =
                model_identity_choose(&keys, known, user_key, false, random, &mint);
            int now = model_slot_of(key, model_identity_str(&id));
            expect(mint == (request == 0), "the cookie is minted once", round);
            expect(slot < 0 || slot == now, "a login moved a user", round);
            slot = now;
            model_identity_format(&keys, &id, cookie);
            known = wt_str_z(cookie);
        }
    }
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 0) : 6;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20261121;
    struct model_slots *t = wt_malloc(sizeof(*t));
    if (!t)
        return 1;
    for (uint64_t i = 0; i < rounds; i++) {
        struct wt_rng rng = {wt_mix64(seed + i)};
        among_many(&rng, t, i);
        path_independent(&rng, t, i);
        logins(&rng, i);
    }
    printf("%llu rounds, seed %llu: %d failures\n", (unsigned long long)rounds,
           (unsigned long long)seed, failures);
    wt_free(t);
    return failures != 0;
}
