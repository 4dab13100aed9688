#include "control/selector.h"

#include <stdio.h>

const char control_selector_forms[] =
    "KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (A,B) and KEY notin (A,B) are understood, separated "
    "by commas";

enum { LABEL_MAX = 320 };

/* Whether the label is there, or has one of `values`, if they are given; or the contrary. Without
 * the label "is not" holds, as in Kubernetes. */
struct requirement {
    struct wt_str key, values;
    bool valued, negated;
};

static const struct sign {
    struct wt_str text;
    bool negated, set;
} signs[] = {
    {WT_STR_INIT("!="), true, false}, {WT_STR_INIT("=="), false, false},
    {WT_STR_INIT("="), false, false}, {WT_STR_INIT("notin"), true, true},
    {WT_STR_INIT("in"), false, true},
};

static size_t until(struct wt_str s, const char *ends)
{
    size_t n = 0;
    while (n < s.len && !memchr(ends, s.ptr[n], strlen(ends)))
        n++;
    return n;
}

static struct wt_str from(struct wt_str s, size_t n)
{
    return wt_str_trim(wt_str_sub(s, n, s.len));
}

static const struct sign *find_sign(struct wt_str s)
{
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (wt_str_starts(s, signs[i].text))
            return &signs[i];
    return NULL;
}

/* What follows the key. */
static bool take_values(struct wt_str *s, struct requirement *q)
{
    const struct sign *sign = find_sign(*s);
    if (!sign)
        return false;
    *s = from(*s, sign->text.len);
    if (sign->set && (!s->len || s->ptr[0] != '('))
        return false;
    if (sign->set)
        *s = wt_str_sub(*s, 1, s->len);
    size_t n = until(*s, sign->set ? "(=!)" : ",(=!)");
    if (sign->set && (n == s->len || s->ptr[n] != ')'))
        return false;
    q->values = wt_str_trim(wt_str_sub(*s, 0, n));
    q->valued = true;
    q->negated = sign->negated;
    *s = from(*s, n + sign->set);
    return true;
}

/* The next one of several; *s becomes {NULL, 0} after the last. */
static bool take(struct wt_str *s, struct requirement *q)
{
    struct wt_str rest = wt_str_trim(*s);
    *q = (struct requirement){.negated = rest.len && rest.ptr[0] == '!'};
    if (q->negated)
        rest = from(rest, 1);
    size_t n = until(rest, " \t,=!()");
    q->key = wt_str_sub(rest, 0, n);
    rest = from(rest, n);
    bool more = rest.len && rest.ptr[0] != ',';
    if (!q->key.len || q->key.len >= LABEL_MAX || (more && (q->negated || !take_values(&rest, q))))
        return false;
    if (rest.len && rest.ptr[0] != ',')
        return false;
    *s = rest.len ? wt_str_sub(rest, 1, rest.len) : wt_str(NULL, 0);
    return true;
}

bool control_selector_valid(struct wt_str selector)
{
    struct requirement q;
    struct wt_str rest = wt_str_trim(selector);
    while (rest.len || (rest.ptr && rest.ptr != selector.ptr))
        if (!take(&rest, &q))
            return false;
    return true;
}

static bool holds(const struct requirement *q, const json_t *labels)
{
    char key[LABEL_MAX];
    snprintf(key, sizeof(key), "%.*s", WT_ARG(q->key));
    const char *have = json_string_value(json_object_get(labels, key));
    bool found = have && !q->valued;
    struct wt_str values = q->values;
    while (have && q->valued && values.ptr)
        found |= wt_str_eq(wt_str_z(have), wt_str_trim(wt_str_next(&values, ',')));
    return found != q->negated;
}

bool control_selector_matches(struct wt_str selector, const json_t *labels)
{
    struct requirement q;
    if (!control_selector_valid(selector))
        return false;
    for (struct wt_str rest = wt_str_trim(selector); rest.len;)
        if (!take(&rest, &q) || !holds(&q, labels))
            return false;
    return true;
}
