/* What a match and a swap of one route cost with 10 and with 10,000 routes; what an access log line
 * costs. */
#include "base/hash.h"
#include "model/check.h"
#include "model/view.h"
#include "proxy/accesslog.h"
#include "proxy/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUTES_MAX 10000
#define REQUESTS 4096
#define ROUNDS 200

enum shape { SHAPE_HOSTS, SHAPE_PATHS, SHAPES };

static const char *const shape_names[SHAPES] = {"one host each", "one path each on one host"};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct proxy_route_piece *make_piece(enum shape shape, unsigned i, uint64_t version)
{
    char text[1024];
    bool hosts = shape == SHAPE_HOSTS;
    snprintf(
        text, sizeof text,
        "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"HTTPRoute\","
        "\"metadata\":{\"name\":\"r%u\"},\"spec\":{\"parentRefs\":[{\"name\":\"web\"}],"
        "\"hostnames\":[\"%s%u.example\"],\"rules\":[{\"matches\":[{\"path\":{\"value\":\"/"
        "app%u\"}}],"
        "\"backendRefs\":[{\"group\":\"watari.dev\",\"kind\":\"Backend\",\"name\":\"b%u\"}]}]}}",
        i, hosts ? "shop" : "all", hosts ? i : 0, hosts ? 0 : i, i);
    struct wt_arena arena = wt_arena_make(1 << 20);
    struct proxy_route_piece *piece = NULL;
    const struct model_http_route *view;
    struct wt_err err = {0};
    json_t *doc = json_loads(text, 0, NULL);
    if (!doc || model_fill(doc) < 0 || model_http_route_view(doc, &arena, &view, &err) < 0 ||
        proxy_route_piece_new(view, version, &piece, &err) < 0) {
        fprintf(stderr, "route %u: %s\n", i, err.msg);
        exit(1);
    }
    json_decref(doc);
    wt_arena_done(&arena);
    return piece;
}

static uint32_t resolve(void *ctx, const struct proxy_rule *rule, const struct proxy_ref *ref)
{
    return ref->name.ptr[1];
}

static struct proxy_routes *build(struct proxy_route_piece **pieces, size_t n)
{
    static const uint32_t socket_zero;
    struct proxy_route_listener listener = {
        .gateway_namespace = WT_STR("default"),
        .gateway_name = WT_STR("web"),
        .name = WT_STR("http"),
        .port = 80,
        .sockets = &socket_zero,
        .n_sockets = 1,
    };
    struct proxy_routes_input in = {pieces, n, &listener, 1, 1, resolve, NULL};
    struct proxy_routes *routes;
    if (proxy_routes_build(&in, &routes, NULL) < 0)
        exit(1);
    return routes;
}

static double match_ns(const struct proxy_routes *routes, enum shape shape, unsigned n)
{
    static struct http_head heads[REQUESTS];
    static char text[REQUESTS][2][64];
    struct wt_arena arena = wt_arena_make(64 << 20);
    struct wt_rng rng = {7};
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned route = wt_rng_below(&rng, n);
        bool hosts = shape == SHAPE_HOSTS;
        snprintf(text[i][0], 64, "%s%u.example:8080", hosts ? "shop" : "all", hosts ? route : 0);
        snprintf(text[i][1], 64, "/app%u/static/js/main.js", hosts ? 0 : route);
        http_head_init(&heads[i], &arena);
        heads[i].method = HTTP_METHOD_GET;
        heads[i].authority = wt_str_z(text[i][0]);
        heads[i].path = wt_str_z(text[i][1]);
    }
    unsigned missed = 0;
    double best = 1e9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (unsigned i = 0; i < REQUESTS; i++) {
            struct proxy_match m;
            missed += !proxy_route_match(routes, 0, &heads[i], &m);
        }
        double ns = (double)(now_ns() - start) / REQUESTS;
        best = ns < best ? ns : best;
    }
    if (missed)
        printf("%u requests found no route\n", missed);
    wt_arena_done(&arena);
    return best;
}

static void measure(enum shape shape, unsigned n)
{
    static struct proxy_route_piece *pieces[ROUTES_MAX];
    int64_t start = now_ns();
    for (unsigned i = 0; i < n; i++)
        pieces[i] = make_piece(shape, i, 1);
    double compile_ms = (double)(now_ns() - start) / 1e6;
    struct proxy_routes *routes = build(pieces, n);
    double match = match_ns(routes, shape, n);
    double swap_ms = 1e9;
    for (unsigned round = 0; round < 10; round++) {
        unsigned changed = round * (n / 10);
        start = now_ns();
        proxy_route_piece_unref(pieces[changed]);
        pieces[changed] = make_piece(shape, changed, 2);
        struct proxy_routes *next = build(pieces, n);
        double ms = (double)(now_ns() - start) / 1e6;
        swap_ms = ms < swap_ms ? ms : swap_ms;
        proxy_routes_free(routes);
        routes = next;
    }
    printf("%6u routes, %-26s %6.1f ns a match, %7.3f ms a swap of one, %7.1f ms to compile all\n",
           n, shape_names[shape], match, swap_ms, compile_ms);
    proxy_routes_free(routes);
    for (unsigned i = 0; i < n; i++)
        proxy_route_piece_unref(pieces[i]);
}

static void measure_log(const char *name, struct proxy_log_format *f)
{
    struct proxy_log_entry e = {
        .start_wall_ms = INT64_C(1795243721123),
        .duration_us = 2345,
        .upstream_time_us = 2001,
        .bytes_sent = 5120,
        .status = 200,
        .http_major = 1,
        .http_minor = 1,
        .attempts = 1,
        .slot = 4711,
        .step = 2,
        .epoch = 1,
        .method = WT_STR("GET"),
        .path = WT_STR("/doku.php?id=start&do=edit"),
        .authority = WT_STR("shop.example"),
        .forwarded_for = WT_STR("192.0.2.17"),
        .user_agent =
            WT_STR("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        .request_id = WT_STR("4dbbd3a2-6a31-4a7e-9d5b-4f1f64f9a1a0"),
        .upstream_host = WT_STR("10.0.0.11:80"),
        .backend = WT_STR("default/old"),
        .route = WT_STR("httproute/default/shop/rule/0"),
    };
    struct proxy_log_clock clock = {0};
    static char line[PROXY_LOG_LINE_BYTES];
    double best = 1e9;
    size_t bytes = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (unsigned i = 0; i < 1000; i++)
            bytes = proxy_log_write(f, &e, &clock, line, sizeof line);
        double ns = (double)(now_ns() - start) / 1000;
        best = ns < best ? ns : best;
    }
    printf("%s log line of %zu bytes: %.1f ns\n", name, bytes, best);
    proxy_log_format_free(f);
}

int main(void)
{
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        measure(shape, 10);
        measure(shape, ROUTES_MAX);
    }
    struct proxy_log_format *text, *json;
    if (proxy_log_format_new_text(wt_str_z(proxy_log_default_text), &text, NULL) < 0 ||
        proxy_log_format_new_default_json(&json, NULL) < 0)
        return 1;
    measure_log("text", text);
    measure_log("json", json);
    return 0;
}
