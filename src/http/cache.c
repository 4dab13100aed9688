#include "http/cache.h"

enum { NO_STORE = 1, PRIVATE = 2, PUBLIC = 4, S_MAXAGE = 8, MAX_AGE = 16, MUST_REVALIDATE = 32 };

static const struct {
    struct wt_str name;
    unsigned bit;
} directives[] = {
    {WT_STR_INIT("no-store"), NO_STORE}, {WT_STR_INIT("private"), PRIVATE},
    {WT_STR_INIT("public"), PUBLIC},     {WT_STR_INIT("s-maxage"), S_MAXAGE},
    {WT_STR_INIT("max-age"), MAX_AGE},   {WT_STR_INIT("must-revalidate"), MUST_REVALIDATE},
};

static unsigned read_directives(const struct http_head *h)
{
    unsigned bits = 0;
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_CACHE_CONTROL, f))) {
        struct wt_str list = f->value;
        while (list.ptr) {
            struct wt_str one = wt_str_next(&list, ',');
            struct wt_str name = wt_str_trim(wt_str_sub(one, 0, wt_str_find(one, '=')));
            /* private="field" still allows to store the rest (RFC 9111 §5.2.2.7): not a bar. */
            bool partial =
                wt_str_find(one, '=') < one.len && wt_str_eq_nocase(name, WT_STR("private"));
            for (size_t i = 0; !partial && i < sizeof directives / sizeof *directives; i++)
                if (wt_str_eq_nocase(name, directives[i].name))
                    bits |= directives[i].bit;
        }
    }
    return bits;
}

/* Heuristically cacheable (RFC 9110 §15.1). */
static bool is_heuristic(unsigned status)
{
    static const uint16_t list[] = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == status)
            return true;
    return false;
}

enum http_store http_may_store_shared(const struct http_head *request,
                                      const struct http_head *response)
{
    unsigned says = read_directives(response);
    bool get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    struct wt_str v;
    if (response->status < 200 || says & (NO_STORE | PRIVATE) ||
        read_directives(request) & NO_STORE)
        return HTTP_STORE_NO;
    if (http_head_get(request, HTTP_FIELD_AUTHORIZATION, &v) &&
        !(says & (PUBLIC | S_MAXAGE | MUST_REVALIDATE)))
        return HTTP_STORE_NO;
    if (!get && request->method != HTTP_METHOD_POST)
        return HTTP_STORE_NO;
    if (says & (PUBLIC | S_MAXAGE | MAX_AGE) || http_head_get(response, HTTP_FIELD_EXPIRES, &v))
        return HTTP_STORE_EXPLICIT;
    return get && is_heuristic(response->status) ? HTTP_STORE_HEURISTIC : HTTP_STORE_NO;
}
