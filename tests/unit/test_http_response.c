#include "http/h1_body.h"
#include "http/h1_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CL "Content-Length: 3\r\n"

static const struct {
    const char *in;
    enum http_method method;
    enum http_h1_fault fault;
    enum http_framing framing;
    bool keep_alive;
} rows[] = {
#define ROW(in, method, fault, framing, keep)                                                      \
    {                                                                                              \
        in, HTTP_METHOD_##method, HTTP_H1_FAULT_##fault, HTTP_FRAMING_##framing, keep              \
    }
    ROW("HTTP/1.1 200 OK\r\n" CL "\r\n", GET, NONE, LENGTH, true),
    ROW("HTTP/1.1 200\r\n" CL "\r\n", GET, NONE, LENGTH, true),
    ROW("HTTP/1.1 200 \r\n" CL CL "\r\n", GET, NONE, LENGTH, true),
    ROW("HTTP/1.1 200 OK\r\n" CL "Connection: close\r\n\r\n", GET, NONE, LENGTH, false),
    ROW("HTTP/1.0 200 OK\r\n" CL "\r\n", GET, NONE, LENGTH, false),
    ROW("HTTP/1.0 200 OK\r\n" CL "Connection: Keep-Alive\r\n\r\n", GET, NONE, LENGTH, true),
    ROW("HTTP/1.1 200 OK\r\n\r\n", GET, NONE, UNTIL_CLOSE, false),
    ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET, NONE, CHUNKED, true),
    ROW("HTTP/1.1 200 OK\r\n" CL "\r\n", HEAD, NONE, NONE, true),
    ROW("HTTP/1.1 200 OK\r\n\r\n", HEAD, NONE, NONE, true),
    ROW("HTTP/1.1 200 OK\r\n" CL "\r\n", CONNECT, NONE, NONE, true),
    ROW("HTTP/1.1 403 No\r\n" CL "\r\n", CONNECT, NONE, LENGTH, true),
    ROW("HTTP/1.1 100 Continue\r\n\r\n", POST, NONE, NONE, true),
    ROW("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", GET, NONE, NONE, true),
    ROW("HTTP/1.1 204 No Content\r\n\r\n", GET, NONE, NONE, true),
    ROW("HTTP/1.1 304 Not Modified\r\n" CL "\r\n", GET, NONE, NONE, true),
    ROW("HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n", GET, NONE, NONE, true),
    ROW("HTTP/1.1 200 OK\r\n" CL "Content-Length: 4\r\n\r\n", GET, LENGTH_DIFFERS, NONE, true),
    ROW("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", GET, LENGTH_INVALID, NONE, true),
    ROW("HTTP/1.1 200 OK\r\n" CL "Transfer-Encoding: chunked\r\n\r\n", GET, LENGTH_AND_CODING, NONE,
        true),
    ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n", GET, CODING_INVALID, NONE, true),
    ROW("HTTP/2.0 200 OK\r\n\r\n", GET, VERSION, NONE, true),
    ROW("HTTP/1.1 99 x\r\n\r\n", GET, STATUS_LINE, NONE, true),
    ROW("HTTP/1.1 600 x\r\n\r\n", GET, STATUS_LINE, NONE, true),
    ROW("HTTP/1.1 2000\r\n\r\n", GET, STATUS_LINE, NONE, true),
    ROW("HTTP/1.1  200 x\r\n\r\n", GET, STATUS_LINE, NONE, true),
    ROW("ICY 200 OK\r\n\r\n", GET, STATUS_LINE, NONE, true),
    ROW("HTTP/1.1 200 OK\n\r\n", GET, BARE_LINE_END, NONE, true),
    ROW("HTTP/1.1 200 O\x01K\r\n\r\n", GET, FIELD_VALUE, NONE, true),
    ROW("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", GET, FIELD_NAME_SPACE, NONE, true),
#undef ROW
};

static int parse(const char *text, size_t step, enum http_method method, struct http_head *h,
                 enum http_h1_fault *fault)
{
    static struct wt_arena arena;
    size_t len = strlen(text), used;
    int r = WT_EAGAIN;
    arena = wt_arena_make(0); /* responses need no memory */
    for (size_t last = 0, n = 0; r == WT_EAGAIN && n < len; last = n) {
        n = n + step < len ? n + step : len;
        http_head_init(h, &arena);
        r = http_h1_parse_response(wt_str(text, n), last, method, &http_h1_default_limits, h, &used,
                                   fault);
    }
    if (r == 0)
        assert_int_equal(used, len);
    return r;
}

