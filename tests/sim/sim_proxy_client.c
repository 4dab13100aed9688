/* The clients: requests on kept, pipelined and broken connections; what comes back is checked byte
 * by byte. */
#include "sim_proxy.h"

#include <sys/socket.h>

static uint64_t body_seed(const struct world *w, unsigned id)
{
    return w->seed * 1000 + id;
}

static size_t body_len(const struct world *w, unsigned id)
{
    struct wt_rng rng = {body_seed(w, id)};
    if (w->requests[id].method < PUT)
        return 0;
    return wt_rng_below(&rng, chance(&rng, 50) ? 300 : 20000);
}

/* The bytes of a request; *out_pause is where the client waits for 100 (0: nowhere). */
static void write_request(struct client *c, unsigned id, struct wt_buf *out, size_t *out_pause)
{
    struct world *w = c->w;
    struct request *q = &w->requests[id];
    struct wt_buf body wt_autobuf = wt_buf_make(64 << 10);
    size_t n = body_len(w, id);
    bool has_body = q->method >= PUT;
    bool chunked = has_body && !c->old_version && chance(&c->rng, 40);
    bool expect = has_body && n > 0 && !c->old_version && chance(&c->rng, 20);
    fill(&body, body_seed(w, id), n);
    wt_buf_printf(out,
                  "%s /r/%u HTTP/1.%d\r\nHost: shop.example\r\nX-Id: %u\r\nX-User: user-%u\r\n",
                  methods[q->method], id, !c->old_version, id, q->user);
    if (expect)
        wt_buf_printf(out, "Expect: 100-continue\r\n");
    if (chunked)
        wt_buf_printf(out, "Transfer-Encoding: chunked\r\n\r\n");
    else if (has_body)
        wt_buf_printf(out, "Content-Length: %zu\r\n\r\n", n);
    else
        wt_buf_printf(out, "\r\n");
    *out_pause = expect ? out->len : 0;
    for (size_t at = 0; chunked && at < n; at += 997) {
        struct wt_str piece = wt_str_sub(wt_buf_str(&body), at, at + 997);
        wt_buf_printf(out, "%zx\r\n%.*s\r\n", piece.len, WT_ARG(piece));
    }
    if (chunked)
        wt_buf_printf(out, "0\r\n\r\n");
    else
        wt_buf_add_str(out, wt_buf_str(&body));
}

static void check_answer(struct client *c, unsigned id, struct wt_str body)
{
    struct world *w = c->w;
    char value[64];
    struct wt_buf want wt_autobuf = wt_buf_make(64 << 10);
    int status = mini_status(&c->m);
    if (!mini_field(c->m.head, "x-echo", value, sizeof value)) {
        if (status >= 400)
            w->n_errors++; /* the proxy's own */
        else
            wrong(w, id, c->m.head);
        return;
    }
    if (strtoul(value, NULL, 10) != id)
        wrong(w, id, "the answer is another one's");
    answer_body(w, id, &want);
    if (w->requests[id].method != HEAD && !wt_str_eq(body, wt_buf_str(&want)))
        wrong(w, id, "the answer's body is wrong");
    if (c->m.trailer[0] &&
        (strncmp(c->m.trailer, "X-Sum: ", 7) && strncmp(c->m.trailer, "x-sum: ", 7)))
        wrong(w, id, "the trailer is wrong");
    if (status == 503) {
        w->n_errors++;
        return;
    }
    want.len = 0;
    fill(&want, body_seed(w, id), body_len(w, id));
    mini_field(c->m.head, "x-got", value, sizeof value);
    uint64_t got = strtoull(value, NULL, 16);
    /* Of an early answer: the digest of nothing. */
    if (got != digest(wt_buf_str(&want)) && (w->calm || got != digest(wt_str(NULL, 0))))
        wrong(w, id, "the origin got another body");
    w->n_right++;
}

