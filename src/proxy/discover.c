/* Hosts behind names and in files. One fiber a backend asks again and again, and publishes when the
 * set of addresses changed. No answer, or an empty one, changes nothing: a name server that fails
 * must not take a service away. */
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "model/view.h"
#include "proxy/internal.h"
#include "proxy/resolve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SOURCES_MAX = 4096,
    FILE_BYTES = 1 << 20,
    TTL_FLOOR_MS = 1000,
};

struct source {
    struct proxy_discover *all;
    char *name; /* of the backend */
    char *spec; /* of the backend, as text: another one is another source */
    struct {
        char *host, *path;
        uint16_t port;
        int64_t refresh_ms;
        union io_addr resolvers[PROXY_RESOLVERS_MAX];
        unsigned n_resolvers;
    } what;
    union io_addr *addrs; /* the last good answer, sorted */
    unsigned n;
    uint64_t version; /* 0: no good answer yet */
    uint64_t n_failed;
    bool failing; /* said so in the log */
    bool asked;   /* once at least */
    bool stopped; /* its fiber frees it */
    struct io_cond wake;
};

struct proxy_discover {
    struct proxy *proxy;
    struct wt_map sources; /* backend -> struct source */
    uint64_t last_version;
    struct io_cond answered;
};

struct proxy_discover *proxy_discover_new(struct proxy *p)
{
    struct proxy_discover *d = wt_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->proxy = p;
    io_cond_init(&d->answered);
    return d;
}

void proxy_discover_found(void *discover, struct wt_str backend, const struct model_backend *view,
                          struct proxy_found_hosts *out)
{
    (void)view;
    struct proxy_discover *d = discover;
    const struct source *s = d ? wt_map_get(&d->sources, backend) : NULL;
    if (s)
        *out = (struct proxy_found_hosts){s->addrs, s->n, s->version};
}

static void free_source(struct source *s)
{
    wt_free(s->name);
    wt_free(s->what.host);
    wt_free(s->what.path);
    wt_free(s->addrs);
    free(s->spec); /* jansson's */
    wt_free(s);
}

/* ---- one reading ---- */

struct reading {
    const struct source *source;
    struct io_sys *sys;
    struct proxy_resolved found;
    int result;
    struct wt_err err;
};

static int read_line(struct wt_str line, unsigned number, struct proxy_resolved *out,
                     struct wt_err *err)
{
    union io_addr addr;
    line = wt_str_sub(line, 0, wt_str_find(line, '#'));
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    line = wt_str_trim(line);
    if (!line.len)
        return 0;
    int r = proxy_resolve_literal(line, &addr, err);
    if (r == 0 && io_addr_port(&addr) == 0)
        r = wt_fail(err, WT_EINVAL, "port 0");
    if (r == 0)
        r = proxy_resolved_add(out, &addr, err);
    return r < 0 ? wt_wrap(err, r, "line %u", number) : 0;
}

static int read_hosts(struct reading *r)
{
    struct wt_buf text wt_autobuf = wt_buf_make(FILE_BYTES);
    int code = io_file_read(r->sys, r->source->what.path, FILE_BYTES, &text, &r->err);
    struct wt_str rest = wt_buf_str(&text);
    for (unsigned n = 1; code == 0 && rest.ptr; n++)
        code = read_line(wt_str_next(&rest, '\n'), n, &r->found, &r->err);
    return code;
}

static void do_read(void *arg)
{
    struct reading *r = arg;
    const struct source *s = r->source;
    r->found.ttl_ms = INT64_MAX;
    if (s->what.path)
        r->result = read_hosts(r);
    else
        r->result = proxy_resolve(s->what.host, s->what.port, s->what.resolvers,
                                  s->what.n_resolvers, &r->found, &r->err);
    if (r->result == 0 && r->found.n == 0)
        r->result = wt_fail(&r->err, WT_ENOENT, "no address");
    if (r->result == 0)
        proxy_resolved_sort(&r->found);
}

/* ---- what becomes of it ---- */

static bool same_set(const struct source *s, const struct proxy_resolved *f)
{
    return s->version && s->n == f->n && memcmp(s->addrs, f->addrs, f->n * sizeof *f->addrs) == 0;
}

static void take_failure(struct source *s, const struct wt_err *err)
{
    s->n_failed++;
    if (!s->failing)
        wt_log(WT_LOG_WARN, "backend %s: %s: %s; %s", s->name,
               s->what.path ? s->what.path : s->what.host, err->msg,
               s->version ? "the hosts known so far stay" : "it has no hosts yet");
    s->failing = true;
}

static void take_hosts(struct source *s, struct proxy_resolved *f)
{
    struct wt_err err;
    if (s->failing)
        wt_log(WT_LOG_INFO, "backend %s: %s answers again", s->name,
               s->what.path ? s->what.path : s->what.host);
    s->failing = false;
    if (same_set(s, f))
        return;
    union io_addr *old = s->addrs;
    s->addrs = f->addrs;
    s->n = f->n;
    s->version = ++s->all->last_version;
    f->addrs = old;
    wt_log(WT_LOG_INFO, "backend %s: %u hosts", s->name, s->n);
    if (proxy_publish(s->all->proxy, &err) < 0)
        wt_log(WT_LOG_ERROR, "backend %s: its new hosts are not in use: %s", s->name, err.msg);
}

/* Whether it may take as long as the answer lives; never longer than the user wants. */
static int64_t next_in_ms(const struct source *s, int64_t ttl_ms)
{
    if (ttl_ms < TTL_FLOOR_MS)
        ttl_ms = TTL_FLOOR_MS;
    return s->what.refresh_ms < ttl_ms ? s->what.refresh_ms : ttl_ms;
}

