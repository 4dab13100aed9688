#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "proxy/metrics.h"
#include "proxy/stats_filter.h"

#include <stdio.h>
#include <stdlib.h>

static void sums_over_workers(void **state)
{
    struct proxy_stats *s = proxy_stats_new(3);
    struct proxy_stats_entry *e = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("default/old"));
    proxy_count(&proxy_stats_backend(e, 0)->rq_total);
    proxy_count_add(&proxy_stats_backend(e, 1)->rq_total, 5);
    proxy_count(&proxy_stats_backend(e, 0)->rq_active);
    proxy_count(&proxy_stats_backend(e, 0)->rq_active);
    /* Another worker takes one away: the sum is what counts. */
    proxy_count_down(&proxy_stats_backend(e, 2)->rq_active);
    proxy_count_status(proxy_stats_backend(e, 2)->rq_class, 204);
    proxy_count_status(proxy_stats_backend(e, 2)->rq_class, 599);
    proxy_count_status(proxy_stats_backend(e, 2)->rq_class, 600);
    proxy_count_status(proxy_stats_backend(e, 2)->rq_class, 0);
    struct proxy_backend_stats sum;
    proxy_stats_sum(e, &sum);
    assert_int_equal(sum.rq_total, 6);
    assert_int_equal(sum.rq_active, 1);
    assert_int_equal(sum.rq_class[1], 1);
    assert_int_equal(sum.rq_class[4], 1);
    assert_int_equal(sum.rq_class[0] + sum.rq_class[2] + sum.rq_class[3], 0);
    assert_int_equal((uintptr_t)proxy_stats_backend(e, 1) % 64, 0);
    proxy_stats_entry_unref(e);
    proxy_stats_free(s);
}

static void survives_a_swap(void **state)
{
    struct proxy_stats *s = proxy_stats_new(1);
    struct proxy_stats_entry *before = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("a"));
    proxy_count(&proxy_stats_backend(before, 0)->rq_total);
    struct proxy_stats_entry *after = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("a"));
    assert_ptr_equal(before, after);
    proxy_stats_entry_unref(before);
    assert_int_equal(proxy_stats_backend(after, 0)->rq_total, 1);
    proxy_stats_entry_unref(after);
    struct proxy_stats_entry *fresh = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("a"));
    assert_int_equal(proxy_stats_backend(fresh, 0)->rq_total, 0);
    /* The same name of another kind is another entry. */
    struct proxy_stats_entry *other = proxy_stats_take(s, PROXY_STATS_LISTENER, WT_STR("a"));
    assert_ptr_not_equal(fresh, other);
    proxy_stats_entry_unref(fresh);
    proxy_stats_entry_unref(other);
    proxy_stats_free(s);
}

static void histogram_bounds(void **state)
{
    static const struct {
        int64_t us;
        unsigned bucket;
    } rows[] = {
        {-1, 0},   {0, 0},    {500, 0},         {501, 1},         {1000, 1},
        {5000, 2}, {5001, 3}, {3600000000, 18}, {3600000001, 19}, {INT64_MAX, 19},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct proxy_histogram h = {0};
        proxy_histogram_observe(&h, rows[i].us);
        assert_int_equal(h.buckets[rows[i].bucket], 1);
    }
}

/* What a scraper checks: one HELP and TYPE for each family, before its samples, and no sample
 * twice. */
struct scrape {
    struct wt_map samples, families;
};

static void parse(struct wt_str text, struct scrape *out)
{
    char family[128] = "";
    while (text.ptr && text.len) {
        struct wt_str line = wt_str_next(&text, '\n');
        if (wt_str_starts(line, WT_STR("# HELP "))) {
            struct wt_str rest = wt_str_sub(line, 7, line.len);
            struct wt_str name = wt_str_next(&rest, ' ');
            assert_true(rest.len > 0);
            snprintf(family, sizeof family, "%.*s", WT_ARG(name));
            void *old = NULL;
            assert_int_equal(wt_map_put(&out->families, name, out, &old), 0);
            assert_null(old);
            struct wt_str type = wt_str_next(&text, '\n');
            char want[160];
            snprintf(want, sizeof want, "# TYPE %s ", family);
            assert_true(wt_str_starts(type, wt_str_z(want)));
            continue;
        }
        assert_true(wt_str_starts(line, wt_str_z(family)));
        size_t space = line.len;
        while (space && line.ptr[space - 1] != ' ')
            space--;
        assert_true(space > 1);
        void *old = NULL;
        char *value = wt_str_dup(wt_str_sub(line, space, line.len));
        assert_int_equal(wt_map_put(&out->samples, wt_str_sub(line, 0, space - 1), value, &old), 0);
        assert_null(old);
    }
}

