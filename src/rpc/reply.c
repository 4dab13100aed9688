#include "base/clock.h"
#include "http/h1_write.h"
#include "rpc/internal.h"

/* A client that takes nothing for so long is gone. */
enum { SEND_MS = 30000 };

void rpc_reply_init(struct rpc_reply *r, struct io_stream *s, struct wt_arena *arena,
                    const struct http_head *request, bool keep_alive)
{
    r->stream = s;
    r->arena = arena;
    r->state = RPC_REPLY_NONE;
    r->is_head = request->method == HTTP_METHOD_HEAD;
    r->old_version = request->minor == 0;
    http_head_init(&r->head, arena);
    r->head.keep_alive = keep_alive;
}

static bool status_has_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

static int write_head(struct rpc_reply *r, unsigned status, struct wt_str content_type,
                      struct wt_buf *out)
{
    char date[32];
    struct http_head *h = &r->head;
    h->status = (uint16_t)status;
    h->reason = wt_str_z(http_status_text(status));
    int e = http_head_set_id(h, HTTP_FIELD_DATE,
                             wt_str_z(wt_time_format_http(io_wall_ms() / 1000, date)));
    if (e == 0 && content_type.len)
        e = http_head_set_id(h, HTTP_FIELD_CONTENT_TYPE, content_type);
    return e < 0 ? e : http_h1_write_response(h, out);
}

static int sent(struct rpc_reply *r, int e, enum rpc_reply_state next)
{
    r->state = e < 0 ? RPC_REPLY_BROKEN : next;
    return e;
}

int rpc_reply_send(struct rpc_reply *r, unsigned status, struct wt_str content_type,
                   struct wt_str body)
{
    if (r->state != RPC_REPLY_NONE)
        return WT_EINVAL;
    bool has_body = status_has_body(status);
    r->head.framing = has_body ? HTTP_FRAMING_LENGTH : HTTP_FRAMING_NONE;
    r->head.length = body.len;
    struct wt_buf out wt_autobuf = wt_buf_make(RPC_HEAD_BYTES);
    int e = write_head(r, status, content_type, &out);
    if (e < 0)
        return e; /* nothing is sent yet: another answer may be tried */
    struct iovec iov[2] = {{out.ptr, out.len}, {(void *)body.ptr, body.len}};
    bool with_body = has_body && !r->is_head && body.len > 0;
    e = io_write_all(r->stream, iov, with_body ? 2 : 1, io_now_ms() + SEND_MS);
    return sent(r, e, RPC_REPLY_WHOLE);
}

int rpc_reply_begin(struct rpc_reply *r, unsigned status, struct wt_str content_type)
{
    if (r->state != RPC_REPLY_NONE || !status_has_body(status))
        return WT_EINVAL;
    r->head.framing = r->old_version ? HTTP_FRAMING_UNTIL_CLOSE : HTTP_FRAMING_CHUNKED;
    if (r->old_version)
        r->head.keep_alive = false;
    struct wt_buf out wt_autobuf = wt_buf_make(RPC_HEAD_BYTES);
    int e = write_head(r, status, content_type, &out);
    if (e < 0)
        return e;
    e = io_write_str(r->stream, wt_buf_str(&out), io_now_ms() + SEND_MS);
    return sent(r, e, RPC_REPLY_STREAM);
}

int rpc_reply_chunk(struct rpc_reply *r, struct wt_str bytes)
{
    if (r->state != RPC_REPLY_STREAM)
        return r->state == RPC_REPLY_BROKEN ? WT_ERESET : WT_EINVAL;
    if (bytes.len == 0 || r->is_head)
        return 0; /* an empty chunk would end the body */
    char line[HTTP_H1_CHUNK_LINE_MAX];
    struct iovec iov[3] = {
        {line, http_h1_chunk_line(bytes.len, line)}, {(void *)bytes.ptr, bytes.len}, {"\r\n", 2}};
    struct iovec *from = r->old_version ? iov + 1 : iov;
    int e = io_write_all(r->stream, from, r->old_version ? 1 : 3, io_now_ms() + SEND_MS);
    return sent(r, e, RPC_REPLY_STREAM);
}

void rpc_reply_abort(struct rpc_reply *r)
{
    r->state = RPC_REPLY_BROKEN;
}

void rpc_reply_refuse(struct rpc_reply *r, unsigned status, const char *text)
{
    struct wt_buf body wt_autobuf = wt_buf_make(1024);
    wt_buf_printf(&body, "%s\n", text);
    r->head.keep_alive = false;
    if (rpc_reply_send(r, status, WT_STR("text/plain"), wt_buf_str(&body)) < 0)
        r->state = RPC_REPLY_BROKEN;
}

bool rpc_reply_finish(struct rpc_reply *r)
{
    if (r->state == RPC_REPLY_NONE && !io_canceled())
        rpc_reply_refuse(r, 500, "no answer");
    /* A handler that was cancelled may have returned in the middle. */
    if (r->state == RPC_REPLY_STREAM && io_canceled())
        r->state = RPC_REPLY_BROKEN;
    if (r->state == RPC_REPLY_STREAM) {
        int e = 0;
        if (!r->old_version && !r->is_head)
            e = io_write_str(r->stream, WT_STR("0\r\n\r\n"), io_now_ms() + SEND_MS);
        sent(r, e, RPC_REPLY_WHOLE);
    }
    return r->state == RPC_REPLY_WHOLE && r->head.keep_alive;
}

int rpc_reply_wait(struct rpc_reply *r, struct io_cond *cond, int64_t deadline_ms)
{
    struct io_stream *s = r->stream;
    for (;;) {
        if (s->fd < 0 || s->ready & (IO_HUP | IO_RDHUP))
            return WT_ERESET;
        s->reader = io_self(); /* news of the client unpark us as a broadcast does */
        int e = cond ? io_cond_wait(cond, deadline_ms) : io_park(deadline_ms);
        s->reader = NULL;
        if (e == WT_ECANCELED)
            return e;
        if (s->fd < 0 || s->ready & (IO_HUP | IO_RDHUP))
            return WT_ERESET;
        if (cond || e == WT_ETIMEOUT)
            return 0;
    }
}
