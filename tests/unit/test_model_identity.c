#include "model/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const uint8_t site_key[32] = "0123456789abcdef0123456789ABCDEF";
static const uint8_t other_key[32] = "another site's key, 32 bytes of.";
static const uint8_t random_a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, random_b[8] = {255, 254, 253};
static struct model_identity_keys keys;

static struct wt_str cookie_of(const struct model_identity *id, char text[MODEL_IDENTITY_TEXT + 1])
{
    model_identity_format(&keys, id, text);
    assert_int_equal(strlen(text), MODEL_IDENTITY_TEXT);
    return wt_str_z(text);
}

static void test_there_and_back(void **state)
{
    char text[MODEL_IDENTITY_TEXT + 1];
    struct model_identity id = model_identity_random(random_a), back;
    struct wt_str cookie = cookie_of(&id, text);
    assert_true(model_identity_parse(&keys, cookie, &back));
    assert_memory_equal(&back, &id, sizeof(id));
    assert_string_equal(text, "AQIDBAUGBwjNyWU1ezLm2A");
}

static void test_every_change_is_refused(void **state)
{
    char text[MODEL_IDENTITY_TEXT + 1];
    struct model_identity id = model_identity_random(random_a), back = id;
    struct wt_str cookie = cookie_of(&id, text);
    for (size_t i = 0; i < MODEL_IDENTITY_TEXT; i++) {
        char was = text[i];
        for (int c = 0; c < 256; c++) {
            text[i] = (char)c;
            assert_int_equal(model_identity_parse(&keys, cookie, &back), (char)c == was);
        }
        text[i] = was;
        assert_false(model_identity_parse(&keys, wt_str(text, i), &back));
    }
    struct model_identity_keys others = model_identity_keys_from(other_key);
    assert_false(model_identity_parse(&others, cookie, &back));
    assert_false(model_identity_parse(&keys, wt_str(NULL, 0), &back));
}

static void test_precedence(void **state)
{
    char text[MODEL_IDENTITY_TEXT + 1];
    struct model_identity visitor = model_identity_random(random_a);
    struct model_identity alice = model_identity_seeded(&keys, WT_STR("alice"));
    struct model_identity fresh = model_identity_random(random_b);
    struct wt_str cookie = cookie_of(&visitor, text), none = {NULL, 0};
    const struct {
        struct wt_str cookie, key;
        bool stable;
        const struct model_identity *who;
        bool mint;
    } cases[] = {
        {none, none, false, &fresh, true},
        {none, WT_STR("alice"), false, &alice, true},
        {cookie, none, false, &visitor, false},
        {cookie, WT_STR("alice"), false, &visitor, false}, /* a login moves nobody */
        {cookie, WT_STR("bob"), false, &visitor, false},
        {cookie, WT_STR("alice"), true, &alice, false},
        {none, WT_STR("alice"), true, &alice, false},
        {cookie, none, true, &visitor, false},
        {WT_STR("forged-forged-forged-f"), WT_STR("alice"), false, &alice, true},
        {WT_STR("forged"), none, false, &fresh, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool mint = !cases[i].mint;
        struct model_identity id = model_identity_choose(&keys, cases[i].cookie, cases[i].key,
                                                         cases[i].stable, random_b, &mint);
        assert_memory_equal(&id, cases[i].who, sizeof(id));
        assert_int_equal(mint, cases[i].mint);
    }
}

static int setup(void **state)
{
    keys = model_identity_keys_from(site_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_every_change_is_refused),
        cmocka_unit_test(test_precedence),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
