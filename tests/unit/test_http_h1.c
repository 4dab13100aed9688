#include "http/forwarded.h"
#include "http/h1_body.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ARENA_BYTES (256 * 1024)
#define H "Host: a\r\n"

/* A literal that may hold NUL, and the fault it must give. Numbers: the fault catalogue. */
struct row {
    const char *what;
    struct wt_str in;
    enum http_h1_fault fault;
};
#define BAD(what, text, fault)                                                                     \
    {                                                                                              \
        what, WT_STR_INIT(text), HTTP_H1_FAULT_##fault                                             \
    }

static const struct row requests[] = {
    BAD("plain", "GET / HTTP/1.1\r\n" H "\r\n", NONE),
    BAD("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", NONE),
    BAD("three", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", EMPTY_LINES),
    BAD("1.0 without Host", "GET / HTTP/1.0\r\n\r\n", NONE),
    BAD("2.0", "GET / HTTP/2.0\r\n" H "\r\n", VERSION),
    BAD("no version", "GET /\r\n" H "\r\n", REQUEST_LINE),
    BAD("1: CL+TE",
        "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        LENGTH_AND_CODING),
    BAD("2: differ", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        LENGTH_DIFFERS),
    BAD("2: list", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n", LENGTH_INVALID),
    BAD("2: empty", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", LENGTH_INVALID),
    BAD("2: sign", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", LENGTH_INVALID),
    BAD("2: overflow", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n",
        LENGTH_INVALID),
    BAD("3: not final", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n",
        CODING_INVALID),
    BAD("3: xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
        CODING_INVALID),
    BAD("3: twice",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        CODING_INVALID),
    BAD("3: gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
        CODING_UNKNOWN),
    BAD("3: on 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
        CODING_OLD_VERSION),
    BAD("6: bare CR", "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", BARE_LINE_END),
    BAD("6: bare LF", "GET / HTTP/1.1\n" H "\r\n", BARE_LINE_END),
    BAD("6: NUL", "GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", FIELD_VALUE),
    BAD("7: space colon", "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", FIELD_NAME_SPACE),
    BAD("7: fold", "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", FIELD_FOLD),
    BAD("7: empty name", "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", FIELD_NAME),
    BAD("8: missing", "GET / HTTP/1.1\r\n\r\n", HOST_MISSING),
    BAD("8: duplicate", "GET / HTTP/1.1\r\n" H H "\r\n", HOST_DUPLICATE),
    BAD("8: userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HOST_INVALID),
    BAD("8: port", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", HOST_INVALID),
    BAD("9: #", "GET /a#b HTTP/1.1\r\n" H "\r\n", TARGET),
    BAD("9: %00", "GET /%00 HTTP/1.1\r\n" H "\r\n", TARGET),
    BAD("10: body",
        "GET / HTTP/1.1\r\n" H
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
        UPGRADE_BODY),
    BAD("11: unknown", "POST / HTTP/1.1\r\n" H "Expect: x\r\n\r\n", EXPECT_UNKNOWN),
    BAD("15: alias", "GET / HTTP/1.1\r\n" H "X_Forwarded_For: b\r\n\r\n", FIELD_ALIAS),
    BAD("15: unknown with _", "GET / HTTP/1.1\r\n" H "my_field: b\r\n\r\n", NONE),
};

static int parse(struct wt_str in, size_t step, struct wt_arena *arena, struct http_head *h,
                 size_t *used, enum http_h1_fault *fault)
{
    int r = WT_EAGAIN;
    for (size_t last = 0, n = 0; r == WT_EAGAIN && n < in.len; last = n) {
        n = n + step < in.len ? n + step : in.len;
        http_head_init(h, arena);
        r = http_h1_parse_request(wt_str(in.ptr, n), last, &http_h1_default_limits, h, used, fault);
    }
    return r;
}

static void catalogue_at_any_step(void **state)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        for (size_t step = 1; step <= 1000; step = step * 3 + 1) {
            wt_autoarena struct wt_arena arena = wt_arena_make(ARENA_BYTES);
            struct http_head h;
            size_t used = 0;
            enum http_h1_fault fault;
            int r = parse(requests[i].in, step, &arena, &h, &used, &fault);
            if (fault != requests[i].fault || (r == 0) != !requests[i].fault)
                fail_msg("%s, step %zu: %d %s", requests[i].what, step, r,
                         http_h1_fault_info(fault)->id);
            if (r == 0)
                assert_int_equal(used, requests[i].in.len);
        }
}

static void limits(void **state)
{
    static char big[40000];
    wt_autoarena struct wt_arena arena = wt_arena_make(ARENA_BYTES);
    struct http_head h;
    size_t used;
    enum http_h1_fault fault;
    memset(big, 'a', sizeof big);
    memcpy(big, "GET /", 5);
    assert_int_equal(parse(wt_str(big, sizeof big), 40000, &arena, &h, &used, &fault), WT_ELIMIT);
    assert_int_equal(http_h1_fault_info(fault)->status, 414);
    memcpy(big, "GET / HTTP/1.1\r\nA: ", 19);
    assert_int_equal(parse(wt_str(big, sizeof big), 40000, &arena, &h, &used, &fault), WT_ELIMIT);
    assert_int_equal(http_h1_fault_info(fault)->status, 431);
    size_t n = 16;
    for (int i = 0; i < 101; i++, n += 6)
        memcpy(big + n, "A: b\r\n", 6);
    assert_int_equal(parse(wt_str(big, n), n, &arena, &h, &used, &fault), WT_EPROTO);
    assert_int_equal(fault, HTTP_H1_FAULT_TOO_MANY_FIELDS);
}

static void target_and_write(void **state)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(ARENA_BYTES);
    wt_autobuf struct wt_buf out = wt_buf_make(4096);
    struct http_head h, again;
    size_t used;
    enum http_h1_fault fault;
    struct wt_str in = WT_STR("POST http://b:8/x/%2e./%41%2F//c?q=%7e HTTP/1.1\r\nHost: a\r\n"
                              "Connection: close, X-Gone, Cookie\r\nX-Gone: 1\r\nCookie: s=1\r\n"
                              "Content-Length: 3\r\n\r\n");
    assert_int_equal(parse(in, 1000, &arena, &h, &used, &fault), 0);
    assert_true(wt_str_eq(h.path, WT_STR("/A%2F//c")));
    assert_true(wt_str_eq(h.query, WT_STR("q=%7e")));
    assert_true(wt_str_eq(h.authority, WT_STR("b:8")));
    assert_false(h.keep_alive);
    http_strip_hop_by_hop(&h);
    assert_int_equal(http_h1_write_request(&h, &out), 0);
    struct wt_str want = WT_STR("POST /A%2F//c?q=%7e HTTP/1.1\r\nhost: b:8\r\nCookie: s=1\r\n"
                                "content-length: 3\r\nconnection: close\r\n\r\n");
    assert_true(wt_str_eq(wt_buf_str(&out), want));
    assert_int_equal(parse(wt_buf_str(&out), 1000, &arena, &again, &used, &fault), 0);
    assert_true(wt_str_eq(again.path, h.path));
    h.fields[1].value = WT_STR("a\r\nEvil: 1");
    size_t before = out.len;
    assert_int_equal(http_h1_write_request(&h, &out), WT_EINVAL);
    assert_int_equal(out.len, before);
}

static const struct {
    const char *in, *data;
    enum http_h1_fault fault;
} chunked[] = {
    {"3\r\nabc\r\n0\r\n\r\n", "abc", HTTP_H1_FAULT_NONE},
    {"1;x=y\r\na\r\n00\r\nT: v\r\n\r\n", "a", HTTP_H1_FAULT_NONE},
    {"0x3\r\nabc", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"+3\r\nabc", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"3\nabc", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"3 \r\nabc", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"\r\n", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"FFFFFFFFFFFFFFFFF\r\n", "", HTTP_H1_FAULT_CHUNK_SIZE},
    {"3;a\nb\r\nabc", "", HTTP_H1_FAULT_CHUNK_EXTENSION},
    {"1\r\nabc", "a", HTTP_H1_FAULT_CHUNK_END},
    {"0\r\nA : b\r\n\r\n", "", HTTP_H1_FAULT_FIELD_NAME_SPACE},
};

static void chunked_at_any_step(void **state)
{
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
        for (size_t step = 1; step < 64; step++) {
            struct http_head head = {.framing = HTTP_FRAMING_CHUNKED};
            struct http_h1_body b;
            char got[64];
            size_t n = 0, at = 0, end = 0, len = strlen(chunked[i].in), used;
            int r = WT_EAGAIN;
            http_h1_body_init(&b, &head, NULL);
            while (r == WT_EAGAIN || r == HTTP_H1_BODY_DATA) {
                struct wt_str data;
                if (r == WT_EAGAIN && end == len)
                    break;
                if (r == WT_EAGAIN)
                    end = end + step < len ? end + step : len;
                r = http_h1_body_read(&b, wt_str(chunked[i].in + at, end - at), &data, &used);
                at += used;
                if (data.len)
                    memcpy(got + n, data.ptr, data.len);
                n += data.len;
            }
            assert_int_equal(b.fault, chunked[i].fault);
            assert_int_equal(n, strlen(chunked[i].data));
            assert_memory_equal(got, chunked[i].data, n);
            assert_int_equal(r == HTTP_H1_BODY_END, !chunked[i].fault);
        }
}

static void every_name_finds_itself(void **state)
{
    for (unsigned id = 1; id < HTTP_FIELD_COUNT; id++)
        assert_int_equal(http_field_lookup(http_field_name((enum http_field_id)id)), id);
    assert_int_equal(http_field_lookup(WT_STR("COOKIE")), HTTP_FIELD_COOKIE);
    assert_int_equal(http_field_lookup(WT_STR("cookiee")), HTTP_FIELD_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalogue_at_any_step),   cmocka_unit_test(limits),
        cmocka_unit_test(target_and_write),        cmocka_unit_test(chunked_at_any_step),
        cmocka_unit_test(every_name_finds_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
