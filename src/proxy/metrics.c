#include "proxy/metrics.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/counters.h"

#include <math.h>
#include <stdio.h>

static const char *const shape_types[] = {
    [PROXY_SHAPE_COUNTER] = "counter", [PROXY_SHAPE_ACTIVE] = "gauge",
    [PROXY_SHAPE_CLASSES] = "counter", [PROXY_SHAPE_SIDES] = "counter",
    [PROXY_SHAPE_TIME] = "histogram",  [PROXY_SHAPE_TIME_SIDES] = "histogram",
    [PROXY_SHAPE_GAUGE] = "gauge",
};

static const char *const kind_labels[PROXY_STATS_KINDS] = {
    [PROXY_STATS_BACKEND] = "envoy_cluster_name",
    [PROXY_STATS_LISTENER] = "envoy_http_conn_manager_prefix",
    [PROXY_STATS_MIGRATION] = "migration",
};

static const char *const side_labels[PROXY_SIDES] = {
    [PROXY_SIDE_OLD] = "side=\"old\"",
    [PROXY_SIDE_NEW] = "side=\"new\"",
};

static const char *const class_labels[PROXY_STATUS_CLASSES] = {
    "envoy_response_code_class=\"1\"", "envoy_response_code_class=\"2\"",
    "envoy_response_code_class=\"3\"", "envoy_response_code_class=\"4\"",
    "envoy_response_code_class=\"5\"",
};

static const char *const le_labels[PROXY_HISTOGRAM_BOUNDS + 1] = {
    "le=\"0.5\"",    "le=\"1\"",      "le=\"5\"",       "le=\"10\"",      "le=\"25\"",
    "le=\"50\"",     "le=\"100\"",    "le=\"250\"",     "le=\"500\"",     "le=\"1000\"",
    "le=\"2500\"",   "le=\"5000\"",   "le=\"10000\"",   "le=\"30000\"",   "le=\"60000\"",
    "le=\"300000\"", "le=\"600000\"", "le=\"1800000\"", "le=\"3600000\"", "le=\"+Inf\"",
};

/* One entry, summed once for all families: the lines of a scrape agree with each other. */
struct row {
    union proxy_sums sums;
    double gauges[PROXY_GAUGES_MAX];
    struct wt_buf label;
};

struct rows {
    struct row *rows;
    size_t n, cap;
    enum proxy_stats_kind kind;
    int error;
};

/* ---- writing ---- */

static void add_z(struct wt_buf *out, const char *z)
{
    wt_buf_add(out, z, strlen(z));
}

static void add_u64(struct wt_buf *out, uint64_t value)
{
    char digits[WT_U64_DIGITS];
    wt_buf_add(out, digits, (size_t)(wt_put_u64(digits, value) - digits));
}

/* The name with its suffix and up to three label texts; absent ones are empty. */
static void add_name(struct wt_buf *out, const char *name, const char *suffix, struct wt_str l1,
                     const char *l2, const char *l3)
{
    add_z(out, name);
    add_z(out, suffix);
    struct wt_str labels[] = {wt_str_z(l2), wt_str_z(l3), l1};
    char sep = '{';
    for (size_t i = 0; i < 3; i++) {
        if (!labels[i].len)
            continue;
        wt_buf_add_char(out, sep);
        wt_buf_add_str(out, labels[i]);
        sep = ',';
    }
    if (sep == ',')
        wt_buf_add_char(out, '}');
    wt_buf_add_char(out, ' ');
}

static void add_line(struct wt_buf *out, const char *name, struct wt_str l1, const char *l2,
                     uint64_t value)
{
    add_name(out, name, "", l1, l2, "");
    add_u64(out, value);
    wt_buf_add_char(out, '\n');
}

/* `type` is "counter", "gauge" or "histogram". */
static void add_head(struct wt_buf *out, const char *name, const char *type, const char *help)
{
    const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        add_z(out, parts[i]);
}

