/* What server and client share. */
#ifndef RPC_INTERNAL_H
#define RPC_INTERNAL_H

#include "base/buf.h"
#include "http/h1_body.h"
#include "io/stream.h"
#include "rpc/server.h"

enum {
    RPC_HEAD_BYTES = 64 << 10, /* largest head with what came behind it in one piece */
    RPC_ARENA_BYTES = 256 << 10,
};

/* Reads at least one byte to the end of `in`; as io_read(), and WT_ELIMIT or WT_ENOMEM. */
int rpc_read_more(struct io_stream *s, struct wt_buf *in, int64_t deadline_ms);

/* Reads a body to its end. `in` holds what came behind the head, and in the end what came behind
 * the body. Each piece goes to `take`, whose negative result ends it. A truncated body is
 * WT_EPROTO. */
int rpc_read_body(struct io_stream *s, struct http_h1_body *body, struct wt_buf *in,
                  int64_t deadline_ms, int (*take)(void *ctx, struct wt_str bytes), void *ctx);

/* A `take` that adds to the wt_buf that ctx is. */
int rpc_take_into_buf(void *ctx, struct wt_str bytes);

/* WT_EINVAL for what is not two digits, and for an encoded NUL. */
int rpc_percent_decode(struct wt_str s, bool plus_is_space, struct wt_buf *out);

enum rpc_reply_state {
    RPC_REPLY_NONE,   /* nothing sent */
    RPC_REPLY_STREAM, /* the head is sent, chunks follow */
    RPC_REPLY_WHOLE,  /* all sent */
    RPC_REPLY_BROKEN, /* what was sent cannot become whole */
};

struct rpc_reply {
    struct io_stream *stream;
    struct wt_arena *arena;
    struct http_head head;
    enum rpc_reply_state state;
    bool is_head;     /* to HEAD: no body is sent */
    bool old_version; /* HTTP/1.0 knows no chunks */
};

/* For the answer to `request`; keep_alive is the connection's wish. */
void rpc_reply_init(struct rpc_reply *r, struct io_stream *s, struct wt_arena *arena,
                    const struct http_head *request, bool keep_alive);

/* Ends the answer; whether the connection may serve another request. */
bool rpc_reply_finish(struct rpc_reply *r);

/* A plain sentence with that status; the connection closes after it. */
void rpc_reply_refuse(struct rpc_reply *r, unsigned status, const char *text);

#endif
