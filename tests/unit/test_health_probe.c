/* health/probe.h: after which checks in a row a host changes its state. */
#include "health/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A dot is a check that went well, an x one that failed; what the state is after each: ?, h or u.
 */
static const struct {
    unsigned healthy, unhealthy;
    const char *checks, *states;
} cases[] = {
    {1, 3, ".", "h"},     /* one success suffices at first */
    {5, 3, ".", "h"},     /* also with a higher threshold */
    {1, 3, "xx.", "??h"}, /* one lost packet at start-up takes nothing away */
    {1, 3, "xxx", "??u"}, /* but three do */
    {1, 1, "x", "u"},
    {2, 3, "xxx..", "??uuh"},           /* back after two in a row */
    {2, 3, "xxx.x..", "??uuuuh"},       /* not after two with a failure between */
    {1, 3, ".xx.xx.xxx", "hhhhhhhhhu"}, /* failures count in a row only */
    {0, 0, "x.x", "uhu"},               /* 0 counts as 1 */
};

static void states_follow_checks_in_a_row(void **ctx)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct health_probe p;
        health_probe_init(&p, cases[i].healthy, cases[i].unhealthy);
        char now = '?';
        for (size_t k = 0; cases[i].checks[k]; k++) {
            char before = now;
            bool changed = health_probe_take(&p, cases[i].checks[k] == '.');
            now = health_state_text(p.state)[0] == 'h' ? 'h'
                  : p.state == HEALTH_STATE_UNKNOWN    ? '?'
                                                       : 'u';
            if (now != cases[i].states[k] || changed != (now != before))
                fail_msg("case %zu, check %zu: %c, not %c; changed %d", i, k, now,
                         cases[i].states[k], changed);
        }
    }
}

static void new_thresholds_keep_what_is_known(void **ctx)
{
    struct health_probe p;
    health_probe_init(&p, 1, 3);
    health_probe_take(&p, true);
    health_probe_take(&p, false);
    health_probe_adjust(&p, 1, 2);
    assert_int_equal(p.state, HEALTH_STATE_HEALTHY);
    assert_true(health_probe_take(&p, false));
    assert_int_equal(p.state, HEALTH_STATE_UNHEALTHY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_follow_checks_in_a_row),
        cmocka_unit_test(new_thresholds_keep_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