static void run(void *arg)
{
    struct source *s = arg;
    struct proxy_discover *d = s->all;
    while (!s->stopped) {
        struct reading r = {.source = s, .sys = d->proxy->sys};
        io_offload_slow(do_read, &r);
        int64_t at_ms = io_now_ms() + next_in_ms(s, r.result == 0 ? r.found.ttl_ms : INT64_MAX);
        if (s->stopped)
            ;
        else if (r.result == 0)
            take_hosts(s, &r.found);
        else
            take_failure(s, &r.err);
        wt_free(r.found.addrs);
        s->asked = true;
        io_cond_broadcast(&d->answered);
        while (!s->stopped && io_now_ms() < at_ms)
            io_cond_wait(&s->wake, at_ms);
    }
    free_source(s);
}

/* ---- following the configs ---- */

static int fill(struct source *s, const struct model_backend_spec *spec, struct wt_err *err)
{
    int r = 0;
    if (spec->file) {
        s->what.path = wt_str_dup(spec->file->path);
        s->what.refresh_ms = spec->file->refresh_ms;
        return s->what.path ? 0 : wt_fail(err, WT_ENOMEM, "out of memory");
    }
    s->what.host = wt_str_dup(spec->dns->hostname);
    s->what.port = (uint16_t)spec->dns->port;
    s->what.refresh_ms = spec->dns->refresh_ms;
    for (uint32_t i = 0; r == 0 && i < spec->dns->n_resolvers && i < PROXY_RESOLVERS_MAX; i++)
        r = proxy_resolve_literal(spec->dns->resolvers[i],
                                  &s->what.resolvers[s->what.n_resolvers++], err);
    return s->what.host ? r : wt_fail(err, WT_ENOMEM, "out of memory");
}

/* Until the new source has an answer, what the old one found stays in use. */
static void inherit(struct source *s, struct source *old)
{
    s->addrs = old->addrs;
    s->n = old->n;
    s->version = old->version;
    old->addrs = NULL;
    old->n = 0;
}

static void stop(struct source *s)
{
    s->stopped = true;
    io_cond_broadcast(&s->wake);
}

static int start(struct proxy_discover *d, const struct proxy_backend *b,
                 const struct model_backend_spec *spec, char *text, struct wt_err *err)
{
    void *old = NULL;
    struct source *s = wt_map_len(&d->sources) < SOURCES_MAX ? wt_calloc(1, sizeof *s) : NULL;
    if (!s) {
        free(text);
        return wt_fail(err, WT_ELIMIT, "no memory, or more than %d discovered backends",
                       SOURCES_MAX);
    }
    s->all = d;
    s->spec = text;
    s->name = wt_str_dup(b->name);
    io_cond_init(&s->wake);
    int r = s->name ? fill(s, spec, err) : wt_fail(err, WT_ENOMEM, "out of memory");
    if (r == 0 && (r = wt_map_put(&d->sources, b->name, s, &old)) < 0)
        wt_fail(err, r, "out of memory");
    if (r < 0) {
        free_source(s);
        return r;
    }
    if (old) {
        inherit(s, old);
        stop(old);
    }
    r = io_spawn(IO_STACK_DEEP, run, s, NULL);
    if (r < 0) {
        wt_map_take(&d->sources, b->name);
        free_source(s);
        return wt_fail(err, r, "out of memory");
    }
    return 0;
}

static void follow_one(struct proxy_discover *d, const struct proxy_backend *b)
{
    struct wt_arena arena wt_autoarena = wt_arena_make(16 << 20);
    const struct model_backend *view;
    struct wt_err err;
    const json_t *spec = json_object_get(b->docs[0], "spec");
    if (!json_object_get(spec, "dns") && !json_object_get(spec, "file"))
        return;
    char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
    const struct source *s = wt_map_get(&d->sources, b->name);
    if (!text || (s && strcmp(s->spec, text) == 0)) {
        free(text);
        return;
    }
    int r = model_backend_view(b->docs[0], &arena, &view, &err);
    if (r == 0 && (view->spec->dns || view->spec->file))
        r = start(d, b, view->spec, text, &err);
    else
        free(text);
    if (r < 0)
        wt_log(WT_LOG_ERROR, "backend %.*s: its hosts cannot be found: %s", WT_ARG(b->name),
               err.msg);
}

static bool is_discovered(const struct proxy_config *c, struct wt_str name)
{
    const struct proxy_backend *b = wt_map_get(&c->by_name, name);
    const json_t *spec = b ? json_object_get(b->docs[0], "spec") : NULL;
    return json_object_get(spec, "dns") || json_object_get(spec, "file");
}

void proxy_discover_follow(struct proxy_discover *d)
{
    const struct proxy_config *c = d->proxy->config;
    for (uint32_t i = 0; i < c->n_backends; i++)
        follow_one(d, c->backends[i]);
    for (struct wt_map_entry *e = wt_map_first(&d->sources); e; e = wt_map_next(&d->sources, e)) {
        struct source *s = e->value;
        if (is_discovered(c, e->key))
            continue;
        wt_map_take(&d->sources, e->key);
        stop(s);
    }
}

static bool all_asked(const struct proxy_discover *d)
{
    for (struct wt_map_entry *e = wt_map_first(&d->sources); e; e = wt_map_next(&d->sources, e))
        if (!((struct source *)e->value)->asked)
            return false;
    return true;
}

void proxy_discover_settle(struct proxy_discover *d, int64_t deadline_ms)
{
    while (!all_asked(d) && io_cond_wait(&d->answered, deadline_ms) == 0)
        ;
}
