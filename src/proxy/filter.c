#include "proxy/filter.h"

#include "http/uri.h"
#include "model/reserved.h"

/* ---- compiling ---- */

static int compile_field(struct wt_str name, struct wt_str value, struct wt_arena *arena,
                         struct proxy_field *out, struct wt_err *err)
{
    uint8_t id = (uint8_t)http_field_lookup(name);
    if (!http_field_name_valid(name) || !http_field_value_valid(value))
        return wt_fail(err, WT_EINVAL, "field \"%.*s\": not a field name and value", WT_ARG(name));
    if (model_reserved_field(name) || model_reserved_host(name))
        return wt_fail(err, WT_EINVAL, "field \"%.*s\" is the proxy's own", WT_ARG(name));
    struct wt_str n = wt_arena_str(arena, name);
    struct wt_str v = wt_arena_str(arena, value);
    if (!n.ptr || !v.ptr)
        return wt_fail(err, WT_ENOMEM, "no memory");
    *out = (struct proxy_field){n, v, id};
    return 0;
}

/* Host is no field of a head: the writer makes it of the authority. */
static int compile_host(struct wt_str value, struct wt_arena *arena, struct wt_str *out,
                        struct wt_err *err)
{
    if (!model_reserved_host_value(value))
        return wt_fail(err, WT_EINVAL, "Host \"%.*s\": not a host", WT_ARG(value));
    *out = wt_arena_str(arena, value);
    return out->ptr ? 0 : wt_fail(err, WT_ENOMEM, "no memory");
}

/* `host`: where the value of Host goes; NULL where it may not be changed. */
static int compile_list(const struct model_http_header *from, uint32_t n, struct wt_arena *arena,
                        const struct proxy_field **out, uint32_t *out_n, struct wt_str *host,
                        struct wt_err *err)
{
    uint32_t used = 0;
    struct proxy_field *fields = n ? wt_arena_zalloc(arena, n * sizeof *fields) : NULL;
    if (n && !fields)
        return wt_fail(err, WT_ENOMEM, "no memory");
    for (uint32_t i = 0; i < n; i++) {
        int r = host && model_reserved_host(from[i].name)
                    ? compile_host(from[i].value, arena, host, err)
                    : compile_field(from[i].name, from[i].value, arena, &fields[used++], err);
        if (r < 0)
            return r;
    }
    *out = fields;
    *out_n = used;
    return 0;
}

static int compile_changes(const struct model_http_header_filter *from, struct wt_arena *arena,
                           struct proxy_field_changes *out, struct wt_str *host, struct wt_err *err)
{
    struct proxy_field_changes c = {0};
    int r = compile_list(from->set, from->n_set, arena, &c.set, &c.n_set, host, err);
    if (r == 0)
        r = compile_list(from->add, from->n_add, arena, &c.add, &c.n_add, NULL, err);
    struct proxy_field *remove =
        from->n_remove ? wt_arena_zalloc(arena, from->n_remove * sizeof *remove) : NULL;
    if (r == 0 && from->n_remove && !remove)
        r = wt_fail(err, WT_ENOMEM, "no memory");
    for (uint32_t i = 0; i < from->n_remove && r == 0; i++)
        r = compile_field(from->remove[i], WT_STR(""), arena, &remove[i], err);
    if (r < 0)
        return r;
    c.remove = remove;
    c.n_remove = from->n_remove;
    *out = c;
    return 0;
}

static int compile_path(const struct model_http_path_modifier *from, struct wt_arena *arena,
                        struct proxy_path_change *out, struct wt_err *err)
{
    if (!from)
        return 0;
    bool full = from->type == MODEL_HTTP_MODIFY_FULL_PATH;
    struct wt_str value = full ? from->replace_full_path : from->replace_prefix_match;
    /* The one form in which paths go out (http/uri.h), whatever a store holds. */
    int r = value.len ? http_path_normalise(value, arena, &value) : 0;
    if (r < 0)
        return wt_fail(err, r, "path \"%.*s\": %s", WT_ARG(value),
                       r == WT_EINVAL ? "no path to put in" : "no memory");
    while (!full && value.len && value.ptr[value.len - 1] == '/')
        value.len--;
    struct wt_str copy = wt_arena_str(arena, value.ptr ? value : WT_STR(""));
    if (!copy.ptr)
        return wt_fail(err, WT_ENOMEM, "no memory");
    *out = (struct proxy_path_change){full ? PROXY_PATH_FULL : PROXY_PATH_PREFIX, copy};
    return 0;
}

