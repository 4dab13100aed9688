/* What the files of the migration plan share: the plan under construction. Private to the room. */
#ifndef CONTROL_MIGRATION_WORK_H
#define CONTROL_MIGRATION_WORK_H

#include "control/migration_plan.h"

struct control_work {
    const struct control_migration_want *want;
    const struct control_migration_seen *seen;
    int64_t now_ms;
    struct control_migration_state *next; /* of the plan */
    struct control_migration_plan *plan;
    bool evidence_void; /* weight or attempt changed: `seen->passed` is about what was before */
};

void control_work_event(struct control_work *w, bool warning, const char *reason, const char *fmt,
                        ...) WT_PRINTF(4, 5);
void control_work_say(struct control_work *w, enum model_migration_phase phase, const char *fmt,
                      ...) WT_PRINTF(3, 4);

/* Whether the verdict that stands is of this epoch. */
bool control_work_judged(const struct control_work *w);

/* A new attempt at `step`: the old verdict stands no more, evidence starts from nothing. */
void control_work_attempt(struct control_work *w, int64_t step);
void control_work_enter(struct control_work *w, int64_t step);
void control_work_set_weight(struct control_work *w, double weight);

/* Why users may not go back now, or NULL. */
const char *control_work_no_way_back(const struct control_work *w);
/* Why users may not be moved to the new side now, or NULL. */
const char *control_work_not_ready(const struct control_work *w);
/* Whether the routes say themselves what the migration has done; if not, what is missing. */
const char *control_work_routes_wanting(const struct control_work *w);

/* The last setWeight step whose weight is at most / below the given; -1: none. */
int64_t control_work_step_at(const struct control_work *w, double weight, bool below);

/* Carries out status.request and clears it. */
void control_work_request(struct control_work *w);

#endif
