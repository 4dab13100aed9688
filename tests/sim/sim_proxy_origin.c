/* The hosts of both sides: right answers, and every way of breaking them that the seed picks. */
#include "sim_proxy.h"

enum fault {
    RESET_AT_ONCE,
    CLOSE_AT_ONCE,
    PART_OF_HEAD,
    PART_OF_BODY, /* closed */
    PART_THEN_RESET,
    GARBAGE,
    SLOW,
    STALLS,
    STATUS_500,
    EXTRA, /* bytes behind the answer */
    EARLY, /* answers before it has read the body */
    FAULTS
};

struct answer {
    struct wt_buf head, body;
    bool chunked, until_close, close;
};

static bool send_part(struct mini *m, const struct answer *a, bool no_body, size_t most)
{
    struct wt_buf out wt_autobuf = wt_buf_make(64 << 10);
    wt_buf_add_str(&out, wt_buf_str(&a->head));
    struct wt_str body = wt_buf_str(&a->body);
    for (size_t at = 0; a->chunked && !no_body && at < body.len; at += 700) {
        struct wt_str piece = wt_str_sub(body, at, at + 700);
        wt_buf_printf(&out, "%zx\r\n%.*s\r\n", piece.len, WT_ARG(piece));
    }
    if (a->chunked && !no_body)
        wt_buf_printf(&out, "0\r\nX-Sum: %zu\r\n\r\n", body.len);
    else if (!no_body)
        wt_buf_add_str(&out, body);
    return mini_write(m, out.ptr, out.len < most ? out.len : most) == 0 && out.len <= most;
}

