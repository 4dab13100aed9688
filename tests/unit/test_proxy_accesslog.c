#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/accesslog.h"

#include <jansson.h>
#include <stdlib.h>

static struct proxy_log_entry sample(void)
{
    return (struct proxy_log_entry){
        .start_wall_ms = INT64_C(1795243721123), /* 2026-11-21T06:48:41.123Z */
        .duration_us = 12999,
        .request_duration_us = PROXY_LOG_NONE,
        .response_duration_us = 11000,
        .upstream_time_us = 11999,
        .bytes_received = 5,
        .bytes_sent = 14,
        .connection_id = 7,
        .snapshot = 42,
        .status = 200,
        .http_major = 1,
        .http_minor = 1,
        .attempts = 1,
        .slot = 65535,
        .step = 2,
        .epoch = 1,
        .method = WT_STR("GET"),
        .path = WT_STR("/a?b=c"),
        .authority = WT_STR("shop.example"),
        .forwarded_for = WT_STR("192.0.2.1"),
        .user_agent = WT_STR("curl/8"),
        .request_id = WT_STR("id-1"),
        .upstream_host = WT_STR("10.0.0.11:80"),
        .backend = WT_STR("default/old"),
        .route = WT_STR("httproute/default/shop/rule/0"),
        .remote_address = WT_STR("[2001:db8::1]:4711"),
        .migration = WT_STR("default/shop"),
        .side = WT_STR("new"),
    };
}

static const char *write_text(const char *format, const struct proxy_log_entry *e)
{
    static char line[PROXY_LOG_LINE_BYTES + 1];
    struct proxy_log_clock clock = {0};
    struct proxy_log_format *f;
    struct wt_err err = {0};
    if (proxy_log_format_new_text(wt_str_z(format), &f, &err) < 0)
        fail_msg("%s", err.msg);
    size_t n = proxy_log_write(f, e, &clock, line, PROXY_LOG_LINE_BYTES);
    line[n] = 0;
    proxy_log_format_free(f);
    return line;
}

static void default_line(void **state)
{
    struct proxy_log_entry e = sample();
    assert_string_equal(write_text(proxy_log_default_text, &e),
                        "[2026-11-21T06:48:41.123Z] \"GET /a?b=c HTTP/1.1\" 200 - 5 14 12 11 "
                        "\"192.0.2.1\" \"curl/8\" \"id-1\" \"shop.example\" \"10.0.0.11:80\"\n");
    e.flags = PROXY_LOG_UF | PROXY_LOG_URX;
    e.original_path = WT_STR("/before");
    e.upstream_time_us = PROXY_LOG_NONE;
    e.upstream_host = e.forwarded_for = (struct wt_str){NULL, 0};
    e.status = 503;
    assert_string_equal(write_text(proxy_log_default_text, &e),
                        "[2026-11-21T06:48:41.123Z] \"GET /before HTTP/1.1\" 503 URX,UF 5 14 12 - "
                        "\"-\" \"curl/8\" \"id-1\" \"shop.example\" \"-\"\n");
}

static void operators(void **state)
{
    static const struct {
        const char *format, *want;
    } rows[] = {
        {"%ROUTE_NAME%", "httproute/default/shop/rule/0\n"},
        {"%UPSTREAM_CLUSTER%|%CONNECTION_ID%", "default/old|7\n"},
        {"%WATARI(slot)%/%WATARI(migration)%/%WATARI(side)%/%WATARI(step)%/%WATARI(epoch)%",
         "65535/default/shop/new/2/1\n"},
        {"%watari(SNAPSHOT)%", "42\n"},
        {"%REQUEST_DURATION% %RESPONSE_DURATION%", "- 11\n"},
        {"%REQ(:PATH):3%", "/a?\n"},
        {"%ROUTE_NAME:4%", "http\n"},
        {"%DOWNSTREAM_REMOTE_ADDRESS%", "[2001:db8::1]:4711\n"},
        {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "2001:db8::1\n"},
        {"100%%", "100%\n"},
        {"no operators\n", "no operators\n"},
        {"%RESPONSE_FLAGS_LONG%", "-\n"},
        {"%REQ(REFERER)%", "-\n"},
    };
    struct proxy_log_entry e = sample();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(write_text(rows[i].format, &e), rows[i].want);
    e.remote_address = WT_STR("192.0.2.7:80");
    assert_string_equal(write_text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", &e), "192.0.2.7\n");
    e.flags = PROXY_LOG_NR | PROXY_LOG_DPE;
    assert_string_equal(write_text("%RESPONSE_FLAGS_LONG%", &e),
                        "NoRouteFound,DownstreamProtocolError\n");
    e.start_wall_ms = 5;
    assert_string_equal(write_text("%START_TIME%", &e), "1970-01-01T00:00:00.005Z\n");
}

static void bad_formats(void **state)
{
    static const char *const rows[] = {
        "%NOT_THERE%", "%REQ(COOKIE)%", "a % b", "%START_TIME", "%REQ(:PATH):0%", "%REQ(:PATH):x%",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct proxy_log_format *f = NULL;
        struct wt_err err = {0};
        assert_int_equal(proxy_log_format_new_text(wt_str_z(rows[i]), &f, &err), WT_EINVAL);
        assert_null(f);
        assert_non_null(strstr(err.msg, "access log format: "));
    }
}

/* A client must not be able to write a line of its own, or to steer a terminal. */
static void text_escapes(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *want;
    } rows[] = {
        {"a\r\nb", 4, "a\\x0d\\x0ab\n"},
        {"\"\\", 2, "\\\"\\\\\n"},
        {"\0", 1, "\\x00\n"},
        {"\x1b[2J", 4, "\\x1b[2J\n"},
        {"\x7f\x80\xff", 3, "\\x7f\\x80\\xff\n"},
        {"12345678\n12345678", 17, "12345678\\x0a12345678\n"},
        {"", 0, "\n"},
    };
    struct proxy_log_entry e = sample();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        e.user_agent = wt_str(rows[i].in, rows[i].n);
        assert_string_equal(write_text("%REQ(USER-AGENT)%", &e), rows[i].want);
    }
}

