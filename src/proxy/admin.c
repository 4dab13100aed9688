/* The admin server: metrics, health, what is served. It changes nothing but by POST, and not for a
 * page of another site that a browser shows. */
#include "proxy/admin.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/uri.h"
#include "io/file.h"
#include "proxy/metrics.h"
#include "proxy/resolve.h"
#include "proxy/stats_filter.h"
#include "rpc/server.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    BODY_BYTES = 64 << 10,
    PAGE_BYTES = 64 << 20,
    BACKLOG = 64,
    AGAIN_MS = 1000
};

struct page {
    struct proxy *proxy;
    const struct rpc_request *request;
    struct rpc_reply *reply;
};

static void say(const struct page *pg, unsigned status, const char *text)
{
    (void)rpc_reply_send(pg->reply, status, WT_STR("text/plain; charset=utf-8"), wt_str_z(text));
}

static void send_json(const struct page *pg, json_t *doc)
{
    char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    json_decref(doc);
    if (text)
        (void)rpc_reply_send(pg->reply, 200, WT_STR("application/json"), wt_str_z(text));
    else
        say(pg, 503, "out of memory\n");
    free(text);
}

/* As Envoy does: every byte of a name that is none in Prometheus becomes an underscore. */
static void add_metric(void *out, const char *name, bool counter, const char *help, uint64_t value)
{
    char text[128];
    snprintf(text, sizeof text, "%s%s", strncmp(name, "watari.", 7) == 0 ? "" : "envoy_", name);
    for (char *p = text; *p; p++)
        *p = *p == '.' ? '_' : *p;
    proxy_metrics_add(out, text, counter, help, value);
}

static void metrics(const struct page *pg)
{
    struct proxy *p = pg->proxy;
    struct wt_err err;
    struct wt_buf out wt_autobuf = wt_buf_make(PAGE_BYTES);
    struct proxy_metrics_info info = {
        .version = WT_STR(WATARI_VERSION),
        .start_wall_ms = p->start_wall_ms,
        .now_wall_ms = p->sys->wall_ms(p->sys),
        .live = !p->draining,
        .snapshots_rejected = p->snapshots_rejected,
        .objects_not_taken = p->config->left_outs.n,
        .log_write_errors = p->shared.logger ? proxy_logger_write_errors(p->shared.logger) : 0,
        .log_lines_lost = p->shared.logger ? proxy_logger_lines_lost(p->shared.logger) : 0,
        .build_ns = p->build_ns,
        .adopt_ns = p->adopt_ns,
    };
    proxy_admin_set_gauges(p);
    proxy_watermark_each(p, add_metric, &out);
    if (proxy_metrics_render(p->shared.stats, &info, &out, &err) < 0)
        say(pg, 503, strncat(err.msg, "\n", sizeof err.msg - strlen(err.msg) - 1));
    else
        (void)rpc_reply_send(pg->reply, 200, WT_STR(PROXY_METRICS_CONTENT_TYPE), wt_buf_str(&out));
}

static void healthz(const struct page *pg)
{
    say(pg, 200, "ok\n");
}

static void readyz(const struct page *pg)
{
    if (pg->proxy->draining)
        say(pg, 503, "draining\n");
    else if (pg->proxy->config->n_listeners == 0)
        say(pg, 503, "nothing is served yet\n");
    else
        say(pg, 200, "ok\n");
}

/* What /stats is asked for. */
struct stats_want {
    struct wt_buf format, filter;
};

static bool has_format(const struct stats_want *w, const char *name)
{
    return wt_str_eq(wt_buf_str(&w->format), wt_str_z(name));
}

static const char *wrong_stats(const struct page *pg, const struct stats_want *w)
{
    if (!rpc_query_readable(pg->request->query))
        return "the query is wrongly encoded, or a value is too long";
    if (w->format.len && !has_format(w, "text") && !has_format(w, "json") &&
        !has_format(w, "prometheus"))
        return "format: text, json and prometheus are there";
    if (w->filter.len && has_format(w, "prometheus"))
        return "filter: only of text and json";
    return proxy_stats_filter_valid(wt_buf_str(&w->filter)) ? NULL : proxy_stats_filter_forms;
}

