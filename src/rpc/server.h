/* A small HTTP/1.1 server over io, for our own APIs: the control API, a proxy's admin page, sync.
 * One fiber a connection; bodies are read whole before the handler runs; answers are whole or
 * chunked. */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "base/buf.h"
#include "http/head.h"
#include "io/stream.h"

struct rpc_request {
    const struct http_head *head;      /* all of it; method, path and query of it below */
    struct wt_str method, path, query; /* path percent-decoded and normalised; query raw */
    struct wt_str body;
    const union io_addr *peer;
};

/* The answer under way; valid while the handler runs. */
struct rpc_reply;

/* A whole answer. `content_type` may be empty when the body is. */
int rpc_reply_send(struct rpc_reply *r, unsigned status, struct wt_str content_type,
                   struct wt_str body);

/* A streamed answer: begin, then chunks (each flushed), and the server ends it when the handler
 * returns. An error means the client has gone. */
int rpc_reply_begin(struct rpc_reply *r, unsigned status, struct wt_str content_type);
int rpc_reply_chunk(struct rpc_reply *r, struct wt_str bytes);

/* A streamed answer that cannot go on: the connection breaks, so that the client does not take what
 * it has for the whole. */
void rpc_reply_abort(struct rpc_reply *r);

/* Sleeps until the deadline, `cond` is broadcast (may be NULL), or the client goes away: 0 for the
 * first two (now and then also for nothing: look at your predicate), or WT_ERESET, WT_ECANCELED.
 * For watches and long polls. */
int rpc_reply_wait(struct rpc_reply *r, struct io_cond *cond, int64_t deadline_ms);

/* Runs in a fiber (IO_STACK_DEEP) and may wait. Without any answer from it the client gets 500. */
struct rpc_handler {
    void (*handle)(void *ctx, const struct rpc_request *request, struct rpc_reply *reply);
    void *ctx;
    size_t max_body_bytes; /* more is answered 413 */
    unsigned max_connections;
};

struct rpc_server;

/* Serves connections of a listening descriptor (io_listen), which it takes over, on the loop that
 * runs here. */
int rpc_server_new(const struct rpc_handler *handler, int listen_fd,
                   struct rpc_server **out) WT_NODISCARD;

/* Stops accepting, cancels the connections, waits for their end; in a fiber. */
void rpc_server_free(struct rpc_server *s);

enum { RPC_QUERY_VALUE_MAX = 4096 };

/* Whether every name and value can be decoded and is no longer than that. Who takes an absent
 * parameter for a default asks first, or a broken one is taken for absent. */
bool rpc_query_readable(struct wt_str query);

/* The value of `name` in a raw query string, percent-decoded into `out` (may be reused); false when
 * absent. */
bool rpc_query_get(struct wt_str query, struct wt_str name, struct wt_buf *out);

#endif
