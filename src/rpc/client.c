#include "rpc/client.h"

#include "http/h1_write.h"
#include "rpc/internal.h"

enum {
    MAX_BODY_BYTES = 8 << 20,
    MAX_INTERIM = 8, /* 1xx answers before the real one */
};

/* One call under way. */
struct call {
    const struct rpc_call *what;
    int64_t deadline_ms;
    enum http_method method;
    struct io_stream stream;
    struct wt_arena arena;
    struct wt_buf in;
    struct http_head head; /* of the answer */
    int (*on_bytes)(void *ctx, struct wt_str bytes);
    void *ctx;
};

static int add_fields(struct http_head *h, const struct rpc_call *what, struct wt_arena *arena)
{
    int r = 0;
    if (what->content_type.len)
        r = http_head_add_id(h, HTTP_FIELD_CONTENT_TYPE, what->content_type);
    if (r == 0 && what->bearer.len) {
        char *value = wt_arena_printf(arena, "Bearer %.*s", WT_ARG(what->bearer));
        r = value ? http_head_add_id(h, HTTP_FIELD_AUTHORIZATION, wt_str_z(value)) : WT_ENOMEM;
    }
    return r;
}

static int write_head(struct call *c, struct wt_buf *out)
{
    const struct rpc_call *what = c->what;
    struct http_head *h = &c->head; /* its memory serves both ways */
    http_head_init(h, &c->arena);
    h->method = c->method;
    h->method_text = what->method.len ? what->method : WT_STR("GET");
    h->target = what->target;
    h->authority = what->host;
    size_t mark = wt_str_find(what->target, '?');
    h->path = wt_str_sub(what->target, 0, mark);
    h->has_query = mark < what->target.len;
    h->query = wt_str_sub(what->target, mark + 1, what->target.len);
    h->keep_alive = false;
    if (what->body.len || c->method == HTTP_METHOD_POST || c->method == HTTP_METHOD_PUT) {
        h->framing = HTTP_FRAMING_LENGTH;
        h->length = what->body.len;
    }
    int r = add_fields(h, what, &c->arena);
    return r < 0 ? r : http_h1_write_request(h, out);
}

static int send_request(struct call *c)
{
    struct wt_buf out wt_autobuf = wt_buf_make(RPC_HEAD_BYTES);
    int r = write_head(c, &out);
    if (r < 0)
        return r;
    struct iovec iov[2] = {{out.ptr, out.len}, {(void *)c->what->body.ptr, c->what->body.len}};
    return io_write_all(&c->stream, iov, c->what->body.len ? 2 : 1, c->deadline_ms);
}

/* The head of the final answer; what came behind it stays in c->in. */
static int read_head(struct call *c, struct wt_buf *keep)
{
    size_t seen = 0, used = 0;
    enum http_h1_fault fault;
    for (unsigned n_interim = 0;;) {
        http_head_init(&c->head, &c->arena);
        int r = WT_EAGAIN;
        if (c->in.len > seen)
            r = http_h1_parse_response(wt_buf_str(&c->in), seen, c->method, &http_h1_default_limits,
                                       &c->head, &used, &fault);
        if (r == WT_EAGAIN) {
            seen = c->in.len;
            r = rpc_read_more(&c->stream, &c->in, c->deadline_ms);
            if (r < 0)
                return r == WT_EOF && c->in.len ? WT_EPROTO : r;
            continue;
        }
        if (r < 0)
            return r;
        if (c->head.status >= 200)
            break;
        if (c->head.status == 101 || ++n_interim > MAX_INTERIM)
            return WT_EPROTO;
        wt_buf_consume(&c->in, used);
        seen = 0;
    }
    int r = wt_buf_add(keep, c->in.ptr + used, c->in.len - used);
    c->in.len = used;
    return r;
}

static int read_answer(struct call *c, struct rpc_answer *out)
{
    struct wt_buf rest wt_autobuf = wt_buf_make(RPC_HEAD_BYTES);
    int r = read_head(c, &rest);
    if (r < 0)
        return r;
    struct http_h1_body body;
    http_h1_body_init(&body, &c->head, NULL);
    out->status = c->head.status;
    bool stream = c->on_bytes && out->status / 100 == 2;
    return rpc_read_body(&c->stream, &body, &rest, c->deadline_ms,
                         stream ? c->on_bytes : rpc_take_into_buf, stream ? c->ctx : &out->body);
}

static int run(struct call *c, const union io_addr *addr, struct rpc_answer *out,
               struct wt_err *err)
{
    char text[IO_ADDR_TEXT];
    int r = io_connect(&c->stream, addr, c->deadline_ms);
    if (r < 0)
        return wt_fail(err, r, "connect to %s: %s", io_addr_format(addr, text), wt_code_text(r));
    int sent = send_request(c);
    /* A server may answer and hang up before it has read everything: its answer counts. */
    if (sent < 0 && sent != WT_ERESET)
        return wt_fail(err, sent, "send to %s: %s", io_addr_format(addr, text), wt_code_text(sent));
    r = read_answer(c, out);
    if (r < 0 && sent < 0)
        r = sent;
    if (r == WT_EOF)
        return wt_fail(err, r, "%s closed the connection without an answer",
                       io_addr_format(addr, text));
    return r < 0 ? wt_fail(err, r, "answer of %s: %s", io_addr_format(addr, text), wt_code_text(r))
                 : 0;
}

int rpc_stream(const union io_addr *addr, const struct rpc_call *call, int64_t deadline_ms,
               int (*on_bytes)(void *ctx, struct wt_str bytes), void *ctx, struct rpc_answer *out,
               struct wt_err *err)
{
    struct call c = {.what = call, .deadline_ms = deadline_ms, .on_bytes = on_bytes, .ctx = ctx};
    c.method = call->method.len ? http_method_lookup(call->method) : HTTP_METHOD_GET;
    c.arena = wt_arena_make(RPC_ARENA_BYTES);
    c.in = wt_buf_make(RPC_HEAD_BYTES);
    io_stream_init(&c.stream);
    size_t most = call->max_body_bytes ? call->max_body_bytes : MAX_BODY_BYTES;
    struct rpc_answer answer = {.body = wt_buf_make(most)};
    int r = run(&c, addr, &answer, err);
    io_stream_close(&c.stream);
    wt_buf_done(&c.in);
    wt_arena_done(&c.arena);
    if (r < 0) {
        wt_buf_done(&answer.body);
        return r;
    }
    *out = answer;
    return 0;
}

int rpc_call(const union io_addr *addr, const struct rpc_call *call, int64_t deadline_ms,
             struct rpc_answer *out, struct wt_err *err)
{
    return rpc_stream(addr, call, deadline_ms, NULL, NULL, out, err);
}
