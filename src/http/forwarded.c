#include "http/forwarded.h"

#include "base/text.h"
#include "http/internal.h"

/* What Connection may not take away: an attacker in front would strip the guard's own fields. */
static bool is_protected(enum http_field_id id)
{
    static const uint8_t list[] = {
        HTTP_FIELD_HOST,
        HTTP_FIELD_CONTENT_LENGTH,
        HTTP_FIELD_COOKIE,
        HTTP_FIELD_SET_COOKIE,
        HTTP_FIELD_AUTHORIZATION,
        HTTP_FIELD_FORWARDED,
        HTTP_FIELD_X_FORWARDED_FOR,
        HTTP_FIELD_X_FORWARDED_PROTO,
        HTTP_FIELD_X_FORWARDED_HOST,
        HTTP_FIELD_X_FORWARDED_PORT,
        HTTP_FIELD_X_REAL_IP,
        HTTP_FIELD_X_REQUEST_ID,
        HTTP_FIELD_TRACEPARENT,
        HTTP_FIELD_TRACESTATE,
        HTTP_FIELD_CACHE_CONTROL,
        HTTP_FIELD_EXPECT,
        HTTP_FIELD_UPGRADE,
        HTTP_FIELD_CONNECTION,
    };
    return id != HTTP_FIELD_OTHER && memchr(list, id, sizeof list);
}

static bool is_hop_by_hop(const struct http_head *h, uint8_t id)
{
    static const uint8_t list[] = {
        HTTP_FIELD_CONNECTION,          HTTP_FIELD_KEEP_ALIVE,
        HTTP_FIELD_PROXY_CONNECTION,    HTTP_FIELD_TE,
        HTTP_FIELD_TRANSFER_ENCODING,   HTTP_FIELD_PROXY_AUTHENTICATE,
        HTTP_FIELD_PROXY_AUTHORIZATION,
    };
    return id && (memchr(list, id, sizeof list) || (id == HTTP_FIELD_UPGRADE && !h->upgrade));
}

void http_strip_hop_by_hop(struct http_head *h)
{
    struct wt_str list;
    while (http_head_get(h, HTTP_FIELD_CONNECTION, &list)) {
        while (list.ptr) {
            struct wt_str name = wt_str_trim(wt_str_next(&list, ','));
            if (name.len && !is_protected(http_field_lookup(name)))
                http_head_remove_name(h, name);
        }
        /* This Connection field only: another may follow. */
        const struct http_field *f = http_head_next(h, HTTP_FIELD_CONNECTION, NULL);
        uint32_t i = (uint32_t)(f - h->fields);
        memmove(h->fields + i, h->fields + i + 1, (h->n_fields - i - 1) * sizeof *f);
        h->n_fields--;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->n_fields; i++)
        if (!is_hop_by_hop(h, h->fields[i].id))
            h->fields[kept++] = h->fields[i];
    h->n_fields = kept;
}

void http_strip_forwarding(struct http_head *h)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id < HTTP_FIELD_FORWARDED || h->fields[i].id > HTTP_FIELD_X_REAL_IP)
            h->fields[kept++] = h->fields[i];
    h->n_fields = kept;
}

int http_forwarded_add(struct http_head *h, struct wt_str address, struct wt_str proto)
{
    wt_autobuf struct wt_buf all = wt_buf_make(16 * 1024);
    const struct http_field *f = NULL;
    struct wt_str had;
    while ((f = http_head_next(h, HTTP_FIELD_X_FORWARDED_FOR, f)))
        if (f->value.len) {
            wt_buf_add_str(&all, f->value);
            wt_buf_add_str(&all, WT_STR(", "));
        }
    wt_buf_add_str(&all, address);
    if (wt_buf_error(&all) < 0)
        return wt_buf_error(&all);
    struct wt_str value = wt_arena_str(h->arena, wt_buf_str(&all));
    if (!value.ptr)
        return WT_ENOMEM;
    int r = http_head_set_id(h, HTTP_FIELD_X_FORWARDED_FOR, value);
    if (r == 0)
        r = http_head_set_id(h, HTTP_FIELD_X_FORWARDED_PROTO, proto);
    if (r == 0 && h->authority.len && !http_head_get(h, HTTP_FIELD_X_FORWARDED_HOST, &had))
        r = http_head_add_id(h, HTTP_FIELD_X_FORWARDED_HOST, h->authority);
    return r;
}

struct wt_str http_client_address(const struct http_head *h, unsigned trusted_hops,
                                  struct wt_str peer)
{
    unsigned total = 0;
    for (int pass = 0; trusted_hops && pass < 2; pass++) {
        unsigned n = 0;
        const struct http_field *f = NULL;
        while ((f = http_head_next(h, HTTP_FIELD_X_FORWARDED_FOR, f))) {
            struct wt_str list = f->value;
            while (list.ptr) {
                struct wt_str one = wt_str_trim(wt_str_next(&list, ','));
                if (pass && n == total - trusted_hops)
                    return one.len ? one : peer;
                n++;
            }
        }
        total = n;
        if (total < trusted_hops)
            break;
    }
    return peer;
}

void http_uuid_format(const uint8_t random[16], char out[HTTP_UUID_LEN + 1])
{
    uint8_t b[16];
    char hex[33];
    memcpy(b, random, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    wt_hex(b, sizeof b, hex);
    for (size_t i = 0, n = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[n++] = '-';
        out[n++] = hex[i];
        out[n] = '\0';
    }
}

static bool any(const uint8_t *p, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++)
        all |= p[i];
    return all;
}

bool http_traceparent_parse(struct wt_str s, struct http_traceparent *out)
{
    struct http_traceparent t;
    uint8_t version;
    for (size_t i = 0; i < s.len && i < HTTP_TRACEPARENT_LEN; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'F') /* lower case only */
            return false;
    if (s.len < HTTP_TRACEPARENT_LEN || s.ptr[2] != '-' || s.ptr[35] != '-' || s.ptr[52] != '-' ||
        !wt_unhex(wt_str_sub(s, 0, 2), &version, 1) || version == 0xff)
        return false;
    if (s.len > HTTP_TRACEPARENT_LEN && (version == 0 || s.ptr[HTTP_TRACEPARENT_LEN] != '-'))
        return false;
    if (!wt_unhex(wt_str_sub(s, 3, 35), t.trace_id, 16) ||
        !wt_unhex(wt_str_sub(s, 36, 52), t.parent_id, 8) ||
        !wt_unhex(wt_str_sub(s, 53, 55), &t.flags, 1))
        return false;
    if (!any(t.trace_id, 16) || !any(t.parent_id, 8))
        return false;
    *out = t;
    return true;
}

void http_traceparent_format(const struct http_traceparent *t, char out[HTTP_TRACEPARENT_LEN + 1])
{
    memcpy(out, "00-", 3);
    wt_hex(t->trace_id, 16, out + 3);
    out[35] = '-';
    wt_hex(t->parent_id, 8, out + 36);
    out[52] = '-';
    wt_hex(&t->flags, 1, out + 53);
}

struct http_traceparent http_traceparent_mint(const uint8_t random[24])
{
    struct http_traceparent t = {.flags = 0};
    memcpy(t.trace_id, random, 16);
    memcpy(t.parent_id, random + 16, 8);
    t.trace_id[15] |= !any(t.trace_id, 16); /* all zeros would be no id */
    t.parent_id[7] |= !any(t.parent_id, 8);
    return t;
}
