#include "control/selector.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NO, YES, BAD };

static const struct {
    const char *selector;
    int want; /* of {"side": "new", "zone": "a", "app.example/in": ""} */
} rows[] = {
    {"", YES},
    {"side=new", YES},
    {"side==new", YES},
    {"side = new ,zone=a", YES},
    {"side=old", NO},
    {"side=new,zone=b", NO},
    {"side", YES},
    {"nothing", NO},
    {"!nothing", YES},
    {"! side", NO},
    {"side!=new", NO},
    {"side!=old", YES},
    {"nothing!=old", YES},
    {"side in (old,new)", YES},
    {"side in(old)", NO},
    {"side in ( old , new ),zone", YES},
    {"side notin (old, other)", YES},
    {"side notin (new)", NO},
    {"nothing notin (new)", YES},
    {"nothing in (new)", NO},
    {"app.example/in", YES},
    {"app.example/in=", YES},
    {"app.example/in in ()", YES},
    {"side in new", BAD},
    {"side in (new", BAD},
    {"side inside (new)", BAD},
    {"=new", BAD},
    {"side=new)", BAD},
    {"side=a=b", BAD},
    {"!side=new", BAD},
    {"side new", BAD},
    {"side,", BAD},
    {",", BAD},
    {"()", BAD},
    {"side in (new) zone", BAD},
};

static void forms(void **unused)
{
    (void)unused;
    json_t *labels = json_pack("{s:s, s:s, s:s}", "side", "new", "zone", "a", "app.example/in", "");
    assert_non_null(labels);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wt_str s = wt_str_z(rows[i].selector);
        int got = !control_selector_valid(s) ? BAD : control_selector_matches(s, labels) ? YES : NO;
        if (got != rows[i].want)
            fail_msg("\"%s\": %d, not %d", rows[i].selector, got, rows[i].want);
        assert_true(rows[i].want != BAD || !control_selector_matches(s, labels));
    }
    assert_true(control_selector_matches(WT_STR("!side"), NULL));
    assert_false(control_selector_matches(WT_STR("side"), NULL));
    json_decref(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