void proxy_metrics_add(struct wt_buf *out, const char *name, bool counter, const char *help,
                       uint64_t value)
{
    add_head(out, name, counter ? "counter" : "gauge", help);
    add_line(out, name, WT_STR(""), "", value);
}

static void add_double(struct wt_buf *out, const char *name, struct wt_str labels, double value)
{
    add_name(out, name, "", labels, "", "");
    if (isnan(value))
        add_z(out, "NaN");
    else if (isinf(value))
        add_z(out, value > 0 ? "+Inf" : "-Inf");
    else
        wt_buf_printf(out, "%.12g", value);
    wt_buf_add_char(out, '\n');
}

/* label="value" with backslash, quote and line feed escaped. */
static void add_label(struct wt_buf *out, const char *label, struct wt_str value)
{
    add_z(out, label);
    add_z(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\\' || c == '"')
            wt_buf_add_char(out, '\\');
        if (c == '\n')
            add_z(out, "\\n");
        else
            wt_buf_add_char(out, c);
    }
    wt_buf_add_char(out, '"');
}

static void add_histogram(struct wt_buf *out, const char *name, struct wt_str l1, const char *l2,
                          const struct proxy_histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= PROXY_HISTOGRAM_BOUNDS; i++) {
        count += h->buckets[i];
        add_name(out, name, "_bucket", l1, l2, le_labels[i]);
        add_u64(out, count);
        wt_buf_add_char(out, '\n');
    }
    add_name(out, name, "_sum", l1, l2, "");
    char part[4] = {'.', (char)('0' + h->sum_us / 100 % 10), (char)('0' + h->sum_us / 10 % 10),
                    (char)('0' + h->sum_us % 10)};
    add_u64(out, h->sum_us / 1000);
    wt_buf_add(out, part, sizeof part);
    wt_buf_add_char(out, '\n');
    add_name(out, name, "_count", l1, l2, "");
    add_u64(out, count);
    wt_buf_add_char(out, '\n');
}

static void add_row(struct wt_buf *out, const struct proxy_counter *c, const struct row *r,
                    struct wt_str label)
{
    const uint64_t *words = proxy_counter_words(c, &r->sums);
    const struct proxy_histogram *times = (const void *)words;
    switch (c->shape) {
    case PROXY_SHAPE_COUNTER:
    case PROXY_SHAPE_ACTIVE:
        add_line(out, c->metric, label, "", words[0]);
        break;
    case PROXY_SHAPE_CLASSES:
        for (size_t i = 0; i < PROXY_STATUS_CLASSES; i++)
            add_line(out, c->metric, label, class_labels[i], words[i]);
        break;
    case PROXY_SHAPE_SIDES:
        for (size_t i = 0; i < PROXY_SIDES; i++)
            add_line(out, c->metric, label, side_labels[i], words[i]);
        break;
    case PROXY_SHAPE_TIME:
        add_histogram(out, c->metric, label, "", times);
        break;
    case PROXY_SHAPE_TIME_SIDES:
        for (size_t i = 0; i < PROXY_SIDES; i++)
            add_histogram(out, c->metric, label, side_labels[i], &times[i]);
        break;
    case PROXY_SHAPE_GAUGE:
        add_double(out, c->metric, label, r->gauges[c->offset]);
        break;
    }
}

/* The same value under the label that the counter has for it. */
static int add_labelled(struct wt_buf *out, const struct proxy_counter *c, const struct row *r)
{
    struct wt_str label = wt_buf_str(&r->label);
    struct wt_buf own = wt_buf_make(4096);
    if (c->label) {
        add_z(&own, c->label);
        wt_buf_add_str(&own, wt_str_sub(label, wt_str_find(label, '='), label.len));
        label = wt_buf_str(&own);
    }
    int error = wt_buf_error(&own);
    if (error == 0)
        add_row(out, c, r, label);
    wt_buf_done(&own);
    return error;
}

/* ---- collecting ---- */