static json_t *write_json(const struct proxy_log_entry *e, size_t cap)
{
    struct proxy_log_clock clock = {0};
    struct proxy_log_format *f;
    static char line[PROXY_LOG_LINE_BYTES];
    assert_int_equal(proxy_log_format_new_default_json(&f, NULL), 0);
    size_t n = proxy_log_write(f, e, &clock, line, cap);
    assert_true(n > 2 && n <= cap && line[n - 1] == '\n');
    proxy_log_format_free(f);
    json_error_t error;
    json_t *doc = json_loadb(line, n, JSON_ALLOW_NUL, &error);
    if (!doc)
        fail_msg("%s: %.*s", error.text, (int)n, line);
    return doc;
}

static void json_line(void **state)
{
    struct proxy_log_entry e = sample();
    e.path = wt_str("/\x00\"\n\xc3\xa4\xff\xed\xa0\x80", 10);
    e.upstream_host = (struct wt_str){NULL, 0};
    json_t *doc = write_json(&e, PROXY_LOG_LINE_BYTES);
    assert_string_equal(json_string_value(json_object_get(doc, "start_time")),
                        "2026-11-21T06:48:41.123Z");
    assert_int_equal(json_integer_value(json_object_get(doc, "response_code")), 200);
    assert_int_equal(json_integer_value(json_object_get(doc, "slot")), 65535);
    assert_string_equal(json_string_value(json_object_get(doc, "side")), "new");
    assert_true(json_is_null(json_object_get(doc, "upstream_host")));
    assert_true(json_is_null(json_object_get(doc, "response_flags")));
    json_decref(doc);
}

static void json_mixed(void **state)
{
    static const struct proxy_log_json_key keys[] = {
        {"a\"b", "x \"%REQ(:METHOD)%\" %WATARI(slot)%"},
        {"n", "%WATARI(slot)%"},
    };
    struct proxy_log_entry e = sample();
    struct proxy_log_clock clock = {0};
    struct proxy_log_format *f;
    char line[256];
    e.slot = PROXY_LOG_NONE;
    assert_int_equal(proxy_log_format_new_json(keys, 2, &f, NULL), 0);
    size_t n = proxy_log_write(f, &e, &clock, line, sizeof line);
    line[n] = 0;
    assert_string_equal(line, "{\"a\\\"b\":\"x \\\"GET\\\" -\",\"n\":null}\n");
    proxy_log_format_free(f);
}

/* Whatever the room, a line is whole and JSON is JSON. */
static void cut_lines(void **state)
{
    char wild[4000];
    for (size_t i = 0; i < sizeof wild; i++)
        wild[i] = (char)(i * 37);
    struct proxy_log_entry e = sample();
    e.path = e.user_agent = e.authority = e.request_id = wt_str(wild, sizeof wild);
    struct proxy_log_format *f;
    assert_int_equal(proxy_log_format_new_default_json(&f, NULL), 0);
    struct proxy_log_clock clock = {0};
    size_t min = 1;
    for (size_t written = 0; !written; min += !written) {
        char *line =
            malloc(min); /* of that very size: what is too much is the sanitizer's to see */
        written = proxy_log_write(f, &e, &clock, line, min);
        assert_true(written <= min);
        free(line);
    }
    assert_in_range(min, 100, 4000);
    proxy_log_format_free(f);
    for (size_t cap = min; cap < min + 2000; cap += 13)
        json_decref(write_json(&e, cap));
    json_decref(write_json(&e, PROXY_LOG_LINE_BYTES));
}

static void clock_is_kept(void **state)
{
    struct proxy_log_entry e = sample();
    struct proxy_log_clock clock = {0};
    struct proxy_log_format *f;
    char line[64];
    assert_int_equal(proxy_log_format_new_text(WT_STR("%START_TIME%"), &f, NULL), 0);
    proxy_log_write(f, &e, &clock, line, sizeof line);
    e.start_wall_ms += 877;
    size_t n = proxy_log_write(f, &e, &clock, line, sizeof line);
    assert_memory_equal(line, "2026-11-21T06:48:42.000Z\n", n);
    e.start_wall_ms -= 1000;
    n = proxy_log_write(f, &e, &clock, line, sizeof line);
    assert_memory_equal(line, "2026-11-21T06:48:41.000Z\n", n);
    proxy_log_format_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_line), cmocka_unit_test(operators),
        cmocka_unit_test(bad_formats),  cmocka_unit_test(text_escapes),
        cmocka_unit_test(json_line),    cmocka_unit_test(json_mixed),
        cmocka_unit_test(cut_lines),    cmocka_unit_test(clock_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