static void table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 200; step = step * 3 + 1) {
            struct http_head h;
            enum http_h1_fault fault;
            int r = parse(rows[i].in, step, rows[i].method, &h, &fault);
            bool ok = fault == rows[i].fault && (r == 0) == !fault;
            if (ok && r == 0)
                ok = h.framing == rows[i].framing && h.keep_alive == rows[i].keep_alive &&
                     h.upgrade == (h.status == 101);
            if (!ok)
                fail_msg("row %zu, step %zu: %d %s", i, step, r, http_h1_fault_info(fault)->id);
        }
}

static void body_by_length_and_until_close(void **state)
{
    struct http_h1_body b;
    struct wt_str data;
    size_t used;
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_LENGTH, .length = 3}, NULL);
    assert_int_equal(http_h1_body_read(&b, WT_STR("ab"), &data, &used), HTTP_H1_BODY_DATA);
    assert_int_equal(http_h1_body_eof(&b), WT_EPROTO);
    assert_int_equal(b.fault, HTTP_H1_FAULT_TRUNCATED);
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_LENGTH, .length = 3}, NULL);
    assert_int_equal(http_h1_body_read(&b, WT_STR("abcd"), &data, &used), HTTP_H1_BODY_DATA);
    assert_int_equal(used, 3);
    assert_true(http_h1_body_done(&b));
    assert_int_equal(http_h1_body_read(&b, WT_STR("d"), &data, &used), HTTP_H1_BODY_END);
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_UNTIL_CLOSE}, NULL);
    assert_int_equal(http_h1_body_read(&b, WT_STR("abc"), &data, &used), HTTP_H1_BODY_DATA);
    assert_false(http_h1_body_done(&b));
    assert_int_equal(http_h1_body_eof(&b), HTTP_H1_BODY_END);
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_NONE}, NULL);
    assert_true(http_h1_body_done(&b));
}

static int read_trailers(const char *text, struct http_head *trailers, enum http_h1_fault *fault)
{
    struct http_h1_body b;
    struct wt_str data;
    size_t used;
    http_h1_body_init(&b, &(struct http_head){.framing = HTTP_FRAMING_CHUNKED}, trailers);
    int r = http_h1_body_read(&b, wt_str_z(text), &data, &used);
    *fault = b.fault;
    return r;
}

/* Framing, routing and credentials may not come late (RFC 9110 §6.5.1). */
static void trailers(void **state)
{
    static char big[8192] = "0\r\nA: ";
    wt_autoarena struct wt_arena arena = wt_arena_make(64 * 1024);
    struct http_head t;
    enum http_h1_fault fault;
    struct wt_str v;
    http_head_init(&t, &arena);
    assert_int_equal(read_trailers("0\r\nGrpc-Status: 7\r\nX-Sum: a\r\nHost: evil\r\nCookie: x\r\n"
                                   "Content-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
                                   &t, &fault),
                     HTTP_H1_BODY_END);
    assert_int_equal(t.n_fields, 2);
    assert_true(http_head_get(&t, HTTP_FIELD_GRPC_STATUS, &v) && wt_str_eq(v, WT_STR("7")));
    assert_true(http_head_get_name(&t, WT_STR("x-sum"), &v) && wt_str_eq(v, WT_STR("a")));
    memset(big + 6, 'a', sizeof big - 7);
    assert_int_equal(read_trailers(big, NULL, &fault), WT_ELIMIT);
    assert_int_equal(fault, HTTP_H1_FAULT_TRAILERS_TOO_LARGE);
    size_t n = 3;
    for (int i = 0; i < HTTP_H1_MAX_TRAILERS + 1; i++, n += 6)
        memcpy(big + n, "A: b\r\n", 6);
    memcpy(big + n, "\r\n", 3);
    assert_int_equal(read_trailers(big, NULL, &fault), WT_EPROTO);
    assert_int_equal(fault, HTTP_H1_FAULT_TOO_MANY_FIELDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(body_by_length_and_until_close),
        cmocka_unit_test(trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
