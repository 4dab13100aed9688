/* A backend as one snapshot has it: its hosts, its policy, how one of them is picked. Immutable
 * once built and shared between snapshots in which nothing of it changed; what runs (health,
 * counts, turns) lives in the hosts and in the per-worker part. */
#ifndef PROXY_BACKEND_H
#define PROXY_BACKEND_H

#include "base/arena.h"
#include "base/hash.h"
#include "proxy/host.h"
#include "proxy/policy.h"
#include "proxy/rotation.h"
#include "proxy/stats.h"

/* One worker's running values for one backend name; survives snapshots. */
struct proxy_backend_lane {
    uint32_t turn;   /* round robin: the host, or the place in the rotation, that is next */
    uint32_t spare;  /* the same where most places' hosts are down, in 2^-32 of the weight */
    uint32_t active; /* requests under way */
    uint32_t active_retries; /* of them second and later tries */
} __attribute__((aligned(64)));

struct proxy_backend_lanes; /* refcounted block of lanes */

struct proxy_backend {
    atomic_uint refs;
    struct wt_str name; /* "namespace/name", Envoy's cluster name; in the arena */
    struct proxy_policy policy;
    struct proxy_host **hosts; /* references held */
    uint32_t n_hosts;
    struct proxy_rotation rotation; /* of the hosts' weights */
    uint64_t versions[3]; /* of the Backend, its policy and what was discovered: the same means
                             unchanged */
    bool retired;         /* the old side after `retire`: not probed */
    struct proxy_stats_entry *stats;
    struct proxy_backend_lanes *lanes;
    struct wt_arena arena;
    void *docs[2]; /* json_t references that strings of the policy point into */
};

/* Empty, with one reference; hosts, policy and the rest are set by the builder (config.c). The
 * lanes come from `before` (the same name in an older snapshot) or are made. NULL without memory.
 */
struct proxy_backend *proxy_backend_new(struct wt_str name, unsigned n_workers,
                                        const struct proxy_backend *before);
struct proxy_backend *proxy_backend_ref(struct proxy_backend *b);
void proxy_backend_unref(struct proxy_backend *b);

/* Once it has its hosts, for their weights. 0 or WT_ENOMEM. */
int proxy_backend_weigh(struct proxy_backend *b) WT_NODISCARD;

struct proxy_backend_lane *proxy_backend_lane(const struct proxy_backend *b, unsigned worker);

unsigned proxy_backend_healthy(const struct proxy_backend *b); /* hosts that probes call healthy */

/* Whether the backend may be given users: a host is healthy, or has answered a request within the
 * last seconds. Users leave a side only when both say it is dead: probes alone also fail when the
 * machine is starved, and moving everybody onto a side that was sized for 1 % would then do the
 * harm. */
bool proxy_backend_alive(const struct proxy_backend *b, int64_t now_ms);

/* Hosts already tried by this request. */
enum { PROXY_TRIED_MAX = 8 };
struct proxy_tried {
    const struct proxy_host *hosts[PROXY_TRIED_MAX];
    unsigned n;
};

/* A host for one try, not one of `tried` unless there is no other; healthy ones first. With no
 * healthy host at all any is taken: a try that may fail beats a failure that is certain (Envoy
 * calls it panic). NULL without hosts.
 *
 * LeastRequest: the less busy of two picked at random (Mitzenmacher 2001), by this worker's own
 * exchanges. With unequal weights Envoy goes over to a schedule by weight / (active + 1); here
 * there are still two, both picked by weight, and requests under way per weight are compared
 * (Berenbrink et al., "Balls into Non-uniform Bins", 2010). Idle hosts get their weights' shares
 * either way; but Envoy knows a host's load as of the time at which it was scheduled last, and
 * needs a heap a worker, this as of now, and nothing. */
struct proxy_host *proxy_backend_pick(const struct proxy_backend *b, unsigned worker,
                                      const struct proxy_tried *tried, struct wt_rng *rng);

/* Takes one retry out of the budget: at most budgetPercent of the requests under way, but budgetMin
 * in any case. The caller gives it back. */
bool proxy_backend_take_retry(const struct proxy_backend *b, unsigned worker);
void proxy_backend_give_retry(const struct proxy_backend *b, unsigned worker);

#endif
