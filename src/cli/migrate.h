/* What `watari migrate` and `watari describe` show and ask of a Migration. */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include "cli/object.h"

enum { CLI_STEP_TEXT = 80, CLI_WINDOW_SAMPLES = 32 };

/* "setWeight 25 %", "pause until promoted", … */
const char *cli_step_text(const json_t *step, char out[CLI_STEP_TEXT]);

/* The share of requests that the new side answered lately, from the counters of successive
 * statuses. */
struct cli_window {
    struct cli_sample {
        int64_t at_ms, old, new;
    } samples[CLI_WINDOW_SAMPLES];
    unsigned n;
    double weight; /* in force when the window began: another weight starts it anew */
    int64_t epoch;
};

void cli_window_add(struct cli_window *w, const json_t *doc, int64_t now_ms);
/* False until two samples with requests between them are there. */
bool cli_window_share(const struct cli_window *w, double *out_percent, int64_t *out_requests,
                      int64_t *out_span_ms);

struct cli_tree_style {
    bool colors, utf8;
    unsigned steps_max;              /* more are cut around the one that runs; 0: all */
    const struct cli_window *window; /* or NULL */
};

/* Whether the environment's locale is UTF-8. */
bool cli_is_utf8(void);

/* The state of a Migration, for people. */
int cli_migration_tree(const json_t *doc, const struct cli_tree_style *style, int64_t wall_ms,
                       struct wt_buf *out);

/* Whether all workers of a proxy (an entry of status.proxies) run what the status says. */
bool cli_migration_runs(const json_t *doc, const json_t *proxy);

/* "Paused, step 4/8, 25 %" */
const char *cli_migration_summary(const json_t *doc, char out[96]);

/* Puts `to` in the place of `from` in a route's backendRefs: the number of references that changed.
 */
unsigned cli_finish_route(json_t *route, const char *from, const char *to);

/* The subcommands with a life of their own; the client is open. Exit codes. */
int cli_migrate_status(const struct cli_client *c, const char *name, bool watch);
int cli_migrate_status_all(const struct cli_client *c);
int cli_migrate_finish(const struct cli_client *c, const char *name, bool apply, int64_t wait_ms);

/* Asks for a verb and waits for the answer, and until every proxy that reports runs what came of
 * it, at most wait_ms (0: does not wait). Prints it; an exit code. */
struct cli_ask {
    const char *name, *word; /* the verb on the command line */
    const char *verb;        /* as in status.request.verb */
    double weight;           /* for setWeight */
    bool has_weight;
    int64_t wait_ms;
};

int cli_migrate_ask(const struct cli_client *c, const struct cli_ask *ask);

#endif
