/* A whole worker on the simulated system: clients with kept and pipelined connections on one side,
 * the two backends of a migration on the other, broken in every way the seed picks; snapshots,
 * verdicts and dead hosts come in the middle. Whatever happens, an answer is whole and right or the
 * client sees an error; what may not be sent twice is not; users are where the table says; nothing
 * is left behind; and a seed always plays the same story. */
#include "../unit/proxy_rig_help.h"

#include "base/hash.h"
#include "base/log.h"
#include "io/sys_sim.h"

#include <sys/socket.h>

enum { SEEDS = 48, CLIENTS = 6, CALLS = 7, REQUESTS = CLIENTS * CALLS, HOSTS = 2, ERAS = 20 };

enum { GET, HEAD, PUT, POST, METHODS };
static const char *const methods[] = {"GET", "HEAD", "PUT", "POST"};

struct request {
    int method;
    unsigned user;
    int64_t sent_ns;      /* 0: not yet */
    uint64_t old_refused; /* connects to the old side that had failed by then */
    unsigned n_seen;      /* by origins, heads that were whole */
};

/* A span of time in which something held. */
struct era {
    int64_t from_ns, until_ns; /* INT64_MAX: still */
    uint64_t version;
    int64_t epoch;
    const struct model_slots *slots;
};

struct world;

struct origin {
    struct world *w;
    enum proxy_side side;
    union io_addr addr;
    struct io_stream stream;
    struct io_fiber *fiber;
    bool stopping, closed;
};

struct world {
    uint64_t seed;
    bool calm;
    struct io_sim *sim;
    struct rig rig;
    struct wt_rng rng; /* of the director and the origins */
    struct origin origins[PROXY_SIDES * HOSTS];
    struct request requests[REQUESTS];
    struct era eras[ERAS], dead[PROXY_SIDES][ERAS];
    unsigned n_eras, n_dead[PROXY_SIDES];
    int64_t epoch, verdict_epoch, verdict_ns;
    unsigned n_clients, n_conns; /* that run; the origins' connections */
    struct io_cond left;
    unsigned n_right, n_errors, n_wrong, n_aborted;
    unsigned n_swaps, n_verdicts;
};

/* Seen over all seeds, to know that the stories are rich enough. */
static struct {
    unsigned seen[PROXY_SIDES], repeated, swaps, verdicts, broken;
} total;

static void wrong(struct world *w, unsigned id, const char *what)
{
    printf("seed %llu: request %u (%s): %s\n", (unsigned long long)w->seed, id,
           methods[w->requests[id].method], what);
    w->n_wrong++;
}

static bool chance(struct wt_rng *rng, unsigned percent)
{
    return wt_rng_below(rng, 100) < percent;
}

static const double weights[] = {0, 1, 25, 50, 75, 100};
enum { WEIGHTS = sizeof weights / sizeof weights[0], HALF = 3 };

/* The tables as control makes them, once for all seeds, and as text for documents. */
static struct model_slots tables[WEIGHTS];
static char table_texts[WEIGHTS][12 << 10];

/* ---- bodies ---- */

static void fill(struct wt_buf *out, uint64_t from, size_t n)
{
    struct wt_rng rng = {wt_mix64(from)};
    for (size_t i = 0; i < n; i++)
        wt_buf_add_char(out, (char)('a' + wt_rng_below(&rng, 26)));
}

static void answer_body(const struct world *w, unsigned id, struct wt_buf *out)
{
    struct wt_rng rng = {wt_mix64(w->seed << 20 ^ id)};
    fill(out, wt_rng_next(&rng), wt_rng_below(&rng, chance(&rng, 30) ? 9000 : 600));
}

static uint64_t digest(struct wt_str s)
{
    struct wt_hash_key key = {1, 2};
    return wt_hash_str(key, s);
}

/* ---- who may see what ---- */

static bool overlaps(const struct era *e, int64_t from_ns, int64_t until_ns)
{
    return e->from_ns <= until_ns && e->until_ns >= from_ns;
}

static bool was_dead(const struct world *w, enum proxy_side side, int64_t from_ns, int64_t until_ns)
{
    for (unsigned i = 0; i < w->n_dead[side]; i++)
        if (overlaps(&w->dead[side][i], from_ns, until_ns))
            return true;
    return false;
}

static enum proxy_side side_of(const struct world *w, const struct era *e, unsigned user)
{
    char name[32];
    snprintf(name, sizeof name, "user-%u", user);
    struct model_identity id = model_identity_seeded(&w->rig.shared.keys, wt_str_z(name));
    uint16_t slot = model_slot_of(model_slots_key(WT_STR("default/old")), model_identity_str(&id));
    return e->slots->to[slot] ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
}