static bool rows_grow(struct rows *rows)
{
    size_t cap = rows->cap ? rows->cap * 2 : 16;
    struct row *more = wt_realloc(rows->rows, cap * sizeof *more);
    if (!more)
        return false;
    rows->rows = more;
    rows->cap = cap;
    return true;
}

static void collect(void *ctx, const struct proxy_stats_entry *e)
{
    struct rows *rows = ctx;
    if (rows->n == rows->cap && !rows_grow(rows)) {
        rows->error = WT_ENOMEM;
        return;
    }
    struct row *r = &rows->rows[rows->n++];
    *r = (struct row){.label = wt_buf_make(4096)};
    proxy_stats_sum(e, &r->sums);
    for (unsigned g = 0; g < PROXY_GAUGES_MAX; g++)
        r->gauges[g] = proxy_gauge_get(e, g);
    add_label(&r->label, kind_labels[rows->kind], proxy_stats_entry_name(e));
    if (wt_buf_error(&r->label) < 0)
        rows->error = wt_buf_error(&r->label);
}

static void rows_done(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        wt_buf_done(&rows->rows[i].label);
    wt_free(rows->rows);
}

static int render_kind(struct proxy_stats *s, enum proxy_stats_kind kind, struct wt_buf *out)
{
    struct rows rows = {.kind = kind};
    proxy_stats_each(s, kind, collect, &rows);
    for (size_t k = 0; k < proxy_counters_len && rows.n && rows.error == 0; k++) {
        const struct proxy_counter *c = &proxy_counters[k];
        if (c->kind != kind)
            continue;
        add_head(out, c->metric, shape_types[c->shape], c->help);
        for (size_t i = 0; i < rows.n && rows.error == 0; i++)
            rows.error = add_labelled(out, c, &rows.rows[i]);
    }
    rows_done(&rows);
    return rows.error;
}

/* ---- the proxy itself ---- */

static const struct {
    const char *name, *help;
    size_t offset;
    bool counter; /* one sum over the workers; else a gauge with a label for each */
} worker_families[] = {
    {"watari_requests_lost_total",
     "Requests without a complete answer, or with an error that the proxy made.",
     offsetof(struct proxy_worker_stats, requests_lost), true},
    {"watari_accept_failures_total", "Connections that could not be accepted.",
     offsetof(struct proxy_worker_stats, accept_failures), true},
    {"watari_access_log_lines_total", "Access log lines written.",
     offsetof(struct proxy_worker_stats, log_lines), true},
    {"watari_access_log_dropped_total", "Access log lines dropped because the sink was slow.",
     offsetof(struct proxy_worker_stats, log_lines_dropped), true},
    {"watari_worker_in_flight_older", "Requests that still run on an older snapshot.",
     offsetof(struct proxy_worker_stats, in_flight_older), false},
    {"watari_worker_snapshot_version", "Version of the snapshot the worker runs.",
     offsetof(struct proxy_worker_stats, snapshot_version), false},
    {"watari_worker_fibers", "Fibers that live: requests under way and a few of the worker's own.",
     offsetof(struct proxy_worker_stats, fibers), false},
    {"watari_worker_stack_high_water_bytes", "The deepest fiber stack seen, of 64 KiB; sampled.",
     offsetof(struct proxy_worker_stats, stack_high_water_bytes), false},
};

static uint64_t worker_word(struct proxy_stats *s, unsigned worker, size_t offset)
{
    const char *block = (const char *)proxy_stats_worker(s, worker);
    return __atomic_load_n((const uint64_t *)(const void *)(block + offset), __ATOMIC_RELAXED);
}