static void scrape_done(struct scrape *s)
{
    for (struct wt_map_entry *e = wt_map_first(&s->samples); e; e = wt_map_next(&s->samples, e))
        free(e->value);
    wt_map_done(&s->samples);
    wt_map_done(&s->families);
}

static void expect(const struct scrape *s, const char *sample, const char *value)
{
    const char *seen = wt_map_get(&s->samples, wt_str_z(sample));
    if (!seen)
        fail_msg("no sample %s", sample);
    assert_string_equal(seen, value);
}

static void count_some(struct proxy_stats *s, struct proxy_stats_entry *entries[4])
{
    entries[0] = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("default/old"));
    entries[1] = proxy_stats_take(s, PROXY_STATS_BACKEND, WT_STR("default/n\"e\\w\n"));
    entries[2] = proxy_stats_take(s, PROXY_STATS_LISTENER, WT_STR("0.0.0.0:8080"));
    entries[3] = proxy_stats_take(s, PROXY_STATS_MIGRATION, WT_STR("default/shop"));
    proxy_count(&proxy_stats_backend(entries[0], 0)->rq_total);
    proxy_histogram_observe(&proxy_stats_backend(entries[0], 0)->rq_time, 700);
    proxy_histogram_observe(&proxy_stats_backend(entries[0], 1)->rq_time, 7042);
    proxy_count_status(proxy_stats_listener(entries[2], 1)->rq_class, 503);
    proxy_count_add(&proxy_stats_listener(entries[2], 0)->cx_refused, 4);
    proxy_count_add(&proxy_stats_backend(entries[0], 0)->cx_reused_stale, 5);
    proxy_count_add(&proxy_stats_backend(entries[0], 1)->cx_surplus, 6);
    proxy_count_add(&proxy_stats_migration(entries[3], 0)->requests[PROXY_SIDE_NEW], 12);
    proxy_count(&proxy_stats_migration(entries[3], 1)->bad[PROXY_SIDE_NEW]);
    proxy_gauge_set(entries[3], PROXY_MIGRATION_WEIGHT, 12.5);
    proxy_gauge_set(entries[0], PROXY_BACKEND_HEALTHY, 2);
    proxy_count_set(&proxy_stats_worker(s, 0)->snapshot_version, 9);
    proxy_count_set(&proxy_stats_worker(s, 1)->snapshot_version, 8);
    proxy_count_set(&proxy_stats_worker(s, 1)->in_flight_older, 3);
    proxy_count(&proxy_stats_worker(s, 0)->requests_lost);
    proxy_count(&proxy_stats_worker(s, 1)->requests_lost);
}

