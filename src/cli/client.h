/* The CLI's way to the API: control's unix socket, or --server URL, or the server of a kubeconfig
 * without TLS. Everything goes through the Kubernetes REST protocol. Calls run inside a fiber
 * (cli_run). */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buf.h"
#include "cli/args.h"
#include "io/stream.h"
#include "model/kind.h"

#include <jansson.h>

/* Options that every command with a server has; put CLI_CLIENT_OPTIONS into its table. */
struct cli_target {
    const char *server; /* http://host:port or unix:/path; NULL: the socket below --state-dir */
    const char *state_dir;
    const char *token_file;
    const char *namespace;
    bool all_namespaces;
};

#define CLI_CLIENT_OPTIONS(t)                                                                      \
    {0, "server", CLI_TEXT, &(t)->server, "URL", "the API: http://HOST:PORT or unix:/PATH"},       \
        {0, "state-dir", CLI_TEXT, &(t)->state_dir, "DIR", "where its socket is looked for"},      \
        {0, "token-file", CLI_TEXT, &(t)->token_file, "FILE", "a bearer token"},                   \
        {'n', "namespace", CLI_TEXT, &(t)->namespace, "NAME", "namespace (default: default)"},     \
    {                                                                                              \
        'A', "all-namespaces", CLI_FLAG, &(t)->all_namespaces, "", "objects of all namespaces"     \
    }

struct cli_client {
    union io_addr addr;
    char host[128];
    char where[160]; /* for messages: what was called */
    bool by_url;     /* --server named it, not --state-dir */
    struct wt_buf token;
    const char *namespace; /* NULL: all */
};

/* Resolves the target. */
int cli_client_init(struct cli_client *c, const struct cli_target *t, struct wt_err *err);
void cli_client_done(struct cli_client *c);

/* "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME[/sub]"; name and sub may be NULL. */
int cli_path(struct wt_buf *out, const struct model_kind *kind, const char *namespace,
             const char *name, const char *sub);

/* One call. *out_json is the answer's document (may be NULL when empty). A status over 299 is an
 * error whose sentence is the server's; 404 is WT_ENOENT (no server at all: WT_EREFUSED), 409
 * WT_ECONFLICT, 400 and 422 WT_EINVAL. */
int cli_call(const struct cli_client *c, const char *method, const char *path, const json_t *body,
             json_t **out_json, struct wt_err *err);

int cli_get_object(const struct cli_client *c, const struct model_kind *kind, const char *namespace,
                   const char *name, json_t **out, struct wt_err *err);

/* Calls `on_event` with {type, object} lines of a watch until it returns non-zero, the server ends
 * it, or the deadline (ms from now; 0: none) passes. Returns that value, or an error. */
int cli_watch(const struct cli_client *c, const char *path_and_query, int64_t for_ms,
              int (*on_event)(void *ctx, const char *type, json_t *object), void *ctx,
              struct wt_err *err);

/* Runs `body(ctx)` as a fiber on a loop of its own; returns what it returns (an exit code). */
int cli_run(int (*body)(void *ctx), void *ctx);

/* The default directories: root or not. "/var/lib/watari" or "$XDG_STATE_HOME/watari";
 * "/run/watari" or
 * "$XDG_RUNTIME_DIR/watari"; with a state dir given both lie in it. */
void cli_state_dir(const char *given, char *out, size_t size);
void cli_run_dir(const char *given, char *out, size_t size);

#endif
