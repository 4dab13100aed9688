/* Documents of the API and command lines that name them. */
#ifndef CLI_OBJECT_H
#define CLI_OBJECT_H

#include "cli/client.h"

enum { CLI_KINDS_MAX = 16 };

/* What "KIND", "KIND/NAME" or "KIND NAME NAME…" means. */
struct cli_ref {
    const struct model_kind *kind;
    struct cli_texts names; /* n = 0: all */
};

/* "KIND,KIND NAME…", "KIND/NAME KIND/NAME…" or "all": one entry a kind. */
struct cli_refs {
    struct cli_ref items[CLI_KINDS_MAX];
    unsigned n;
};

int cli_ref_parse(const struct cli_texts *operands, struct cli_ref *out, struct wt_err *err);
int cli_refs_parse(const struct cli_texts *operands, struct cli_refs *out, struct wt_err *err);

/* "migration.watari.dev/shop" and "migration.watari.dev", as kubectl writes them. */
char *cli_label(const struct model_kind *kind, const char *name, char *out, size_t size);

/* By a path of members, "status.requests.new"; NULL, "", 0 where absent. Borrowed. */
json_t *cli_at(const json_t *doc, const char *path);
const char *cli_text_at(const json_t *doc, const char *path);
int64_t cli_int_at(const json_t *doc, const char *path);
double cli_number_at(const json_t *doc, const char *path);

/* "85s", "12m", "3h12m", "9d" since an RFC 3339 time; "<unknown>" if there is none. */
const char *cli_age(const char *time, int64_t wall_ms, char out[32]);
const char *cli_span(int64_t ms, char out[32]);

/* "25 %": at most four digits after the point. */
const char *cli_percent(double percent, char out[32]);

/* A list of a kind ({items: […]}); `labels` is a selector or NULL. */
int cli_list(const struct cli_client *c, const struct model_kind *kind, const char *labels,
             json_t **out, struct wt_err *err);

/* Appends "labelSelector=…" and the like, escaped for a URL. */
void cli_query_add(struct wt_buf *path, const char *name, const char *value);

/* One object by name of the client's namespace; not found is a sentence with the next step. */
int cli_fetch(const struct cli_client *c, const struct model_kind *kind, const char *namespace,
              const char *name, json_t **out, struct wt_err *err);

/* POST or PUT: a PUT when `replace`; `sub` "status" or NULL; `dry_run` changes nothing. */
int cli_put(const struct cli_client *c, const json_t *doc, bool replace, const char *sub,
            bool dry_run, json_t **out, struct wt_err *err);

/* WT_ECONFLICT when `wanted` names a resourceVersion, and its spec, labels or annotations have been
 * changed since. */
int cli_check_fresh(const json_t *wanted, const json_t *current, struct wt_err *err);

/* The document to store: `wanted` with defaults, in the namespace, with what of `current` (may be
 * NULL) is not the writer's to say. NULL without memory. A new reference. */
json_t *cli_merge(const json_t *wanted, const json_t *current, const char *namespace);

/* Whether it came from a file of `watari up -f` or `control -f`. */
bool cli_is_from_file(const json_t *doc);

/* Writes a buffer to standard output and empties it. */
void cli_flush(struct wt_buf *b);

/* One document as YAML or JSON (`format` "yaml" or "json") at the end of `out`. */
int cli_write_doc(const json_t *doc, const char *format, struct wt_buf *out);

bool cli_is_terminal(void); /* standard output is one, and wants colours and redrawing */

/* Loops of watches and retries. */
int cli_sleep_ms(int64_t ms);

#endif