static void metrics_text(void **state)
{
    static const struct {
        const char *sample, *value;
    } rows[] = {
        {"envoy_cluster_upstream_rq_total{envoy_cluster_name=\"default/old\"}", "1"},
        {"envoy_cluster_upstream_rq_total{envoy_cluster_name=\"default/n\\\"e\\\\w\\n\"}", "0"},
        {"envoy_cluster_upstream_rq_time_bucket{le=\"0.5\",envoy_cluster_name=\"default/old\"}",
         "0"},
        {"envoy_cluster_upstream_rq_time_bucket{le=\"1\",envoy_cluster_name=\"default/old\"}", "1"},
        {"envoy_cluster_upstream_rq_time_bucket{le=\"10\",envoy_cluster_name=\"default/old\"}",
         "2"},
        {"envoy_cluster_upstream_rq_time_bucket{le=\"+Inf\",envoy_cluster_name=\"default/old\"}",
         "2"},
        {"envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"default/old\"}", "7.742"},
        {"envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"default/old\"}", "2"},
        {"envoy_cluster_membership_healthy{envoy_cluster_name=\"default/old\"}", "2"},
        {"envoy_http_downstream_rq_xx{envoy_response_code_class=\"5\","
         "envoy_http_conn_manager_prefix=\"0.0.0.0:8080\"}",
         "1"},
        {"envoy_listener_downstream_cx_overload_reject{envoy_listener_address=\"0.0.0.0:8080\"}",
         "4"},
        {"watari_cluster_upstream_cx_reused_stale{envoy_cluster_name=\"default/old\"}", "5"},
        {"watari_cluster_upstream_cx_surplus{envoy_cluster_name=\"default/old\"}", "6"},
        {"watari_migration_weight{migration=\"default/shop\"}", "12.5"},
        {"watari_migration_requests_total{side=\"new\",migration=\"default/shop\"}", "12"},
        {"watari_migration_bad_total{side=\"new\",migration=\"default/shop\"}", "1"},
        {"watari_migration_bad_total{side=\"old\",migration=\"default/shop\"}", "0"},
        {"watari_requests_lost_total", "2"},
        {"watari_worker_in_flight_older{worker=\"1\"}", "3"},
        {"watari_snapshot_version", "8"},
        {"watari_build_info{version=\"0.1.0\"}", "1"},
        {"envoy_server_uptime", "61"},
    };
    struct proxy_stats *s = proxy_stats_new(2);
    struct proxy_stats_entry *entries[4];
    count_some(s, entries);
    struct wt_buf text = wt_buf_make(1 << 20);
    struct proxy_metrics_info info = {
        .version = WT_STR("0.1.0"), .start_wall_ms = 1000, .now_wall_ms = 62500, .live = true};
    assert_int_equal(proxy_metrics_render(s, &info, &text, NULL), 0);
    struct scrape scrape = {0};
    parse(wt_buf_str(&text), &scrape);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(&scrape, rows[i].sample, rows[i].value);
    scrape_done(&scrape);
    wt_buf_done(&text);

    struct wt_buf small = wt_buf_make(1000);
    struct wt_err err = {0};
    assert_int_equal(proxy_metrics_render(s, &info, &small, &err), WT_ELIMIT);
    assert_true(err.msg[0]);
    wt_buf_done(&small);
    for (size_t i = 0; i < 4; i++)
        proxy_stats_entry_unref(entries[i]);
    proxy_stats_free(s);
}

static const struct {
    const char *filter, *name;
    int want; /* -1: refused */
} filters[] = {
    {"", "server.uptime", 1},
    {"uptime", "server.uptime", 1},
    {"Uptime", "server.uptime", 0},
    {"^up", "server.uptime", 0},
    {"^server", "server.uptime", 1},
    {"time$", "server.uptime", 1},
    {"up$", "server.uptime", 0},
    {"^server\\.uptime$", "server.uptime", 1},
    {"^server.uptime$", "server.uptimes", 0},
    {"a.*a$", "aa", 1},
    {"a.*a$", "a", 0},
    {"^a.*b.*c$", "axbbxc", 1},
    {"^a.*b.*c$", "acb", 0},
    {"ab$", "ab.ab", 1},
    {"cluster.*rq|server", "cluster.default/a.upstream_rq_total", 1},
    {"cluster.*rq|server", "server.live", 1},
    {"cluster.*rq|server", "snapshot.version", 0},
    {".*", "", 1},
    {"^$", "a", 0},
    {"rq_[0-9]xx", "", -1},
    {"(a|b)", "", -1},
    {"a+", "", -1},
    {"a*", "", -1},
    {"a$b", "", -1},
    {"\\d", "", -1},
    {"\\", "", -1},
};

static void filters_of_names(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct wt_str filter = wt_str_z(filters[i].filter);
        int got = !proxy_stats_filter_valid(filter)
                      ? -1
                      : proxy_stats_filter_matches(filter, wt_str_z(filters[i].name));
        if (got != filters[i].want)
            fail_msg("%s of %s: %d", filters[i].filter, filters[i].name, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_workers), cmocka_unit_test(survives_a_swap),
        cmocka_unit_test(histogram_bounds),  cmocka_unit_test(metrics_text),
        cmocka_unit_test(filters_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
