/* What proxies report, in memory: the newest report of each, and what they say together.
 *
 * A proxy that has been silent for CONTROL_SILENT_MS is silent, which is a state of its own and
 * never reads as zero; after CONTROL_FORGET_MS it is taken for dead. */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

#include "control/migration_plan.h"
#include "health/evidence.h"

enum { CONTROL_SILENT_MS = 5000, CONTROL_FORGET_MS = 30000, CONTROL_PROXIES_MAX = 256 };

struct control_reports;

struct control_reports *control_reports_new(void); /* NULL without memory */
void control_reports_free(struct control_reports *r);

/* Takes a reference of a sync request (docs/ARCHITECTURE.md, "Sync"). `now_ms` is monotonic,
 * `wall_ms` for people. WT_EINVAL with a sentence when its shape is wrong: then nothing is taken.
 */
int control_reports_absorb(struct control_reports *r, json_t *report, int64_t now_ms,
                           int64_t wall_ms, struct wt_err *err);

/* Reports that are not silent; how many are. */
unsigned control_reports_fresh(const struct control_reports *r, int64_t now_ms);
unsigned control_reports_silent(const struct control_reports *r, int64_t now_ms);

/* Calls `each` for every report that is not silent. */
void control_reports_each(const struct control_reports *r, int64_t now_ms,
                          void (*each)(void *ctx, const char *proxy, const json_t *report),
                          void *ctx);

/* Rises whenever a report says something else of hosts, listeners or snapshots than the one before
 * of the same proxy. */
uint64_t control_reports_news(const struct control_reports *r);

/* Rises whenever a report says something else of what its proxy does not take. */
uint64_t control_reports_refusals(const struct control_reports *r);

/* When the next proxy becomes silent if it reports no more (monotonic); INT64_MAX: none can. */
int64_t control_reports_silence_ms(const struct control_reports *r, int64_t now_ms);

/* Which Migration. `store` is the id of our store: a proxy whose snapshot came from another one
 * (ours was lost) knows the object by another uid, and is matched by name. NULL: by uid alone. */
struct control_report_key {
    const char *uid, *namespace, *name, *store;
};

/* Fills what reports say about a migration: proxies, silent, running, running_now, verdict, passed,
 * wanting. Evidence counts only where it is about (epoch, step, table_version) of `state`. With
 * several proxies their bitmaps are united and judged here as well, by the functions that proxies
 * use. */
void control_reports_migration(const struct control_reports *r,
                               const struct control_report_key *key,
                               const struct control_migration_state *state,
                               const struct health_params *params, int64_t now_ms, int64_t wall_ms,
                               struct control_migration_seen *seen);

/* The hosts of a Backend. */
void control_reports_side(const struct control_reports *r, const char *namespace, const char *name,
                          int64_t now_ms, struct control_side_seen *side);

/* Adds to *total what proxies have counted since `base` ({PROXY: {boot, n}}, may be NULL), and
 * returns the base for the next time: a new object, NULL without memory. Total and base must be
 * kept together. */
json_t *control_reports_count(const struct control_reports *r, const char *uid, const json_t *base,
                              struct control_counts *total);

/* status.proxies, of the Migration of key->uid, namespace and name; seenAt moves only when
 * something else did, or half a minute has passed. */
json_t *control_reports_proxies(const struct control_reports *r,
                                const struct control_report_key *key, const json_t *before,
                                int64_t now_ms);

#endif