/* True: the connection can go on. */
static bool read_answer(struct client *c, unsigned id)
{
    struct world *w = c->w;
    char value[64];
    struct wt_buf body wt_autobuf = wt_buf_make(64 << 10);
    int64_t start_ms = io_now_ms();
    int r;
    do
        r = mini_head(&c->m);
    while (r == 0 && (mini_status(&c->m) == 100 || mini_status(&c->m) == 103));
    if (r == 0)
        r = mini_body(&c->m, true, w->requests[id].method == HEAD, &body);
    if (r == WT_ETIMEOUT || io_now_ms() - start_ms > 100000)
        wrong(w, id, "no end of it");
    if (r < 0) {
        w->n_errors++;
        return false;
    }
    check_answer(c, id, wt_buf_str(&body));
    bool close =
        mini_field(c->m.head, "connection", value, sizeof value) && !strcasecmp(value, "close");
    bool keep = mini_field(c->m.head, "connection", value, sizeof value) &&
                !strcasecmp(value, "keep-alive");
    return !close && (!c->old_version || keep);
}

static int connect_proxy(struct client *c)
{
    union io_addr addr;
    io_addr_parse(WT_STR("10.0.0.1"), 80, &addr, NULL);
    io_stream_init(&c->m.s);
    c->m.have = 0;
    c->m.patience_ms = 60000;
    c->old_version = chance(&c->rng, 15);
    return io_connect(&c->m.s, &addr, io_now_ms() + 20000);
}

/* Sends `out`, waiting at `pause` for leave to go on. True: an answer is to be read. */
static bool send_all(struct client *c, const struct wt_buf *out, size_t pause)
{
    if (pause) {
        if (mini_write(&c->m, out->ptr, pause) < 0)
            return true; /* an early answer may lie there */
        int64_t patience = c->m.patience_ms;
        c->m.patience_ms = 1000;
        int r = c->m.have ? 0 : mini_more(&c->m);
        c->m.patience_ms = patience;
        if (r < 0 && r != WT_ETIMEOUT)
            return true;
        if (c->m.have > 12 && memcmp(c->m.buf, "HTTP/1.1 100", 12))
            return true; /* not wanted: the answer is here */
    }
    mini_write(&c->m, out->ptr + pause, out->len - pause);
    return true;
}

/* Leaves in the middle of what it sends, or before the answer is read. */
static void abort_request(struct client *c, const struct wt_buf *out)
{
    mini_write(&c->m, out->ptr, 1 + wt_rng_below(&c->rng, (uint32_t)out->len));
    if (chance(&c->rng, 50))
        io_sleep_until(io_now_ms() + wt_rng_below(&c->rng, 30));
    if (chance(&c->rng, 50))
        mini_more(&c->m);
    if (chance(&c->rng, 50))
        io_stream_reset(&c->m.s);
    c->w->n_aborted++;
}

/* One request, or several without waiting between them. False: the connection is over. */
static bool one_round(struct client *c)
{
    struct wt_buf out wt_autobuf = wt_buf_make(256 << 10);
    unsigned first = c->next, n = !c->old_version && chance(&c->rng, 20) ? 3 : 1;
    size_t pause = 0;
    for (unsigned i = 0; i < n && c->next < c->end; i++) {
        /* Bodies are not sent ahead: who writes without reading would wait for ever. */
        if (i > 0 && c->w->requests[c->next].method >= PUT)
            break;
        c->w->requests[c->next].sent_ns = io_now_ns();
        c->w->requests[c->next].old_refused = refused_by_old(c->w);
        write_request(c, c->next++, &out, &pause);
        if (c->w->requests[first].method >= PUT)
            break;
    }
    n = c->next - first;
    if (!c->w->calm && chance(&c->rng, 8)) {
        abort_request(c, &out);
        c->w->n_aborted += n - 1;
        return false;
    }
    bool on = send_all(c, &out, pause);
    for (unsigned i = 0; i < n; i++) {
        if (on)
            on = read_answer(c, first + i);
        else
            c->w->n_errors++;
    }
    return on;
}

void run_client(void *arg)
{
    struct client *c = arg;
    bool open = false;
    io_sleep_until(io_now_ms() + wt_rng_below(&c->rng, 300));
    while (c->next < c->end) {
        if (!open && connect_proxy(c) < 0) {
            c->w->n_errors++;
            c->next++;
            continue;
        }
        open = one_round(c);
        if (open && chance(&c->rng, 15))
            open = false;
        if (!open)
            io_stream_close(&c->m.s);
        io_sleep_until(io_now_ms() + wt_rng_below(&c->rng, chance(&c->rng, 20) ? 3000 : 60));
    }
    if (open)
        io_stream_close(&c->m.s);
    c->w->n_clients--;
    io_cond_broadcast(&c->w->left);
}