static int compile_redirect(const struct model_http_request_redirect *from, struct wt_arena *arena,
                            struct proxy_filters *out, struct wt_err *err)
{
    out->redirect = true;
    out->status = from->status_code ? (uint16_t)from->status_code : 302;
    out->port = from->has_port ? (uint16_t)from->port : 0;
    if (from->scheme == MODEL_HTTP_SCHEME_HTTP)
        out->scheme = WT_STR("http");
    if (from->scheme == MODEL_HTTP_SCHEME_HTTPS)
        out->scheme = WT_STR("https");
    out->hostname = wt_arena_str(arena, from->hostname);
    return compile_path(from->path, arena, &out->path, err);
}

static int compile_one(const struct model_http_route_filter *from, struct wt_arena *arena,
                       struct proxy_filters *out, struct wt_err *err)
{
    switch (from->type) {
    case MODEL_HTTP_FILTER_REQUEST_HEADER_MODIFIER:
        if (from->request_header_modifier)
            return compile_changes(from->request_header_modifier, arena, &out->request, &out->host,
                                   err);
        break;
    case MODEL_HTTP_FILTER_RESPONSE_HEADER_MODIFIER:
        if (from->response_header_modifier)
            return compile_changes(from->response_header_modifier, arena, &out->response, NULL,
                                   err);
        break;
    case MODEL_HTTP_FILTER_REQUEST_REDIRECT:
        if (from->request_redirect)
            return compile_redirect(from->request_redirect, arena, out, err);
        break;
    case MODEL_HTTP_FILTER_URL_REWRITE:
        if (!from->url_rewrite)
            break;
        out->hostname = wt_arena_str(arena, from->url_rewrite->hostname);
        return compile_path(from->url_rewrite->path, arena, &out->path, err);
    case MODEL_HTTP_FILTER_UNSET:
    case MODEL_HTTP_FILTER_REQUEST_MIRROR:
    case MODEL_HTTP_FILTER_CORS:
    case MODEL_HTTP_FILTER_EXTERNAL_AUTH:
    case MODEL_HTTP_FILTER_EXTENSION_REF:
        return wt_fail(err, WT_EINVAL, "type: this filter is not supported yet");
    }
    return wt_fail(err, WT_EINVAL, "the member that belongs to the type is missing");
}

int proxy_filters_compile(const struct model_http_route_filter *filters, uint32_t n,
                          struct wt_arena *arena, const struct proxy_filters **out,
                          struct wt_err *err)
{
    const uint32_t both =
        1u << MODEL_HTTP_FILTER_REQUEST_REDIRECT | 1u << MODEL_HTTP_FILTER_URL_REWRITE;
    uint32_t seen = 0;
    struct proxy_filters *f = n ? wt_arena_zalloc(arena, sizeof *f) : NULL;
    if (n && !f)
        return wt_fail(err, WT_ENOMEM, "no memory");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bit = 1u << filters[i].type;
        if (seen & bit)
            return wt_fail(err, WT_EINVAL, "filters[%u]: a filter of this type stands before", i);
        seen |= bit;
        if ((seen & both) == both)
            return wt_fail(err, WT_EINVAL, "filters[%u]: redirect and rewrite exclude each other",
                           i);
        int r = compile_one(&filters[i], arena, f, err);
        if (r < 0)
            return wt_wrap(err, r, "filters[%u]", i);
    }
    *out = f;
    return 0;
}

/* ---- at work ---- */

