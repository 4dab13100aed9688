/* The tools' own arithmetic: a benchmark that counts wrongly is worse than none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "hist.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"

static const struct answer_row {
    const char *text;
    enum answer_result result;
    int status;
    uint64_t length;
    bool closes;
    const char *cookie;
} answer_rows[] = {
    {OK_HEAD "\r\nabc", ANSWER_DONE, 200, 3, false, ""},
    {"HTTP/1.1 503 No\r\ncontent-length:  0\r\n\r\n", ANSWER_DONE, 503, 0, false, ""},
    {OK_HEAD "Connection: close\r\n\r\nabc", ANSWER_DONE, 200, 3, true, ""},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", ANSWER_DONE, 200, 1, true, ""},
    {OK_HEAD "set-cookie: watari_id=ab.c; Path=/\r\n\r\nabc", ANSWER_DONE, 200, 3, false,
     "watari_id=ab.c"},
    {OK_HEAD "Set-Cookie: other=1\r\n\r\nabc", ANSWER_DONE, 200, 3, false, ""},
    {OK_HEAD "\r\nab", ANSWER_MORE, 0, 0, false, ""},
    {OK_HEAD, ANSWER_MORE, 0, 0, false, ""},
    {OK_HEAD "\r\nabcd", ANSWER_BAD, 0, 0, false, ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ANSWER_BAD, 0, 0, false, ""},
    {"HTTP/1.1 200 OK\r\n\r\n", ANSWER_BAD, 0, 0, false, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc", ANSWER_BAD, 0, 0, false, ""},
    {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", ANSWER_BAD, 0, 0, false, ""},
    {"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc", ANSWER_BAD, 0, 0, false, ""},
    {"SSH-2.0-OpenSSH_9.2 and so on\r\n\r\n", ANSWER_BAD, 0, 0, false, ""},
};

static void row_check(const struct answer_row *row, const struct answer *answer,
                      enum answer_result result)
{
    if (result != row->result)
        fail_msg("%s: result %d, expected %d", row->text, result, row->result);
    if (result != ANSWER_DONE)
        return;
    assert_int_equal(answer->status, row->status);
    assert_int_equal(answer->length, row->length);
    assert_int_equal(answer->closes, row->closes);
    assert_string_equal(answer->cookie, row->cookie);
}

/* Every answer at once, twice on one connection, and cut at every place. */
static void test_answer(void **state)
{
    static struct answer answer;
    for (size_t i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]); i++) {
        const struct answer_row *row = &answer_rows[i];
        size_t len = strlen(row->text);
        answer_init(&answer);
        enum answer_result result = answer_feed(&answer, row->text, len);
        row_check(row, &answer, result);
        if (result == ANSWER_DONE)
            row_check(row, &answer, answer_feed(&answer, row->text, len));
        for (size_t cut = 1; cut < len; cut++) {
            answer_init(&answer);
            result = answer_feed(&answer, row->text, cut);
            if (result == ANSWER_MORE)
                result = answer_feed(&answer, row->text + cut, len - cut);
            else if (result == ANSWER_DONE)
                result = ANSWER_BAD; /* an answer that was complete and goes on */
            row_check(row, &answer, result);
        }
    }
}

static void test_answer_head_is_bounded(void **state)
{
    static struct answer answer;
    char line[] = "X-Padding: 0123456789012345678901234567890123456789\r\n";
    answer_init(&answer);
    enum answer_result result = answer_feed(&answer, OK_HEAD, strlen(OK_HEAD));
    int lines = 0;
    while (result == ANSWER_MORE && lines++ < 1000)
        result = answer_feed(&answer, line, sizeof(line) - 1);
    assert_int_equal(result, ANSWER_BAD);
    assert_in_range(lines, 30, ANSWER_HEAD_BYTES / 40);
}

static void test_hist_is_within_two_percent(void **state)
{
    static struct hist hist;
    for (int64_t value = 1; value <= 1000000; value++)
        hist_add(&hist, value);
    static const double quantiles[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        int64_t right = (int64_t)(quantiles[i] * 1000000);
        assert_in_range(hist_quantile_ns(&hist, quantiles[i]), right, right + right / 50);
    }
    assert_int_equal(hist.max_ns, 1000000);
    assert_true(hist_mean_ns(&hist) > 499999 && hist_mean_ns(&hist) < 500002);
}

static void test_hist_edges(void **state)
{
    static struct hist hist;
    assert_int_equal(hist_quantile_ns(&hist, 0.99), 0);
    hist_add(&hist, -5);
    assert_int_equal(hist_quantile_ns(&hist, 0.99), 0);
    hist_add(&hist, INT64_MAX / 4);
    assert_int_equal(hist.buckets[HIST_BUCKETS - 1], 1);
    hist_add(&hist, 63);
    hist_add(&hist, 64);
    assert_int_equal(hist.buckets[63], 1);
    assert_int_equal(hist.buckets[64], 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_answer_head_is_bounded),
        cmocka_unit_test(test_hist_is_within_two_percent),
        cmocka_unit_test(test_hist_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
