/* Cookie fields, Set-Cookie, traceparent, query and path: all that reads what a client wrote into
 * one value. The first line is a name, the rest is the value. */
#include "http/cookie.h"
#include "http/forwarded.h"
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count(const struct http_head *h, struct wt_str name)
{
    unsigned total = 0;
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_COOKIE, f))) {
        struct wt_str list = f->value, n, v;
        while (http_cookie_next(&list, &n, &v))
            total += !name.ptr || wt_str_eq(n, name);
    }
    return total;
}

static void check_cookies(struct wt_str name, struct wt_str value, struct wt_arena *arena)
{
    static struct http_head h;
    struct wt_str v;
    http_head_init(&h, arena);
    if (http_head_add_id(&h, HTTP_FIELD_COOKIE, value) < 0)
        return;
    http_head_add_id(&h, HTTP_FIELD_COOKIE, WT_STR("a=1; b=2"));
    unsigned all = count(&h, wt_str(NULL, 0)), named = count(&h, name);
    if (http_cookie_get(&h, name, &v) != (named > 0))
        abort();
    int removed = http_cookie_remove(&h, name);
    if (removed < 0 || (unsigned)removed != named || http_cookie_get(&h, name, &v) ||
        count(&h, wt_str(NULL, 0)) != all - named)
        abort();
}

static void check_set_cookie(struct wt_str name, struct wt_str value)
{
    wt_autobuf struct wt_buf out = wt_buf_make(64 * 1024);
    const struct http_set_cookie c = {.name = name, .value = value, .max_age_s = -1};
    if (http_set_cookie_format(&c, &out) < 0)
        return;
    struct wt_str list = wt_buf_str(&out), n, v;
    if (!http_field_value_valid(list) || !http_cookie_next(&list, &n, &v) || list.ptr ||
        !wt_str_eq(n, name) || !wt_str_eq(v, value))
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
    struct wt_str value = wt_str((const char *)data, size), name, host, out;
    struct http_traceparent trace;
    char text[HTTP_TRACEPARENT_LEN + 1];
    int port;
    if (!size)
        return 0;
    name = wt_str_next(&value, '\n');
    if (!value.ptr)
        value = WT_STR("");
    check_cookies(name, value, &arena);
    check_set_cookie(name, value);
    check_path(value, &arena);
    http_query_get(value, name, &arena, &out);
    http_authority_split(value, &host, &port);
    if (http_traceparent_parse(value, &trace)) {
        http_traceparent_format(&trace, text);
        if (memcmp(text + 3, value.ptr + 3, HTTP_TRACEPARENT_LEN - 3) != 0)
            abort();
    }
    return 0;
}
