/* The status of a Migration as plain values: what the plan reads and writes. Everything that a
 * restart must find again is in here. */
#ifndef CONTROL_MIGRATION_STATE_H
#define CONTROL_MIGRATION_STATE_H

#include "base/err.h"
#include "model/kinds.h"

#include <jansson.h>

enum { CONTROL_MESSAGE_MAX = 400 };

struct control_verdict {
    int64_t epoch, step;
    enum model_verdict_cause cause; /* UNSET: there is none */
    int64_t at_ms;
    char message[CONTROL_MESSAGE_MAX];
    char by[128];
};

/* Whether one of this epoch and cause takes the place of `v`: the higher epoch does, and Errors
 * that follow Shared in one epoch. */
bool control_verdict_outranks(int64_t epoch, enum model_verdict_cause cause,
                              const struct control_verdict *v);

struct control_counts {
    int64_t old, new, lost, bad, rescued;
};

struct control_migration_state {
    enum model_migration_phase phase; /* UNSET with epoch 0: no status */
    int64_t epoch, step;
    double weight; /* percent */
    int64_t table_version;
    int64_t started_ms, step_started_ms, paused_until_ms; /* wall; 0 none */
    int64_t observed_generation;
    bool held, stuck, retired;
    struct control_verdict verdict;
    char message[CONTROL_MESSAGE_MAX];

    bool has_request;
    enum model_migration_verb request_verb;
    double request_weight;
    bool has_request_step;
    int64_t request_step;
    char request_id[65];

    char last_id[65]; /* "" none */
    enum model_migration_verb last_verb;
    bool last_done;
    char last_message[CONTROL_MESSAGE_MAX];

    int64_t moved, moved_back; /* slots */
    struct control_counts requests;
};

/* From the view of a status; NULL gives the state of no status. Zeroes first, padding included. */
void control_migration_state_read(const struct model_migration_status *status,
                                  struct control_migration_state *out);

/* A new status document; NULL without memory. `before` (may be NULL) lends the times of unchanged
 * conditions; its `proxies` are kept unless `proxies` is given. */
json_t *control_migration_state_write(const struct control_migration_state *s, const json_t *before,
                                      json_t *proxies, int64_t now_ms);

#endif
