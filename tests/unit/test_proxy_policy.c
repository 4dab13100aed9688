/* proxy/policy.h: when a request is tried again, and after how long. */
#include "proxy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define T(name) (UINT32_C(1) << MODEL_RETRY_##name)

static const int64_t teapot[] = {418};

static const struct {
    uint32_t triggers;
    enum proxy_failure failure;
    unsigned status;
    bool wanted;
} wishes[] = {
    {T(CONNECT_FAILURE), PROXY_FAIL_NONE, 200, false},
    {T(CONNECT_FAILURE), PROXY_FAIL_CONNECT, 0, true},
    {T(CONNECT_FAILURE), PROXY_FAIL_RESET, 0, false},
    {T(RESET), PROXY_FAIL_RESET, 0, true},
    {T(RESET), PROXY_FAIL_RESET_UNSENT, 0, true},
    {T(RESET_BEFORE_REQUEST), PROXY_FAIL_RESET_UNSENT, 0, true},
    {T(RESET_BEFORE_REQUEST), PROXY_FAIL_RESET, 0, false},
    {T(REFUSED_STREAM), PROXY_FAIL_RESET_UNSENT, 0, true},
    {T(GATEWAY_ERROR), PROXY_FAIL_STATUS, 503, true},
    {T(GATEWAY_ERROR), PROXY_FAIL_STATUS, 500, false},
    {T(GATEWAY_ERROR), PROXY_FAIL_TIMEOUT, 0, true},
    {T(ANY_5XX), PROXY_FAIL_STATUS, 500, true},
    {T(ANY_5XX), PROXY_FAIL_STATUS, 404, false},
    {T(ANY_5XX), PROXY_FAIL_CONNECT, 0, true},
    {T(RETRIABLE_4XX), PROXY_FAIL_STATUS, 409, true},
    {T(RETRIABLE_4XX), PROXY_FAIL_STATUS, 404, false},
    {0, PROXY_FAIL_STATUS, 418, true}, /* by httpStatusCodes */
    {0, PROXY_FAIL_STATUS, 503, false},
    {0, PROXY_FAIL_CONNECT, 0, false},
};

static void triggers_decide_what_is_wanted(void **ctx)
{
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        struct proxy_policy p = proxy_policy_from(NULL);
        p.retry_triggers = wishes[i].triggers;
        p.retry_statuses = teapot;
        p.n_retry_statuses = 1;
        if (proxy_policy_wants_retry(&p, wishes[i].failure, wishes[i].status) != wishes[i].wanted)
            fail_msg("row %zu", i);
        p.num_retries = 0;
        assert_false(proxy_policy_wants_retry(&p, wishes[i].failure, wishes[i].status));
    }
}

static const struct {
    enum proxy_failure failure;
    bool idempotent, borne, safe;
} safety[] = {
    {PROXY_FAIL_CONNECT, false, false, true},  {PROXY_FAIL_RESET_UNSENT, false, false, true},
    {PROXY_FAIL_RESET, false, false, false},   {PROXY_FAIL_PROTOCOL, false, false, false},
    {PROXY_FAIL_TIMEOUT, false, false, false}, {PROXY_FAIL_STATUS, false, false, false},
    {PROXY_FAIL_RESET, true, false, true},     {PROXY_FAIL_STATUS, true, false, true},
    {PROXY_FAIL_RESET, false, true, true},     {PROXY_FAIL_STATUS, false, true, true},
};

static void a_post_that_was_sent_is_not_sent_again(void **ctx)
{
    for (size_t i = 0; i < sizeof safety / sizeof safety[0]; i++) {
        struct proxy_policy p = proxy_policy_from(NULL);
        p.retry_non_idempotent = safety[i].borne;
        if (proxy_retry_safe(&p, safety[i].failure, safety[i].idempotent) != safety[i].safe)
            fail_msg("row %zu", i);
    }
}

static void without_a_policy_only_what_was_not_sent_is_tried_again(void **ctx)
{
    struct proxy_policy p = proxy_policy_from(NULL);
    assert_int_equal(p.num_retries, 1);
    assert_true(proxy_policy_wants_retry(&p, PROXY_FAIL_CONNECT, 0));
    assert_true(proxy_policy_wants_retry(&p, PROXY_FAIL_RESET_UNSENT, 0));
    assert_false(proxy_policy_wants_retry(&p, PROXY_FAIL_RESET, 0));
    assert_false(proxy_policy_wants_retry(&p, PROXY_FAIL_TIMEOUT, 0));
    assert_false(proxy_policy_wants_retry(&p, PROXY_FAIL_STATUS, 503));
    assert_false(p.check.enabled);
}

static void pauses_grow_up_to_their_bound(void **ctx)
{
    struct proxy_policy p = proxy_policy_from(NULL);
    static const int64_t most[] = {25, 50, 100, 200, 250, 250};
    for (unsigned try = 1; try <= 6; try++) {
        int64_t longest = 0;
        for (uint64_t random = 0; random < 2000; random++) {
            int64_t ms = proxy_policy_back_off_ms(&p, try, random);
            assert_true(ms >= 0 && ms <= most[try - 1]);
            longest = ms > longest ? ms : longest;
        }
        assert_int_equal(longest, most[try - 1]); /* full jitter: all of it is used */
    }
    assert_true(proxy_policy_back_off_ms(&p, 1000000, UINT64_MAX) <= 250);
    p.back_off_base_ms = p.back_off_max_ms = 0;
    assert_int_equal(proxy_policy_back_off_ms(&p, 3, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triggers_decide_what_is_wanted),
        cmocka_unit_test(a_post_that_was_sent_is_not_sent_again),
        cmocka_unit_test(without_a_policy_only_what_was_not_sent_is_tried_again),
        cmocka_unit_test(pauses_grow_up_to_their_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