static uint64_t refused_by_old(const struct world *w)
{
    const struct proxy_backend *b = wt_map_get(&w->rig.config->by_name, WT_STR("default/old"));
    struct proxy_backend_stats s;
    proxy_stats_sum(b->stats, &s);
    return s.cx_connect_fail;
}

static bool belongs(const struct world *w, const struct request *q, enum proxy_side side,
                    int64_t now_ns)
{
    enum proxy_side other = side == PROXY_SIDE_OLD ? PROXY_SIDE_NEW : PROXY_SIDE_OLD;
    if (was_dead(w, other, q->sent_ns, now_ns) || (side == PROXY_SIDE_OLD && !w->calm))
        return true; /* the new side's failures are rescued by the old one */
    for (unsigned i = 0; i < w->n_eras; i++) {
        const struct era *e = &w->eras[i];
        if (!overlaps(e, q->sent_ns, now_ns))
            continue;
        bool judged = w->verdict_epoch >= e->epoch;
        if (side == PROXY_SIDE_OLD && judged)
            return true;
        if (side == PROXY_SIDE_NEW && judged && w->verdict_ns < q->sent_ns)
            continue;
        if (side_of(w, e, q->user) == side)
            return true;
        /* Where nothing of the old side could be reached, the new one is asked. */
        if (side == PROXY_SIDE_NEW && e->slots != &tables[0] && refused_by_old(w) > q->old_refused)
            return true;
    }
    return false;
}

static void saw(struct world *w, unsigned id, enum proxy_side side)
{
    struct request *q = &w->requests[id];
    if (!q->sent_ns)
        wrong(w, id, "an origin saw it before it was sent");
    if (!belongs(w, q, side, io_now_ns()))
        wrong(w, id,
              side == PROXY_SIDE_NEW ? "it came to the new side" : "it came to the old side");
    if (q->n_seen++ && q->method == POST)
        wrong(w, id, "it was sent twice");
    total.seen[side]++;
    total.repeated += q->n_seen > 1;
}

/* ---- origins ---- */

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

static void run_origin(void *arg)
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

/* ---- clients ---- */

struct client {
    struct world *w;
    struct wt_rng rng;
    unsigned next, end; /* requests */
    struct mini m;
    bool old_version; /* HTTP/1.0 on this connection */
};

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

static void run_client(void *arg)
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

/* ---- the director: snapshots, verdicts, deaths ---- */

static void make_tables(void)
{
    for (int i = 0; i < WEIGHTS; i++) {
        struct wt_buf text wt_autobuf = wt_buf_make(sizeof table_texts[i]);
        model_slots_fill(&tables[i], PROXY_SIDE_OLD);
        RIG_CHECK(model_slots_set_share(&tables[i], weights[i],
                                        model_slots_key(WT_STR("default/old")), NULL) >= 0);
        RIG_CHECK(model_slots_encode(&tables[i], 2, &text) == 0);
        snprintf(table_texts[i], sizeof table_texts[i], "%.*s", WT_ARG(wt_buf_str(&text)));
    }
}

static void publish(struct world *w, unsigned weight)
{
    struct era *e = &w->eras[w->n_eras++];
    rig_set(&w->rig,
            "{'apiVersion':'watari.dev/v1alpha1','kind':'Migration','metadata':{'name':'move',"
            "'namespace':'default','uid':'u-1'},'spec':{'routeRefs':[{'kind':'HTTPRoute','name':'"
            "shop'}],"
            "'from':{'name':'old'},'to':{'name':'new'},'state':'Shared',"
            "'userKey':{'header':'X-User','stable':true},'steps':[{'setWeight':50}]},"
            "'status':{'phase':'Progressing','epoch':%d,'step':%d,'weight':%g,"
            "'table':{'version':%d,'bits':'%s'}}}",
            (int)w->epoch, (int)w->n_eras, weights[weight], (int)w->n_eras, table_texts[weight]);
    *e = (struct era){io_now_ns(), INT64_MAX, w->rig.version, w->epoch, &tables[weight]};
    RIG_CHECK(rig_publish(&w->rig) == 0);
    w->n_swaps++;
}

/* The worker runs on this version now: what was before is over, once its requests are. */
static void acknowledge(void *ctx, unsigned worker)
{
    struct world *w = ctx;
    uint64_t version = proxy_worker_version(&w->rig.worker);
    for (unsigned i = 0; i < w->n_eras; i++)
        if (w->eras[i].version < version && w->eras[i].until_ns == INT64_MAX)
            w->eras[i].until_ns = io_now_ns();
}

static void note_verdict(struct world *w, int64_t epoch)
{
    w->n_verdicts++;
    if (epoch > w->verdict_epoch) {
        w->verdict_epoch = epoch;
        w->verdict_ns = io_now_ns();
    }
}

