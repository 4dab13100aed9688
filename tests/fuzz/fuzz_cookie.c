/* Cookie fields, traceparent, authority and path: all that reads what a client wrote into
 * one value. The first line is a name, the rest is the value. */
#include "http/cookie.h"
#include "http/forwarded.h"
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is found lies within a field, trimmed and whole; the second field is found when the first
 * has no such cookie. */
static void check_cookies(struct wt_str name, struct wt_str value, struct wt_arena *arena)
{
    static struct http_head h;
    struct wt_str v;
    http_head_init(&h, arena);
    if (http_head_add_id(&h, HTTP_FIELD_COOKIE, value) < 0)
        return;
    bool found = http_cookie_get(&h, name, &v);
    if (found && (v.ptr < value.ptr || v.ptr + v.len > value.ptr + value.len ||
                  wt_str_find(v, ';') < v.len || wt_str_trim(v).len != v.len))
        abort();
    http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("a=1; b=2"));
    struct wt_str again;
    bool then = http_cookie_get(&h, name, &again);
    bool second = wt_str_eq(name, WT_STR("a")) || wt_str_eq(name, WT_STR("b"));
    if (then != (found || second) || (found && (again.ptr != v.ptr || again.len != v.len)))
        abort();
}

/* What is normal stays as it is. */
static void check_path(struct wt_str path, struct wt_arena *arena)
{
    struct wt_str once, twice;
    if (http_path_normalise(path, arena, &once) < 0)
        return;
    if (once.len > path.len || once.ptr[0] != '/' || http_path_normalise(once, arena, &twice) < 0 ||
        !wt_str_eq(once, twice))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    struct wt_str value = wt_str((const char *)data, size), name, host;
    struct http_traceparent trace;
    char text[HTTP_TRACEPARENT_LEN + 1];
    int port;
    if (!size)
        return 0;
    name = wt_str_next(&value, '\n');
    if (!value.ptr)
        value = WT_STR("");
    if (wt_str_find(name, '=') == name.len) /* no cookie is called so, and no token is */
        check_cookies(name, value, &arena);
    check_path(value, &arena);
    http_authority_split(value, &host, &port);
    if (http_traceparent_parse(value, &trace)) {
        http_traceparent_format(&trace, text);
        if (memcmp(text + 3, value.ptr + 3, HTTP_TRACEPARENT_LEN - 3) != 0)
            abort();
    }
    return 0;
}
