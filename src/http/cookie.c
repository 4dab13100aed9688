#include "http/cookie.h"

#include "http/internal.h"

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

bool http_cookie_nth(const struct http_head *h, struct wt_str name, unsigned nth,
                     struct wt_str *out)
{
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_COOKIE, f))) {
        struct wt_str list = f->value;
        while (list.ptr) {
            struct wt_str one = wt_str_next(&list, ';');
            while (one.len && (*one.ptr == ' ' || *one.ptr == '\t'))
                one = wt_str(one.ptr + 1, one.len - 1);
            if (one.len && is_cookie(one, name, out) && nth-- == 0)
                return true;
        }
    }
    return false;
}

bool http_cookie_get(const struct http_head *h, struct wt_str name, struct wt_str *out)
{
    return http_cookie_nth(h, name, 0, out);
}