static void announce(void *ctx, struct proxy_migration *m)
{
    struct world *w = ctx;
    struct proxy_verdict v;
    if (proxy_live_verdict(m->live, &v) && v.cause == HEALTH_CAUSE_ERRORS)
        note_verdict(w, v.epoch);
}

static void judge(struct world *w)
{
    struct proxy_live *l = wt_map_get(&w->rig.lives, WT_STR("u-1"));
    struct proxy_verdict v = {w->epoch, 1, HEALTH_CAUSE_ERRORS, io_wall_ms(), "a test"};
    proxy_live_restore(l, &v, true);
    note_verdict(w, w->epoch);
}

static void kill_or_revive(struct world *w)
{
    enum proxy_side side = wt_rng_below(&w->rng, 2);
    struct proxy_backend *b =
        wt_map_get(&w->rig.config->by_name, side ? WT_STR("default/new") : WT_STR("default/old"));
    unsigned n = w->n_dead[side];
    bool dead = n && w->dead[side][n - 1].until_ns == INT64_MAX;
    for (uint32_t i = 0; i < b->n_hosts; i++)
        atomic_store(&b->hosts[i]->healthy, dead);
    if (dead)
        w->dead[side][n - 1].until_ns = io_now_ns();
    else if (n < ERAS)
        w->dead[side][w->n_dead[side]++] = (struct era){io_now_ns(), INT64_MAX};
}

static bool all_alive(const struct world *w)
{
    for (int s = 0; s < PROXY_SIDES; s++)
        if (w->n_dead[s] && w->dead[s][w->n_dead[s] - 1].until_ns == INT64_MAX)
            return false;
    return true;
}

static void direct(struct world *w)
{
    switch (wt_rng_below(&w->rng, 8)) {
    case 0:
    case 1:
    case 2:
        if (w->n_eras < ERAS)
            publish(w, wt_rng_below(&w->rng, WEIGHTS));
        break;
    case 3: /* hosts come and go: a new host is healthy, so nobody may be dead meanwhile */
        if (all_alive(w) && w->n_eras < ERAS) {
            rig_set_backend(&w->rig, chance(&w->rng, 50) ? "old" : "new",
                            chance(&w->rng, 50) ? 1 : 2, 1);
            rig_set_backend(&w->rig, "old", 1, 1 + (int)wt_rng_below(&w->rng, HOSTS));
            rig_set_backend(&w->rig, "new", 2, 1 + (int)wt_rng_below(&w->rng, HOSTS));
            publish(w, HALF);
        }
        break;
    case 4:
        if (chance(&w->rng, 40))
            judge(w);
        break;
    case 5:
        if (w->verdict_epoch == w->epoch && w->n_eras < ERAS) {
            w->epoch++; /* a fresh attempt */
            publish(w, HALF);
        }
        break;
    case 6:
        kill_or_revive(w);
        break;
    default:
        if (!w->calm)
            w->origins[wt_rng_below(&w->rng, PROXY_SIDES * HOSTS)].closed = true;
    }
}

static void set_up(struct world *w)
{
    if (!rig_init(&w->rig, io_sys_here()))
        abort();
    w->rig.shared.ctx = w;
    w->rig.shared.announce = announce;
    w->rig.shared.acknowledge = acknowledge;
    w->epoch = 1;
    for (int i = 0; i < PROXY_SIDES * HOSTS; i++) {
        struct origin *o = &w->origins[i];
        char host[32];
        snprintf(host, sizeof host, "10.0.%d.%d", 1 + i / HOSTS, 1 + i % HOSTS);
        *o = (struct origin){.w = w, .side = i / HOSTS ? PROXY_SIDE_NEW : PROXY_SIDE_OLD};
        io_addr_parse(wt_str_z(host), 80, &o->addr, NULL);
        if (io_spawn(IO_STACK_FLOW, run_origin, o, &o->fiber) < 0)
            abort();
    }
    rig_set_gateway(&w->rig);
    rig_set_route(&w->rig, "old");
    rig_set_backend(&w->rig, "old", 1, HOSTS);
    rig_set_backend(&w->rig, "new", 2, HOSTS);
    if (w->seed % 2)
        rig_set_policy(
            &w->rig, w->seed % 4 == 1 ? "new" : "old",
            "'timeout':{'http':{'requestTimeout':'3s'}},'retry':{'numRetries':2,"
            "'retryOn':{'triggers':['5xx','reset','connect-failure'],'httpStatusCodes':[503]},"
            "'perRetry':{'timeout':'1s'}}");
    publish(w, HALF);
}

