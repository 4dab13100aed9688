#include "proxy/share.h"

#include "base/mem.h"
#include "health/params.h"
#include "http/cookie.h"
#include "model/kind.h"
#include "model/steps.h"
#include "proxy/claim.h"

#include <stdio.h>

enum { COOKIES_MAX = 8 }; /* of ours by name, looked at in one request */

/* ---- what runs ---- */

struct proxy_live *proxy_live_new(struct wt_str uid, const struct health_params *params,
                                  unsigned n_workers, int64_t now_ms)
{
    struct proxy_live *l = wt_calloc(1, sizeof *l);
    if (!l)
        return NULL;
    atomic_init(&l->refs, 1);
    pthread_mutex_init(&l->lock, NULL);
    snprintf(l->uid, sizeof l->uid, "%.*s", WT_ARG(uid));
    l->guard = health_guard_new(params, n_workers, now_ms);
    if (!l->guard) {
        wt_free(l);
        return NULL;
    }
    return l;
}

static struct proxy_live *live_ref(struct proxy_live *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void proxy_live_unref(struct proxy_live *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    health_guard_free(l->guard);
    pthread_mutex_destroy(&l->lock);
    wt_free(l);
}

static bool outranks(const struct proxy_verdict *a, const struct proxy_verdict *b)
{
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch;
    return a->cause == HEALTH_CAUSE_ERRORS && b->cause == HEALTH_CAUSE_SHARED;
}

bool proxy_live_restore(struct proxy_live *l, const struct proxy_verdict *v, bool moves_users)
{
    pthread_mutex_lock(&l->lock);
    bool in_force = outranks(v, &l->verdict);
    if (in_force)
        l->verdict = *v;
    /* Before anybody can tell of it: what is told is in force. */
    if (in_force && moves_users)
        atomic_store_explicit(v->cause == HEALTH_CAUSE_ERRORS ? &l->rolled_back_epoch
                                                              : &l->taken_back_epoch,
                              v->epoch, memory_order_release);
    pthread_mutex_unlock(&l->lock);
    return in_force;
}

bool proxy_live_verdict(struct proxy_live *l, struct proxy_verdict *out)
{
    pthread_mutex_lock(&l->lock);
    *out = l->verdict;
    pthread_mutex_unlock(&l->lock);
    return out->epoch > 0;
}

/* ---- what a snapshot says ---- */

static struct wt_str pair(struct wt_arena *a, struct wt_str namespace, struct wt_str name)
{
    return wt_str_z(wt_arena_printf(a, "%.*s/%.*s", WT_ARG(namespace), WT_ARG(name)));
}

static void set_key(struct proxy_migration *m, const struct model_user_key *k)
{
    if (!k)
        return;
    m->stable = k->stable;
    if (k->has_cookie) {
        m->key = PROXY_KEY_COOKIE;
        m->key_name = wt_arena_str(&m->arena, k->cookie);
    } else if (k->has_header) {
        m->key = PROXY_KEY_HEADER;
        m->key_name = wt_arena_str(&m->arena, k->header);
    } else if (k->has_claim) {
        m->key = PROXY_KEY_CLAIM;
        m->key_name = wt_arena_str(&m->arena, k->claim);
    } else if (k->client_address) {
        m->key = PROXY_KEY_ADDRESS;
    }
}

static int set_guard(struct proxy_migration *m, const struct model_migration_spec *spec,
                     struct wt_err *err)
{
    int r = health_params_from(spec, m->weight, &m->params, err);
    if (r < 0)
        return r;
    m->slower_than_ms = spec->guard->slower_than_ms;
    m->may_go_back = spec->state == MODEL_STATE_SHARED || spec->allow_data_loss;
    m->rolls_back = m->may_go_back && !m->old_retired && spec->guard->on_trip != MODEL_TRIP_PAUSE;
    return 0;
}

/* The old side is out of service once control says Retired, or the migration is complete. */
static bool is_retired(const struct model_migration_status *s)
{
    for (uint32_t i = 0; i < s->n_conditions; i++)
        if (wt_str_eq(s->conditions[i].type, WT_STR("Retired")) &&
            s->conditions[i].status == MODEL_CONDITION_TRUE)
            return true;
    return s->phase == MODEL_PHASE_COMPLETED && s->weight >= 100;
}

static void set_absorbed(struct proxy_migration *m, const struct model_migration_verdict *v)
{
    m->absorbed.epoch = v->epoch;
    m->absorbed.step = v->step;
    m->absorbed.at_ms = v->at_ms;
    m->absorbed.cause = wt_str_z(model_enum_text(&model_enum_verdict_cause, (int)v->cause));
    m->absorbed.message = wt_arena_str(&m->arena, v->message);
    /* The epoch is what control's Shared left of the one before, where it knew of no Errors. */
    if (v->cause == MODEL_CAUSE_SHARED && v->epoch + 1 == m->epoch)
        m->errors_from = v->epoch;
}

static int set_status(struct proxy_migration *m, const struct model_migration_status *s,
                      struct wt_err *err)
{
    if (!s)
        return 0;
    unsigned n;
    m->epoch = m->errors_from = s->epoch;
    m->step = s->step;
    m->weight = s->weight;
    m->table_version = s->table_version;
    m->held = s->held;
    if (s->verdict && s->verdict->cause)
        set_absorbed(m, s->verdict);
    /* A completed one goes on for a route that still names the old side: its users have moved. */
    m->engaged =
        s->phase != MODEL_PHASE_UNSET && (s->phase != MODEL_PHASE_COMPLETED || s->weight > 0);
    m->completed = s->phase == MODEL_PHASE_COMPLETED;
    m->started_ms = s->started_at_ms;
    m->old_retired = is_retired(s);
    if (s->table && s->table->bits.len)
        return model_slots_decode(m->slots, s->table->bits, &n, err);
    return model_slots_set_share(m->slots, m->weight, m->slot_key, err) < 0 ? WT_EINVAL : 0;
}

static int fill(struct proxy_migration *m, const struct model_migration *v, struct wt_err *err)
{
    const struct model_migration_spec *spec = v->spec;
    struct wt_arena *a = &m->arena;
    m->namespace = wt_arena_str(a, v->metadata->namespace);
    m->name = wt_arena_str(a, v->metadata->name);
    m->id = pair(a, m->namespace, m->name);
    /* Files that no store has seen give no uid: the name has to do, or all of them would share one
     * guard. */
    m->uid = v->metadata->uid.len ? wt_arena_str(a, v->metadata->uid) : m->id;
    m->from = pair(a, m->namespace, spec->from->name);
    m->to = pair(a, m->namespace, spec->to->name);
    m->n_routes = spec->n_route_refs;
    struct wt_str *routes = wt_arena_alloc(a, sizeof *routes * m->n_routes);
    m->slots = wt_arena_alloc(a, sizeof *m->slots);
    if (!routes || !m->slots || !m->to.ptr)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    for (unsigned i = 0; i < m->n_routes; i++)
        routes[i] = pair(a, m->namespace, spec->route_refs[i].name);
    m->routes = routes;
    m->slot_key = model_slots_key(spec->has_salt ? spec->salt : m->from);
    model_slots_fill(m->slots, PROXY_SIDE_OLD);
    set_key(m, spec->user_key);
    int r = set_status(m, v->status, err);
    m->weight_before = model_steps_weight_before(spec, m->step, m->weight);
    return r < 0 ? r : set_guard(m, spec, err);
}

int proxy_migration_new(const struct model_migration *view, uint64_t version,
                        struct proxy_migration **out, struct wt_err *err)
{
    struct proxy_migration *m = wt_calloc(1, sizeof *m);
    if (!m)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    atomic_init(&m->refs, 1);
    m->arena = wt_arena_make(1 << 20);
    m->version = version;
    int r = fill(m, view, err);
    if (r < 0) {
        proxy_migration_unref(m);
        return r;
    }
    *out = m;
    return 0;
}

struct proxy_migration *proxy_migration_ref(struct proxy_migration *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void proxy_migration_unref(struct proxy_migration *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    proxy_live_unref(m->live);
    proxy_stats_entry_unref(m->stats);
    wt_free(atomic_load(&m->slots_before));
    wt_arena_done(&m->arena);
    wt_free(m);
}

static int rank(const struct proxy_migration *m)
{
    return m->completed ? 2 : m->weight > 0 ? 0 : 1;
}

int proxy_migration_compare(const void *a, const void *b)
{
    const struct proxy_migration *x = *(struct proxy_migration *const *)a,
                                 *y = *(struct proxy_migration *const *)b;
    if (rank(x) != rank(y))
        return rank(x) - rank(y);
    if (x->completed && x->started_ms != y->started_ms)
        return x->started_ms > y->started_ms ? -1 : 1;
    return wt_str_cmp(x->id, y->id);
}

bool proxy_migration_covers(const struct proxy_migration *m, struct wt_str route,
                            struct wt_str backend)
{
    if (!m->engaged || (!wt_str_eq(backend, m->from) && !wt_str_eq(backend, m->to)))
        return false;
    for (unsigned i = 0; i < m->n_routes; i++)
        if (wt_str_eq(m->routes[i], route))
            return true;
    return false;
}

struct health_params proxy_migration_params(const struct proxy_migration *m)
{
    struct health_params params = m->params;
    if (proxy_migration_taken_back(m))
        params.share = m->weight_before / 100;
    return params;
}

static void begin(const struct proxy_migration *m, int64_t now_ms)
{
    struct health_params params = proxy_migration_params(m);
    health_guard_begin(m->live->guard, &params, now_ms);
}

/* What is left of the share is judged from nothing, unless another step has begun meanwhile. */
static void begin_taken_back(const struct proxy_migration *m, int64_t now_ms)
{
    struct proxy_live *live = m->live;
    pthread_mutex_lock(&live->lock);
    if (live->epoch == m->epoch && live->step == m->step)
        begin(m, now_ms);
    pthread_mutex_unlock(&live->lock);
}

void proxy_migration_attach(struct proxy_migration *m, struct proxy_live *live, int64_t now_ms)
{
    int64_t ppm = (int64_t)(m->weight * 10000);
    m->live = live_ref(live);
    if (live->epoch == m->epoch && live->step == m->step && live->weight_ppm == ppm)
        return;
    pthread_mutex_lock(&live->lock);
    live->epoch = m->epoch;
    live->step = m->step;
    live->weight_ppm = ppm;
    begin(m, now_ms);
    pthread_mutex_unlock(&live->lock);
}

/* ---- deciding ---- */

static struct wt_str user_key(const struct proxy_migration *m, const struct http_head *request,
                              struct wt_str client_address)
{
    struct wt_str v = {NULL, 0};
    switch (m->key) {
    case PROXY_KEY_COOKIE:
        http_cookie_get(request, m->key_name, &v);
        break;
    case PROXY_KEY_HEADER:
        http_head_get_name(request, m->key_name, &v);
        break;
    case PROXY_KEY_CLAIM:
        proxy_claim_get(request, m->key_name, &v);
        break;
    case PROXY_KEY_ADDRESS:
        v = client_address;
        break;
    case PROXY_KEY_NONE:
        break;
    }
    return v;
}

static bool stands(const _Atomic int64_t *verdict, int64_t epoch)
{
    return epoch > 0 && atomic_load_explicit(verdict, memory_order_acquire) >= epoch;
}

bool proxy_migration_taken_back(const struct proxy_migration *m)
{
    return m->live && stands(&m->live->taken_back_epoch, m->epoch);
}

bool proxy_migration_rolled_back(const struct proxy_migration *m)
{
    return m->live && (stands(&m->live->rolled_back_epoch, m->errors_from) ||
                       (m->weight_before <= 0 && proxy_migration_taken_back(m)));
}

static struct model_slots *make_before(const struct proxy_migration *m)
{
    struct model_slots *t = wt_malloc(sizeof *t);
    if (!t)
        return NULL;
    model_slots_fill(t, PROXY_SIDE_OLD);
    if (model_slots_set_share(t, m->weight_before, m->slot_key, NULL) >= 0)
        return t;
    wt_free(t);
    return NULL;
}

/* The table before the step; NULL without memory. */
static const struct model_slots *before(struct proxy_migration *m)
{
    struct model_slots *t = atomic_load_explicit(&m->slots_before, memory_order_acquire);
    if (t)
        return t;
    pthread_mutex_lock(&m->live->lock);
    t = atomic_load_explicit(&m->slots_before, memory_order_relaxed);
    if (!t)
        atomic_store_explicit(&m->slots_before, t = make_before(m), memory_order_release);
    pthread_mutex_unlock(&m->live->lock);
    return t;
}

static enum proxy_side dealt_side(struct proxy_migration *m, uint16_t slot)
{
    if (proxy_migration_rolled_back(m))
        return PROXY_SIDE_OLD;
    const struct model_slots *t = proxy_migration_taken_back(m) ? before(m) : m->slots;
    return t && t->to[slot] ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
}

static enum proxy_side side_of(struct proxy_migration *m, uint16_t slot,
                               const bool alive[PROXY_SIDES])
{
    enum proxy_side side = dealt_side(m, slot);
    enum proxy_side other = side == PROXY_SIDE_OLD ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
    if (!alive[side] && alive[other] && m->may_go_back &&
        !(m->old_retired && other == PROXY_SIDE_OLD))
        side = other;
    return side;
}

void proxy_share_decide(struct proxy_migration *m, const struct model_identity_keys *keys,
                        const struct http_head *request, struct wt_str client_address,
                        const uint8_t random[MODEL_IDENTITY_BYTES], const bool alive[PROXY_SIDES],
                        struct proxy_share *out)
{
    static const struct wt_str name = WT_STR_INIT(MODEL_IDENTITY_COOKIE);
    struct wt_str cookie = {NULL, 0};
    http_cookie_get(request, name, &cookie);
    struct wt_str key = user_key(m, request, client_address);
    out->identity = model_identity_choose(keys, cookie, key, m->stable, random, &out->mint);
    out->anonymous = cookie.len == 0 && key.len == 0;
    /* A host of the same domain can put a cookie of that name before ours, which ours cannot
     * replace (RFC 6265 §8.6): such users would be dealt anew at each request. */
    for (unsigned i = 1; out->mint && i < COOKIES_MAX; i++) {
        if (!http_cookie_nth(request, name, i, &cookie))
            break;
        out->identity = model_identity_choose(keys, cookie, key, m->stable, random, &out->mint);
    }
    out->slot = model_slot_of(m->slot_key, model_identity_str(&out->identity));
    out->side = side_of(m, out->slot, alive);
}

bool proxy_share_observe(const struct proxy_migration *m, unsigned worker,
                         const struct proxy_share *share, bool bad, int64_t now_ms, int64_t wall_ms)
{
    struct proxy_live *live = m->live;
    enum health_side side = share->side == PROXY_SIDE_NEW ? HEALTH_NEW : HEALTH_OLD;
    /* A request that was picked under an older step must not count in this one. */
    if (!live || m->old_retired || live->epoch != m->epoch || live->step != m->step)
        return false;
    if (!health_guard_observe(live->guard, worker, side, share->slot, bad, now_ms))
        return false;
    bool first = false;
    enum health_cause cause = health_guard_judge(live->guard, now_ms, &first);
    if (cause == HEALTH_CAUSE_NONE || !first)
        return false;
    struct health_evidence e;
    health_guard_read(live->guard, now_ms, &e);
    struct proxy_verdict v = {m->epoch, m->step, cause, wall_ms, ""};
    snprintf(v.message, sizeof v.message,
             "step %lld: %llu of %llu requests bad on the new side, %llu of %llu on the old",
             (long long)m->step + 1, (unsigned long long)e.requests[HEALTH_NEW].bad,
             (unsigned long long)e.requests[HEALTH_NEW].total,
             (unsigned long long)e.requests[HEALTH_OLD].bad,
             (unsigned long long)e.requests[HEALTH_OLD].total);
    if (!proxy_live_restore(live, &v, m->rolls_back))
        return false;
    if (cause == HEALTH_CAUSE_SHARED && proxy_migration_taken_back(m))
        begin_taken_back(m, now_ms);
    return true;
}
