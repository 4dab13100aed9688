#include "http/cookie.h"

#include "http/internal.h"

bool http_cookie_next(struct wt_str *list, struct wt_str *out_name, struct wt_str *out_value)
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

bool http_cookie_get(const struct http_head *h, struct wt_str name, struct wt_str *out)
{
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_COOKIE, f))) {
        struct wt_str list = f->value, n, v;
        while (http_cookie_next(&list, &n, &v))
            if (wt_str_eq(n, name)) {
                *out = v;
                return true;
            }
    }
    return false;
}

static int remove_from(struct wt_str *value, struct wt_str name, struct wt_arena *arena)
{
    struct wt_str list = *value, n, v;
    int found = 0;
    while (http_cookie_next(&list, &n, &v))
        found += wt_str_eq(n, name);
    if (!found)
        return 0;
    char *p = wt_arena_alloc(arena, value->len * 2 + 1); /* each ';' may become "; " */
    if (!p)
        return WT_ENOMEM;
    size_t len = 0;
    list = *value;
    while (list.ptr) {
        struct wt_str one = wt_str_trim(wt_str_next(&list, ';'));
        if (!one.len || wt_str_eq(wt_str_trim(wt_str_sub(one, 0, wt_str_find(one, '='))), name))
            continue;
        memcpy(p + len, "; ", len ? 2 : 0);
        len += len ? 2 : 0;
        memcpy(p + len, one.ptr, one.len);
        len += one.len;
    }
    *value = wt_str(p, len);
    return found;
}

int http_cookie_remove(struct http_head *h, struct wt_str name)
{
    int removed = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->n_fields; i++) {
        struct http_field f = h->fields[i];
        int n = f.id == HTTP_FIELD_COOKIE ? remove_from(&f.value, name, h->arena) : 0;
        if (n < 0) { /* the fields not looked at stay */
            memmove(h->fields + kept, h->fields + i, (h->n_fields - i) * sizeof f);
            h->n_fields -= i - kept;
            return n;
        }
        removed += n;
        if (!n || f.value.len)
            h->fields[kept++] = f;
    }
    h->n_fields = kept;
    return removed;
}

/* cookie-octet (RFC 6265 §4.1.1), or with `blank` an attribute value. */
static bool fits(struct wt_str s, bool attribute)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool bad = c < 0x21 || c > 0x7e || c == ';' || (!attribute && memchr("\",\\", c, 3));
        if (bad)
            return false;
    }
    return true;
}

int http_set_cookie_format(const struct http_set_cookie *c, struct wt_buf *out)
{
    static const char *const same_site[] = {"", "; SameSite=Lax", "; SameSite=Strict",
                                            "; SameSite=None"};
    if (!http_field_name_valid(c->name) || !fits(c->value, false) || !fits(c->path, true) ||
        !fits(c->domain, true) || (unsigned)c->same_site > HTTP_SAME_SITE_NONE)
        return WT_EINVAL;
    wt_buf_add_str(out, c->name);
    wt_buf_add_char(out, '=');
    wt_buf_add_str(out, c->value);
    if (c->path.len)
        wt_buf_printf(out, "; Path=%.*s", WT_ARG(c->path));
    if (c->domain.len)
        wt_buf_printf(out, "; Domain=%.*s", WT_ARG(c->domain));
    if (c->max_age_s >= 0)
        wt_buf_printf(out, "; Max-Age=%lld", (long long)c->max_age_s);
    wt_buf_add_str(out, c->secure ? WT_STR("; Secure") : WT_STR(""));
    wt_buf_add_str(out, c->http_only ? WT_STR("; HttpOnly") : WT_STR(""));
    wt_buf_add_str(out, wt_str_z(same_site[c->same_site]));
    return wt_buf_error(out);
}

int http_set_cookie_add(struct http_head *h, const struct http_set_cookie *c)
{
    wt_autobuf struct wt_buf text = wt_buf_make(4096);
    int r = http_set_cookie_format(c, &text);
    if (r < 0)
        return r;
    struct wt_str value = wt_arena_str(h->arena, wt_buf_str(&text));
    return value.ptr ? http_head_add_id(h, HTTP_FIELD_SET_COOKIE, value) : WT_ENOMEM;
}