static void remove_field(struct http_head *h, const struct proxy_field *f)
{
    if (f->id != HTTP_FIELD_OTHER)
        http_head_remove(h, f->id);
    else
        http_head_remove_name(h, f->name);
}

static int change_fields(const struct proxy_field_changes *c, struct http_head *h)
{
    int r = 0;
    for (uint32_t i = 0; i < c->n_set && r == 0; i++)
        r = http_head_set(h, c->set[i].name, c->set[i].value);
    for (uint32_t i = 0; i < c->n_add && r == 0; i++)
        r = http_head_add(h, c->add[i].name, c->add[i].value);
    for (uint32_t i = 0; i < c->n_remove && r == 0; i++)
        remove_field(h, &c->remove[i]);
    return r;
}

static struct wt_str change_path(const struct proxy_path_change *c, struct wt_str path,
                                 uint32_t prefix_len, struct wt_arena *arena)
{
    if (c->type == PROXY_PATH_KEEP)
        return path;
    struct wt_str rest = WT_STR("");
    if (c->type == PROXY_PATH_PREFIX)
        rest = wt_str_sub(path, prefix_len, path.len);
    if (c->value.len + rest.len == 0)
        return WT_STR("/");
    return wt_str_z(wt_arena_printf(arena, "%.*s%.*s", WT_ARG(c->value), WT_ARG(rest)));
}

int proxy_filter_request(const struct proxy_filters *f, struct http_head *request,
                         uint32_t prefix_len, struct wt_arena *arena)
{
    if (!f)
        return 0;
    int r = change_fields(&f->request, request);
    if (r < 0 || f->redirect)
        return r;
    struct wt_str path = change_path(&f->path, request->path, prefix_len, arena);
    if (!path.ptr)
        return WT_ENOMEM;
    if (f->hostname.len || f->host.len) /* the writer makes Host of it */
        request->authority = f->hostname.len ? f->hostname : f->host;
    request->path = path;
    return 0;
}

int proxy_filter_response(const struct proxy_filters *f, struct http_head *response)
{
    return f ? change_fields(&f->response, response) : 0;
}

static struct wt_str without_port(struct wt_str authority)
{
    size_t from = authority.len && authority.ptr[0] == '[' ? wt_str_find(authority, ']') : 0;
    struct wt_str tail = wt_str_sub(authority, from, authority.len);
    return wt_str_sub(authority, 0, from + wt_str_find(tail, ':'));
}

/* The port of the scheme is never written (HTTPRequestRedirectFilter.port). */
static bool well_known(struct wt_str scheme, uint16_t port)
{
    return port == (wt_str_eq(scheme, WT_STR("https")) ? 443 : 80);
}

struct wt_str proxy_filter_redirect(const struct proxy_filters *f, const struct http_head *request,
                                    const struct proxy_redirect_from *from, struct wt_arena *arena)
{
    struct wt_str scheme = f->scheme.len ? f->scheme : from->scheme;
    struct wt_str host = f->hostname.len ? f->hostname : without_port(request->authority);
    struct wt_str path = change_path(&f->path, request->path, from->prefix_len, arena);
    if (!path.ptr)
        return path;
    /* No port given: that of the scheme if the filter names one, else the listener's. */
    uint16_t port = f->port;
    if (!port && !f->scheme.len)
        port = from->listener_port;
    char digits[8] = "";
    if (port && !well_known(scheme, port)) {
        char *at = digits + sizeof digits - 1;
        for (unsigned n = port; n; n /= 10)
            *--at = (char)('0' + n % 10);
        *--at = ':';
        memmove(digits, at, strlen(at) + 1);
    }
    /* The query is kept, whatever happens to the path. */
    return wt_str_z(wt_arena_printf(arena, "%.*s://%.*s%s%.*s%s%.*s", WT_ARG(scheme), WT_ARG(host),
                                    digits, WT_ARG(path), request->has_query ? "?" : "",
                                    WT_ARG(request->query)));
}
