#include "http/cookie.h"

#include "http/internal.h"

/* One "name=value" of a Cookie field: *list is advanced. False at the end. */
static bool next(struct wt_str *list, struct wt_str *out_name, struct wt_str *out_value)
{
    while (list->ptr) {
        struct wt_str one = wt_str_trim(wt_str_next(list, ';'));
        if (!one.len)
            continue;
        size_t eq = wt_str_find(one, '=');
        *out_name = wt_str_trim(wt_str_sub(one, 0, eq));
        *out_value = wt_str_trim(wt_str_sub(one, eq + 1, one.len));
        return true;
    }
    return false;
}

/* Whether `one` is a cookie of that name, and its value; only a name that begins alike is looked
 * at. */
static inline bool is_cookie(struct wt_str one, struct wt_str name, struct wt_str *out)
{
    if (!wt_str_starts(one, name))
        return false;
    struct wt_str rest = wt_str_trim(wt_str_sub(one, name.len, one.len));
    if (rest.len && rest.ptr[0] != '=')
        return false;
    *out = wt_str_trim(wt_str_sub(rest, 1, rest.len));
    return true;
}

bool http_cookie_get(const struct http_head *h, struct wt_str name, struct wt_str *out)
{
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_COOKIE, f))) {
        struct wt_str list = f->value;
        while (list.ptr) {
            struct wt_str one = wt_str_trim(wt_str_next(&list, ';'));
            if (one.len && is_cookie(one, name, out))
                return true;
        }
    }
    return false;
}