static void send_stats(const struct page *pg, const struct stats_want *w)
{
    struct wt_buf out wt_autobuf = wt_buf_make(PAGE_BYTES);
    json_t *all = proxy_admin_stats(pg->proxy), *value;
    bool json = has_format(w, "json");
    const char *name;
    json_t *list = json_array();
    json_object_foreach(all, name, value)
    {
        if (w->filter.len && !proxy_stats_filter_matches(wt_buf_str(&w->filter), wt_str_z(name)))
            continue;
        if (json)
            json_array_append_new(list, json_pack("{s:s, s:O}", "name", name, "value", value));
        else if (json_is_integer(value))
            wt_buf_printf(&out, "%s: %lld\n", name, (long long)json_integer_value(value));
        else
            wt_buf_printf(&out, "%s: %.12g\n", name, json_real_value(value));
    }
    if (json)
        send_json(pg, json_pack("{s:O}", "stats", list));
    else if (!all || wt_buf_error(&out))
        say(pg, 503, "out of memory\n");
    else
        (void)rpc_reply_send(pg->reply, 200, WT_STR("text/plain; charset=utf-8"), wt_buf_str(&out));
    json_decref(list);
    json_decref(all);
}

static void stats(const struct page *pg)
{
    struct stats_want want = {wt_buf_make(RPC_QUERY_VALUE_MAX), wt_buf_make(RPC_QUERY_VALUE_MAX)};
    char line[256];
    (void)rpc_query_get(pg->request->query, WT_STR("format"), &want.format);
    (void)rpc_query_get(pg->request->query, WT_STR("filter"), &want.filter);
    const char *wrong = wrong_stats(pg, &want);
    if (wrong) {
        snprintf(line, sizeof line, "%s\n", wrong);
        say(pg, 400, line);
    } else if (has_format(&want, "prometheus")) {
        metrics(pg);
    } else {
        send_stats(pg, &want);
    }
    wt_buf_done(&want.format);
    wt_buf_done(&want.filter);
}

static void config(const struct page *pg)
{
    send_json(pg, proxy_admin_config(pg->proxy));
}

static const char *const levels[] = {"error", "warn", "info", "debug"};

static void show_level(const struct page *pg)
{
    char line[64];
    snprintf(line, sizeof line, "level: %s\n", levels[wt_log_get_level()]);
    say(pg, 200, line);
}

static void set_level(const struct page *pg)
{
    struct wt_buf want wt_autobuf = wt_buf_make(64);
    bool given = rpc_query_get(pg->request->query, WT_STR("level"), &want);
    for (unsigned i = 0; given && i < sizeof levels / sizeof levels[0]; i++) {
        if (!wt_str_eq(wt_buf_str(&want), wt_str_z(levels[i])))
            continue;
        wt_log_set_level((enum wt_log_level)i);
        show_level(pg);
        return;
    }
    say(pg, 400, "usage: POST /logging?level=error|warn|info|debug\n");
}

static void quit(const struct page *pg)
{
    say(pg, 200, "draining\n");
    proxy_begin_drain(pg->proxy);
}

static void home(const struct page *pg);

static const struct {
    struct wt_str path;
    bool post;
    void (*show)(const struct page *pg);
    const char *help;
} pages[] = {
    {WT_STR_INIT("/"), false, home, "this page"},
    {WT_STR_INIT("/metrics"), false, metrics, "counters as Prometheus text"},
    {WT_STR_INIT("/stats/prometheus"), false, metrics, "the same, where Envoy has it"},
    {WT_STR_INIT("/healthz"), false, healthz, "whether the process lives"},
    {WT_STR_INIT("/readyz"), false, readyz, "whether it serves and does not drain"},
    {WT_STR_INIT("/stats"), false, stats,
     "counters as text; ?format=json|prometheus, ?filter=cluster.*rq"},
    {WT_STR_INIT("/config"), false, config, "what is served, as JSON"},
    {WT_STR_INIT("/logging"), false, show_level, "level of the log"},
    {WT_STR_INIT("/logging"), true, set_level, "?level=debug sets it"},
    {WT_STR_INIT("/quitquitquit"), true, quit, "drains and ends the process"},
};
enum { PAGES = sizeof pages / sizeof pages[0] };

static void home(const struct page *pg)
{
    struct wt_buf out wt_autobuf = wt_buf_make(4096);
    for (unsigned i = 0; i < PAGES; i++)
        wt_buf_printf(&out, "%-5s%-18s%s\n", pages[i].post ? "POST" : "GET", pages[i].path.ptr,
                      pages[i].help);
    (void)rpc_reply_send(pg->reply, 200, WT_STR("text/plain; charset=utf-8"), wt_buf_str(&out));
}

