/* A small HTTP/1.1 client over io: one connection a call, for our own APIs and for health probes.
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include "base/buf.h"
#include "io/stream.h"

struct rpc_call {
    struct wt_str method; /* empty: GET */
    struct wt_str target; /* "/path?query" */
    struct wt_str host;   /* the Host field */
    struct wt_str content_type;
    struct wt_str body;
    struct wt_str bearer;  /* a token, or empty */
    size_t max_body_bytes; /* of the answer; 0: 8 MiB */
};

struct rpc_answer {
    unsigned status;
    struct wt_buf body; /* wt_buf_done() it */
};

/* Waits for the whole answer. Errors name the address. The caller's deadline covers everything. */
int rpc_call(const union io_addr *addr, const struct rpc_call *call, int64_t deadline_ms,
             struct rpc_answer *out, struct wt_err *err) WT_NODISCARD;

/* As rpc_call, but gives each piece of a 2xx body to `on_bytes` as it arrives; a negative result of
 * it ends the call with that code. Other statuses end in *out as with rpc_call. */
int rpc_stream(const union io_addr *addr, const struct rpc_call *call, int64_t deadline_ms,
               int (*on_bytes)(void *ctx, struct wt_str bytes), void *ctx, struct rpc_answer *out,
               struct wt_err *err) WT_NODISCARD;

#endif