static void render_workers(struct proxy_stats *s, struct wt_buf *out)
{
    unsigned n_workers = proxy_stats_workers(s);
    for (size_t f = 0; f < sizeof worker_families / sizeof worker_families[0]; f++) {
        const char *name = worker_families[f].name;
        bool counter = worker_families[f].counter;
        uint64_t sum = 0;
        add_head(out, name, counter ? "counter" : "gauge", worker_families[f].help);
        for (unsigned w = 0; w < n_workers; w++) {
            uint64_t value = worker_word(s, w, worker_families[f].offset);
            sum += value;
            char label[32];
            int n = snprintf(label, sizeof label, "worker=\"%u\"", w);
            if (!counter)
                add_line(out, name, wt_str(label, (size_t)n), "", value);
        }
        if (counter)
            add_line(out, name, WT_STR(""), "", sum);
    }
    /* A snapshot is in force once the last worker runs it. */
    uint64_t lowest = UINT64_MAX;
    for (unsigned w = 0; w < n_workers; w++) {
        uint64_t v = worker_word(s, w, offsetof(struct proxy_worker_stats, snapshot_version));
        lowest = v < lowest ? v : lowest;
    }
    add_head(out, "watari_snapshot_version", "gauge",
             "Version of the snapshot that every worker runs.");
    add_line(out, "watari_snapshot_version", WT_STR(""), "", lowest);
}

static void render_info(struct proxy_stats *s, const struct proxy_metrics_info *info,
                        struct wt_buf *out)
{
    int64_t up_s = (info->now_wall_ms - info->start_wall_ms) / 1000;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"envoy_server_live", "gauge", "1 while the proxy serves, 0 while it drains.", info->live},
        {"envoy_server_uptime", "gauge", "Seconds since the start.", up_s > 0 ? (uint64_t)up_s : 0},
        {"envoy_server_concurrency", "gauge", "Worker threads.", proxy_stats_workers(s)},
        {"watari_snapshots_rejected_total", "counter",
         "Snapshots refused because they did not decode or compile.", info->snapshots_rejected},
        {"watari_snapshot_objects_not_taken", "gauge",
         "Objects of the snapshot in force that did not compile.", info->objects_not_taken},
        {"watari_access_log_write_errors_total", "counter",
         "Pieces of the access log (up to 64 KiB) that could not be written: a full disk, say.",
         info->log_write_errors},
        {"watari_access_log_lost_total", "counter", "Access log lines lost with them.",
         info->log_lines_lost},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        add_head(out, rows[i].name, rows[i].type, rows[i].help);
        add_line(out, rows[i].name, WT_STR(""), "", rows[i].value);
    }
    add_head(out, "watari_snapshot_build_seconds", "gauge",
             "Time to build the newest snapshot's routes and backends.");
    add_double(out, "watari_snapshot_build_seconds", WT_STR(""), (double)info->build_ns / WT_S_NS);
    add_head(out, "watari_snapshot_adopt_seconds", "gauge",
             "Time from then until every worker ran it.");
    add_double(out, "watari_snapshot_adopt_seconds", WT_STR(""), (double)info->adopt_ns / WT_S_NS);
    struct wt_buf label = wt_buf_make(512);
    add_label(&label, "version", info->version);
    add_head(out, "watari_build_info", "gauge", "Always 1; the label says the version.");
    add_line(out, "watari_build_info", wt_buf_str(&label), "", 1);
    wt_buf_done(&label);
    add_head(out, "process_start_time_seconds", "gauge", "Start, seconds since 1970.");
    add_double(out, "process_start_time_seconds", WT_STR(""), (double)info->start_wall_ms / 1000.0);
}

int proxy_metrics_render(struct proxy_stats *s, const struct proxy_metrics_info *info,
                         struct wt_buf *out, struct wt_err *err)
{
    static const enum proxy_stats_kind order[] = {PROXY_STATS_LISTENER, PROXY_STATS_BACKEND,
                                                  PROXY_STATS_MIGRATION};
    render_info(s, info, out);
    render_workers(s, out);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int r = render_kind(s, order[i], out);
        if (r < 0)
            return wt_fail(err, r, "metrics: %s", wt_code_text(r));
    }
    if (wt_buf_error(out) < 0)
        return wt_fail(err, wt_buf_error(out), "metrics: the text is over %zu bytes", out->max);
    return 0;
}