static void run_world(void *arg)
{
    struct world *w = arg;
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    char name[32];
    snprintf(name, sizeof name, "seed %llu", (unsigned long long)w->seed);
    io_cond_init(&w->left);
    set_up(w);
    io_sleep_until(io_now_ms() + 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){w, {wt_mix64(w->seed * CLIENTS + i)}, i * CALLS, (i + 1) * CALLS};
        for (unsigned k = i * CALLS; k < (i + 1) * CALLS; k++) {
            w->requests[k].method = (int)wt_rng_below(&clients[i].rng, METHODS);
            w->requests[k].user = wt_rng_below(&clients[i].rng, 30);
        }
        w->n_clients++;
        if (io_spawn(IO_STACK_DEEP, run_client, &clients[i], NULL) < 0)
            abort();
    }
    while (w->n_clients > 0) {
        io_cond_wait(&w->left, io_now_ms() + 5 + wt_rng_below(&w->rng, 500));
        direct(w);
    }
    rig_quiesce(&w->rig);
    while (w->n_conns > 0)
        io_cond_wait(&w->left, IO_NEVER);
    for (int i = 0; i < PROXY_SIDES * HOSTS; i++) {
        w->origins[i].stopping = true;
        io_cancel(w->origins[i].fiber);
        io_join(w->origins[i].fiber);
    }
    w->n_wrong += rig_not_zero(&w->rig, name);
    rig_done(&w->rig);
    free(clients);
}

static struct io_sim_options options_of(uint64_t seed, bool calm)
{
    struct wt_rng rng = {wt_mix64(seed)};
    return (struct io_sim_options){
        .seed = seed,
        .latency_min_us = 50,
        .latency_max_us = 100 + wt_rng_below(&rng, 3000),
        .buffer_bytes = 700 + wt_rng_below(&rng, 12000),
        .split_percent = seed % 2 ? wt_rng_below(&rng, 100) : 0,
        .refuse_permille = calm ? 0 : wt_rng_below(&rng, 100),
        .reset_permille = calm ? 0 : wt_rng_below(&rng, 20),
    };
}

static uint64_t play(uint64_t seed, struct world *w)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->calm = seed % 4 == 0;
    w->rng.state = wt_mix64(~seed);
    struct io_sim_options options = options_of(seed, w->calm);
    struct io_loop *loop;
    if (io_sim_new(&options, &w->sim) < 0 || io_loop_new(io_sim_sys(w->sim), &loop, NULL) < 0 ||
        io_spawn_on(loop, IO_STACK_DEEP, run_world, w, NULL) < 0)
        abort();
    io_loop_run(loop, true);
    struct io_loop_stats stats;
    io_loop_get_stats(loop, &stats);
    io_loop_free(loop);
    if (stats.fibers_live || io_sim_open_fds(w->sim)) {
        printf("seed %llu: %u fibers and %u descriptors left\n", (unsigned long long)seed,
               stats.fibers_live, io_sim_open_fds(w->sim));
        w->n_wrong++;
    }
    uint64_t trace = io_sim_trace(w->sim);
    io_sim_free(w->sim);
    return trace;
}

/* The number of seeds, or "SEED 1" for one of them. */
int main(int argc, char **argv)
{
    uint64_t first = argc > 2 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t n = argc > 2   ? strtoull(argv[2], NULL, 10)
                 : argc > 1 ? strtoull(argv[1], NULL, 10)
                            : SEEDS;
    unsigned bad = 0, right = 0, errors = 0;
    struct world *w = malloc(sizeof *w);
    wt_log_setup("sim_proxy", WT_LOG_ERROR);
    make_tables();
    for (uint64_t seed = first; seed < first + n; seed++) {
        uint64_t trace = play(seed, w);
        bool failed = w->n_wrong > 0;
        right += w->n_right;
        errors += w->n_errors;
        total.swaps += w->n_swaps;
        total.verdicts += w->n_verdicts;
        if (w->n_right + w->n_errors + w->n_aborted + w->n_wrong < REQUESTS ||
            (w->calm && w->n_right != REQUESTS)) {
            printf("seed %llu: %u right, %u errors, %u aborted of %d\n", (unsigned long long)seed,
                   w->n_right, w->n_errors, w->n_aborted, (int)REQUESTS);
            failed = true;
        }
        if ((seed % 8 == 0 || failed) && play(seed, w) != trace) {
            printf("seed %llu: two runs differ\n", (unsigned long long)seed);
            failed = true;
        }
        bad += failed;
    }
    printf("%llu seeds: %u answers right, %u errors seen, %u seeds bad; %u+%u seen by origins, %u "
           "again, %u answers broken, %u swaps, %u verdicts\n",
           (unsigned long long)n, right, errors, bad, total.seen[0], total.seen[1], total.repeated,
           total.broken, total.swaps, total.verdicts);
    free(w);
    bool rich = right && errors && total.seen[PROXY_SIDE_NEW] && total.repeated && total.verdicts;
    return bad || (n >= SEEDS && !rich);
}