/* On a loopback address: a page of another site may have had its own name resolved to it (DNS
 * rebinding), so only localhost and plain addresses are names of ours. Elsewhere any name may be
 * one. */
static bool is_named_rightly(const struct page *pg)
{
    struct wt_str listen = wt_str_z(pg->proxy->options->admin), host;
    if (!wt_str_starts(listen, WT_STR("127.")) && !wt_str_starts(listen, WT_STR("[::1]")))
        return true;
    if (!http_authority_split(pg->request->head->authority, &host, NULL))
        return false;
    size_t digits = 0;
    while (digits < host.len &&
           ((host.ptr[digits] >= '0' && host.ptr[digits] <= '9') || host.ptr[digits] == '.'))
        digits++;
    return digits == host.len || host.ptr[0] == '[' || wt_str_eq_nocase(host, WT_STR("localhost"));
}

static void handle(void *ctx, const struct rpc_request *request, struct rpc_reply *reply)
{
    struct page pg = {ctx, request, reply};
    struct wt_str origin;
    bool is_post = wt_str_eq(request->method, WT_STR("POST"));
    bool is_get =
        wt_str_eq(request->method, WT_STR("GET")) || wt_str_eq(request->method, WT_STR("HEAD"));
    bool known = false;
    if (is_post && http_head_get_name(request->head, WT_STR("origin"), &origin)) {
        say(&pg, 403, "not from a web page\n");
        return;
    }
    if (!is_named_rightly(&pg)) {
        say(&pg, 403, "Host must be localhost or an address\n");
        return;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        if (!wt_str_eq(request->path, pages[i].path))
            continue;
        known = true;
        if (pages[i].post ? is_post : is_get) {
            pages[i].show(&pg);
            return;
        }
    }
    say(&pg, known ? 405 : 404, known ? "another method is needed here\n" : "no such page\n");
}

/* ---- starting ---- */

struct start {
    struct proxy *proxy;
    struct rpc_handler handler;
    union io_addr addr;
};

static void write_address(void *arg)
{
    const struct start *s = arg;
    struct wt_err err;
    char path[512], text[IO_ADDR_TEXT + 2];
    io_addr_format(&s->addr, text);
    strcat(text, "\n");
    snprintf(path, sizeof path, "%s/admin.addr", s->proxy->options->state_dir);
    if (io_file_write(s->proxy->sys, path, wt_str_z(text), 0644, &err) < 0)
        wt_log(WT_LOG_WARN, "%s", err.msg);
}

static int serve(struct start *s, struct wt_err *err)
{
    struct proxy *p = s->proxy;
    struct rpc_server *server;
    struct sockaddr_storage name;
    char text[IO_ADDR_TEXT];
    int fd = io_listen(p->sys, &s->addr, BACKLOG, err);
    if (fd < 0)
        return fd;
    if (p->sys->sockname(p->sys, fd, &name) == 0)
        memcpy(&s->addr.storage, &name, sizeof name);
    int r = rpc_server_new(&s->handler, fd, &server);
    if (r < 0)
        return wt_fail(err, r, "%s", wt_code_text(r));
    wt_log(WT_LOG_INFO, "admin on http://%s", io_addr_format(&s->addr, text));
    io_offload(write_address, s);
    return 0;
}

/* The port may still be another proxy's, which drains: users must not wait for the end of that. */
static void serve_later(void *arg)
{
    struct start *s = arg;
    struct wt_err err;
    while (serve(s, &err) < 0)
        if (io_sleep_until(io_now_ms() + AGAIN_MS) < 0)
            break;
    wt_free(s);
}

int proxy_admin_start(struct proxy *p, struct wt_err *err)
{
    struct start *s = wt_calloc(1, sizeof *s);
    struct wt_err why;
    if (!s)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    *s = (struct start){.proxy = p, .handler = {handle, p, BODY_BYTES, CONNECTIONS_MAX}};
    int r = proxy_resolve_literal(wt_str_z(p->options->admin), &s->addr, err);
    if (r < 0) {
        wt_free(s);
        return wt_wrap(err, r, "--admin");
    }
    if (serve(s, &why) == 0) {
        wt_free(s);
        return 0; /* the server lives as long as the process */
    }
    wt_log(WT_LOG_WARN, "admin: %s; trying again every second", why.msg);
    return io_spawn(IO_STACK_DEEP, serve_later, s, NULL) < 0
               ? wt_fail(err, WT_ENOMEM, "out of memory")
               : 0;
}