static void make_answer(struct world *w, unsigned id, enum proxy_side side, int status,
                        struct wt_str got, struct wt_rng *rng, struct answer *a)
{
    int method = w->requests[id].method;
    a->head = wt_buf_make(1024);
    a->body = wt_buf_make(64 << 10);
    answer_body(w, id, &a->body);
    int how = (int)wt_rng_below(rng, 10);
    a->chunked = how < 3;
    a->until_close = how == 3;
    a->close = a->until_close || chance(rng, w->calm ? 0 : 8);
    if (method != HEAD && chance(rng, 20))
        wt_buf_printf(&a->head, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    wt_buf_printf(&a->head, "HTTP/1.1 %d Some\r\nX-Echo: %u\r\nX-Side: %d\r\nX-Got: %016llx\r\n",
                  status, id, (int)side, (unsigned long long)digest(got));
    if (a->chunked)
        wt_buf_printf(&a->head, "Transfer-Encoding: chunked\r\n");
    else if (!a->until_close)
        wt_buf_printf(&a->head, "Content-Length: %zu\r\n", a->body.len);
    wt_buf_printf(&a->head, a->close ? "Connection: close\r\n\r\n" : "\r\n");
}

static void reset_stream(struct mini *m)
{
    total.broken++;
    io_stream_reset(&m->s);
}

/* What goes wrong with this answer. False: the connection is over. */
static bool break_answer(struct origin *o, struct mini *m, struct answer *a, bool no_body,
                         enum fault fault)
{
    struct wt_rng *rng = &o->w->rng;
    size_t whole = a->head.len + (no_body ? 0 : a->body.len);
    switch (fault) {
    case RESET_AT_ONCE:
        reset_stream(m);
        return false;
    case CLOSE_AT_ONCE:
        return false;
    case PART_OF_HEAD:
        send_part(m, a, no_body, wt_rng_below(rng, (uint32_t)a->head.len));
        return false;
    case PART_OF_BODY:
        /* An end is the end of a body without length: nobody could tell that it came early. */
        if (!a->until_close && !no_body && a->body.len) {
            total.broken++;
            send_part(m, a, no_body, whole - 1 - wt_rng_below(rng, (uint32_t)a->body.len));
            return false;
        }
        break;
    case PART_THEN_RESET:
        if (!no_body && a->body.len) {
            send_part(m, a, no_body, whole - 1 - wt_rng_below(rng, (uint32_t)a->body.len));
            reset_stream(m);
            return false;
        }
        break;
    case GARBAGE:
        mini_write(m, "HTTP/1.1 abc\r\n\r\n", 16);
        return false;
    case SLOW:
        io_sleep_until(io_now_ms() + wt_rng_below(rng, 4000));
        break;
    case STALLS:
        if (!no_body && a->body.len)
            send_part(m, a, no_body, whole - 1 - wt_rng_below(rng, (uint32_t)a->body.len));
        io_sleep_until(io_now_ms() + 9000);
        return false;
    case EXTRA:
        /* In one piece, or nobody could tell it from the next answer. */
        if (!a->chunked && !a->until_close && whole < 400 && !no_body) {
            wt_buf_add_str(&a->head, wt_buf_str(&a->body));
            wt_buf_printf(&a->head, "HTTP/1.1 200 OK\r\nX-Echo: 9999\r\nContent-Length: 0\r\n\r\n");
            mini_write(m, a->head.ptr, a->head.len);
            return false;
        }
        break;
    case STATUS_500:
    case EARLY:
    case FAULTS:
        break;
    }
    return send_part(m, a, no_body, SIZE_MAX) && !a->close;
}

static bool serve_one(struct origin *o, struct mini *m)
{
    struct world *w = o->w;
    char value[64];
    struct wt_buf body wt_autobuf = wt_buf_make(1 << 20);
    if (mini_head(m) < 0)
        return false;
    if (!mini_field(m->head, "x-id", value, sizeof value) || strtoul(value, NULL, 10) >= REQUESTS) {
        wrong(w, 0, "an origin got what nobody sent");
        return false;
    }
    unsigned id = (unsigned)strtoul(value, NULL, 10);
    int method = w->requests[id].method;
    saw(w, id, o->side);
    if (strncmp(m->head, methods[method], strlen(methods[method])))
        wrong(w, id, "the method changed");
    enum fault fault = w->calm || chance(&w->rng, 75) ? FAULTS : wt_rng_below(&w->rng, FAULTS);
    if (fault == EXTRA && w->seed % 2)
        fault = FAULTS;
    if (fault != EARLY && mini_body(m, false, false, &body) < 0)
        return false;
    struct answer a;
    make_answer(w, id, o->side, fault == STATUS_500 ? 503 : 200, wt_buf_str(&body), &w->rng, &a);
    bool on = break_answer(o, m, &a, method == HEAD, fault);
    wt_buf_done(&a.head);
    wt_buf_done(&a.body);
    return on && fault != EARLY && m->s.fd >= 0;
}

static void serve_conn(void *arg)
{
    struct mini *m = arg;
    struct origin *o;
    memcpy(&o, m->head, sizeof o);
    int fd = m->s.fd;
    io_stream_init(&m->s);
    if (io_stream_open(&m->s, fd) < 0)
        abort();
    while (serve_one(o, m)) {
        bool tired = !o->w->calm && chance(&o->w->rng, 15);
        m->patience_ms = tired ? wt_rng_below(&o->w->rng, 2000) : 1000000;
    }
    io_stream_close(&m->s);
    free(m);
    o->w->n_conns--;
    io_cond_broadcast(&o->w->left);
}

static void open_origin(struct origin *o)
{
    int fd = io_listen(io_sys_here(), &o->addr, 64, NULL);
    io_stream_init(&o->stream);
    if (fd < 0 || io_stream_open(&o->stream, fd) < 0)
        abort();
}

void run_origin(void *arg)
{
    struct origin *o = arg;
    open_origin(o);
    while (!o->stopping) {
        union io_addr peer;
        int fd = io_accept(&o->stream, &peer, io_now_ms() + 500);
        if (fd == WT_ETIMEOUT && o->closed) {
            io_stream_close(&o->stream);
            io_sleep_until(io_now_ms() + 700);
            o->closed = false;
            open_origin(o);
        }
        if (fd < 0)
            continue;
        struct mini *m = calloc(1, sizeof *m);
        m->s.fd = fd;
        m->patience_ms = 1000000;
        memcpy(m->head, &o, sizeof o);
        o->w->n_conns++;
        if (io_spawn(IO_STACK_DEEP, serve_conn, m, NULL) < 0)
            abort();
    }
    io_stream_close(&o->stream);
}
