/* What a Migration does next: a pure function of what is wanted, where it stands, what is seen, and
 * the time.
 *
 * Laws (tests/plan, tests/unit/test_control_plan.c): nothing is done on a reading that is empty,
 * partial or pending; the weight never rises while a verdict of this epoch stands, nor while it is
 * held; a verdict is undone only by a user, with a new epoch; a step taken back for both sides'
 * sake opens an epoch, too, and holds it; one that is completed is so while its routes say so; the
 * higher epoch wins; the same input gives the same bytes.
 */
#ifndef CONTROL_MIGRATION_PLAN_H
#define CONTROL_MIGRATION_PLAN_H

#include "control/migration_state.h"

struct control_migration_want {
    const struct model_migration_spec *spec; /* defaults filled in */
    int64_t generation;
    bool deleting; /* deletionTimestamp is set */
    bool has_finalizer;
    const char *name; /* for messages */
};

/* Healthy endpoints of one side, over the proxies that report: the most that any of them sees. */
struct control_side_seen {
    bool exists; /* the Backend is there */
    bool known;  /* a proxy reports its hosts */
    unsigned healthy, total;
};

struct control_running_seen { /* the highest (epoch, tableVersion) that a proxy reports */
    bool any;
    int64_t epoch, step, table_version;
    double weight;
    bool held;
};

struct control_migration_seen {
    bool pending;     /* control has just started: some proxies may not have reported yet */
    unsigned proxies; /* that report */
    unsigned silent;  /* that have stopped reporting: a state of its own, not zero */
    struct control_running_seen running;
    unsigned running_now;           /* proxies that run exactly status' epoch and tableVersion */
    struct control_verdict verdict; /* the one of the highest epoch; cause UNSET: none */
    bool passed;                    /* evidence of (epoch, step) excludes harm */
    int64_t wanting;                /* requests on the new side until passed, about */
    struct control_side_seen old, new;
    bool routes_exist;                     /* all of them */
    bool routes_name_any;                  /* either side, in any rule, whatever its weight */
    bool routes_name_from, routes_name_to; /* any of their own backendRefs */
    double routes_share; /* percent of `to` in their own backendRefs; -1: they differ or name other
                            backends */
    bool superseded;     /* another Migration decides for the users of the old side, if this one is
                            completed */
    const char *rival;   /* the Migration that moves the same users and goes first; NULL: none */
    struct control_counts requests;
};

enum control_action_kind {
    CONTROL_ACT_EVENT,
    CONTROL_ACT_PUBLISH,
    CONTROL_ACT_ADD_FINALIZER,
    CONTROL_ACT_REMOVE_FINALIZER,
};

enum { CONTROL_ACTIONS_MAX = 12 };

struct control_action {
    enum control_action_kind kind;
    bool warning;       /* of an event */
    const char *reason; /* of an event; a literal */
    char message[CONTROL_MESSAGE_MAX];
};

struct control_migration_plan {
    struct control_migration_state
        next; /* the status to write; equal to the state given: nothing to do */
    unsigned n_actions;
    struct control_action actions[CONTROL_ACTIONS_MAX];
    int64_t requeue_ms; /* from now; 0: only when something changes */
};

/* Writes all of *out, padding included. About 10 KiB: keep it off small stacks. */
void control_migration_plan(const struct control_migration_want *want,
                            const struct control_migration_state *state,
                            const struct control_migration_seen *seen, int64_t now_ms,
                            struct control_migration_plan *out);

/* The plan as a document, for tests and people: {status…, actions: […], requeueMs}. */
json_t *control_migration_plan_json(const struct control_migration_plan *plan, int64_t now_ms);

#endif
