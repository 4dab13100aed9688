/* The reconciler of Migrations: observe → plan → apply, by name. The queue holds names and times,
 * nothing else. */
#ifndef CONTROL_RECONCILE_H
#define CONTROL_RECONCILE_H

#include "base/arena.h"
#include "control/report.h"
#include "control/store.h"

struct control_reconciler;

struct control_reconcile_stats {
    uint64_t runs, writes, failures;
};

struct control_reconciler *control_reconciler_new(struct control_store *store,
                                                  struct control_reports *reports);
void control_reconciler_free(struct control_reconciler *r);

/* Work for a Migration (key "Migration/ns/name") or for all, at `at_ms` (monotonic) or earlier. */
void control_reconciler_add(struct control_reconciler *r, const char *key, int64_t at_ms);
void control_reconciler_add_all(struct control_reconciler *r, int64_t at_ms);

/* Does what is due; `pending` says that proxies may not have reported yet. Returns when to call
 * again (monotonic). */
int64_t control_reconciler_run(struct control_reconciler *r, bool pending, int64_t now_ms,
                               int64_t wall_ms);

struct control_reconcile_stats control_reconciler_stats(const struct control_reconciler *r);

/* What the plan is given, from store and reports; for `reconcile` and tests. `want` and `seen`
 * point into `doc` and the arena. */
int control_observe(const struct control_store *store, const struct control_reports *reports,
                    const json_t *doc, int64_t now_ms, int64_t wall_ms, struct wt_arena *arena,
                    struct control_migration_want *want, struct control_migration_state *state,
                    struct control_migration_seen *seen, struct wt_err *err);

/* The part of `seen` that is about the routes, as they are in the store now; the rest is kept. */
void control_observe_routes(const struct control_store *store, const char *namespace,
                            const struct model_migration_spec *spec,
                            struct control_migration_seen *seen);

#endif
