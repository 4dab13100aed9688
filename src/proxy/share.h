/* Shares: which side of a migration a request goes to, and what the guard says.
 *
 * A proxy_migration is what one snapshot says: weight, slot table, key. A proxy_live is what this
 * process has seen and decided, kept by the migration's uid over all snapshots: the guard's counts
 * and the verdict. A verdict of epoch e overrules every snapshot of an epoch <= e, whatever it
 * says, so an old control can never undo it: after Errors all users are on the old side, after
 * Shared those who came with the step are. Of one epoch's verdicts Errors outranks Shared.
 */
#ifndef PROXY_SHARE_H
#define PROXY_SHARE_H

#include "base/arena.h"
#include "health/guard.h"
#include "http/head.h"
#include "model/identity.h"
#include "model/kinds.h"
#include "model/slots.h"
#include "proxy/stats.h"

#include <pthread.h>
#include <stdatomic.h>

struct proxy_verdict {
    int64_t epoch, step;
    enum health_cause cause;
    int64_t at_wall_ms;
    char message[160];
};

struct proxy_live {
    atomic_uint refs;
    char uid[72];
    struct health_guard *guard;
    _Atomic int64_t epoch, step; /* that the guard counts; written by the publisher's thread only */
    int64_t weight_ppm;          /* likewise */
    struct {                     /* what all workers run by now; likewise */
        int64_t epoch, step, table_version;
    } runs;
    /* Read by workers at every pick; 0: none, epochs start at 1. */
    _Atomic int64_t rolled_back_epoch, taken_back_epoch;
    pthread_mutex_t lock;
    struct proxy_verdict verdict; /* under lock; epoch 0: none */
};

/* NULL without memory. */
struct proxy_live *proxy_live_new(struct wt_str uid, const struct health_params *params,
                                  unsigned n_workers, int64_t now_ms);
void proxy_live_unref(struct proxy_live *l);

enum proxy_key {
    PROXY_KEY_NONE,
    PROXY_KEY_COOKIE,
    PROXY_KEY_HEADER,
    PROXY_KEY_CLAIM,
    PROXY_KEY_ADDRESS
};

struct proxy_migration {
    atomic_uint refs;
    struct wt_str uid, namespace, name, id; /* id: "namespace/name" */
    struct wt_str from, to;                 /* "namespace/name" of the backends */
    const struct wt_str *routes;            /* "namespace/name" of the HTTPRoutes */
    unsigned n_routes;
    uint64_t version; /* of the document */
    int64_t epoch, step, table_version;
    int64_t errors_from; /* the first epoch whose Errors are not undone by this one */
    double weight;       /* per cent */
    bool held;           /* by a user or the guard */
    struct {             /* the verdict that control has absorbed; epoch 0: none */
        int64_t epoch, step, at_ms;
        struct wt_str cause, message;
    } absorbed;
    bool engaged;   /* a migration that has not begun, or is over, leaves requests alone */
    bool completed; /* still engaged for a route that was not told */
    int64_t started_ms;
    enum proxy_key key;
    struct wt_str key_name;
    bool stable;
    bool may_go_back; /* Shared, or data loss was allowed: users may be sent to either side */
    bool rolls_back;  /* guard.onTrip: Rollback */
    bool old_retired;
    int64_t slower_than_ms; /* 0: time is not judged */
    struct health_params params;
    struct wt_hash_key slot_key;
    struct model_slots *slots;
    double weight_before; /* while the step is taken back */
    /* Likewise; made when first needed, under live->lock, for it takes some 10 ms. */
    struct model_slots *_Atomic slots_before;
    struct proxy_live *live; /* set by the publisher */
    struct proxy_stats_entry *stats;
    struct wt_arena arena;
};

/* From a checked Migration document as snapshots carry it (status.table). Strings are copied. */
int proxy_migration_new(const struct model_migration *view, uint64_t version,
                        struct proxy_migration **out, struct wt_err *err) WT_NODISCARD;
struct proxy_migration *proxy_migration_ref(struct proxy_migration *m);
void proxy_migration_unref(struct proxy_migration *m);

/* The order in which migrations are asked whether they cover a request, for qsort(3) over pointers.
 * One that is over gives way: its new side may be another's old side. Of those that are over the
 * last has the say. */
int proxy_migration_compare(const void *a, const void *b);

/* Whether requests of this route to this backend are shared by it. */
bool proxy_migration_covers(const struct proxy_migration *m, struct wt_str route,
                            struct wt_str backend);

/* Joins the migration with what runs under its uid: starts a new step of the guard when epoch, step
 * or weight changed. Publisher's thread. */
void proxy_migration_attach(struct proxy_migration *m, struct proxy_live *live, int64_t now_ms);

/* Whether a verdict has taken all users back: the new side gets no request. */
bool proxy_migration_rolled_back(const struct proxy_migration *m);
/* What the guard judges by now: of a step taken back, the share that is left. */
struct health_params proxy_migration_params(const struct proxy_migration *m);
/* Whether a verdict has taken the step back: weight_before is in force. */
bool proxy_migration_taken_back(const struct proxy_migration *m);

struct proxy_share {
    enum proxy_side side;
    uint16_t slot;
    bool anonymous; /* the request carried nothing that tells users apart */
    bool mint;      /* the answer should set the identity cookie */
    struct model_identity identity;
};

/* Decides; pure but for the verdict's atomic and the table before the step. `alive[side]` says
 * whether the side has a healthy host: a dead side's slots alone go elsewhere, if users may.
 * `random` is 8 secret bytes. */
void proxy_share_decide(struct proxy_migration *m, const struct model_identity_keys *keys,
                        const struct http_head *request, struct wt_str client_address,
                        const uint8_t random[MODEL_IDENTITY_BYTES], const bool alive[PROXY_SIDES],
                        struct proxy_share *out);

/* Reports the end of a first attempt to the guard. True when this call brought the verdict about:
 * the caller announces it. */
bool proxy_share_observe(const struct proxy_migration *m, unsigned worker,
                         const struct proxy_share *share, bool bad, int64_t now_ms,
                         int64_t wall_ms);

/* The newest verdict; false when there is none. Any thread. */
bool proxy_live_verdict(struct proxy_live *l, struct proxy_verdict *out);

/* Puts a verdict in force, reached here or read from disk, unless another outranks it: the higher
 * epoch wins, then Errors. True when it is new. `moves_users`: false when the guard only pauses. */
bool proxy_live_restore(struct proxy_live *l, const struct proxy_verdict *v, bool moves_users);

#endif
