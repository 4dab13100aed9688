#include "health/spell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Pulses, a letter each: all bad, most (3 of 4), half, a quarter, good, nobody asked; both sides
 * bad.
 */
static struct health_pulse pulse_of(char letter)
{
    static const struct {
        char letter;
        struct health_pulse pulse;
    } known[] = {
        {'A', {{0, 40}, {0, 40}}}, {'M', {{0, 40}, {0, 30}}}, {'h', {{0, 40}, {0, 20}}},
        {'q', {{0, 40}, {0, 10}}}, {'g', {{0, 40}, {0, 0}}},  {'-', {{0, 0}, {0, 0}}},
        {'B', {{3, 40}, {2, 40}}}, {'1', {{1, 40}, {1, 40}}}, /* one old client, and broken */
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].letter == letter)
            return known[i].pulse;
    fail_msg("no pulse %c", letter);
    return known[0].pulse;
}

static void test_lasts(void **state)
{
    static const struct {
        const char *pulses;
        bool lasts;
    } rows[] = {
        {"", false},
        {"AAA", false},
        {"AAAA", true},
        {"MAMA", true},
        {"A--A-AA", true},
        {"AAAgA", false},
        {"AAAgAAAA", true},
        {"AAAAg", false},
        {"BBBBBBBBBBBBBBBBBBBB", false},
        {"1111", true},
        {"hhhhhhhhhhh", false}, /* five seconds and a half */
        {"hhhhhhhhhhhhhhh", false},
        {"hhhhhhhhhhhhhhhh", true},
        {"qgqqqgqqqqgqqqgqqqqq", true},
        {"qqqqqqqqqqqqqqqqggggg", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct health_spell s = {0, 0};
        for (const char *c = rows[i].pulses; *c; c++) {
            struct health_pulse p = pulse_of(*c);
            health_spell_add(&s, &p);
        }
        if (health_spell_lasts(&s) != rows[i].lasts)
            fail_msg("%s", rows[i].pulses);
    }
}

/* A spell goes on from pulse to pulse while most is bad, and in silence. */
static void test_goes_on(void **state)
{
    static const char pulses[] = "gA-MhA", goes_on[] = "nyyyny";
    struct health_spell s = {0, 0};
    for (int i = 0; pulses[i]; i++) {
        struct health_pulse p = pulse_of(pulses[i]);
        assert_int_equal(health_spell_add(&s, &p), goes_on[i] == 'y');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lasts),
        cmocka_unit_test(test_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
