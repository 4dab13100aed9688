#include "http/forwarded.h"

#include "base/text.h"
#include "http/internal.h"

enum { MAX_LIST_BYTES = 16 * 1024 }; /* of X-Forwarded-For */

#define BIT(id) ((uint64_t)1 << HTTP_FIELD_##id)

/* What Connection may not take away: an attacker in front would strip the guard's own fields. */
static const uint64_t protected_ids =
    BIT(HOST) | BIT(CONTENT_LENGTH) | BIT(COOKIE) | BIT(SET_COOKIE) | BIT(AUTHORIZATION) |
    BIT(FORWARDED) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) |
    BIT(X_FORWARDED_PORT) | BIT(X_REAL_IP) | BIT(X_REQUEST_ID) | BIT(TRACEPARENT) |
    BIT(TRACESTATE) | BIT(CACHE_CONTROL) | BIT(EXPECT) | BIT(UPGRADE) | BIT(CONNECTION);

static const uint64_t hop_by_hop_ids = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                       BIT(TE) | BIT(TRANSFER_ENCODING) | BIT(PROXY_AUTHENTICATE) |
                                       BIT(PROXY_AUTHORIZATION);

static const uint64_t forwarding_ids = BIT(FORWARDED) | BIT(X_FORWARDED_FOR) |
                                       BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) |
                                       BIT(X_FORWARDED_PORT) | BIT(X_REAL_IP);

static void drop_ids(struct http_head *h, uint64_t ids)
{
    uint32_t kept = 0;
    if (!(h->present & ids))
        return;
    for (uint32_t i = 0; i < h->n_fields; i++)
        if (!(http_bit(h->fields[i].id) & ids))
            h->fields[kept++] = h->fields[i];
    h->n_fields = kept;
    h->present &= ~ids;
}

/* The list lies in the parsed bytes, so it outlives the fields that move. */
static void drop_named(struct http_head *h, struct wt_str list)
{
    while (list.ptr) {
        struct wt_str name = wt_str_trim(wt_str_next(&list, ','));
        enum http_field_id id = http_field_lookup(name);
        bool stays = !name.len || (http_bit(id) & (protected_ids | hop_by_hop_ids));
        if (!stays)
            http_head_remove_name(h, name);
    }
}

/* From the end: what a removal moves, it moves towards the start, so none is passed over. */
void http_strip_hop_by_hop(struct http_head *h)
{
    if (h->present & BIT(CONNECTION))
        for (uint32_t i = h->n_fields; i-- > 0;)
            if (i < h->n_fields && h->fields[i].id == HTTP_FIELD_CONNECTION)
                drop_named(h, h->fields[i].value);
    drop_ids(h, hop_by_hop_ids | (h->upgrade ? 0 : BIT(UPGRADE)));
}

void http_strip_forwarding(struct http_head *h)
{
    drop_ids(h, forwarding_ids);
}

/* All X-Forwarded-For fields as one list, and `address` at its end, in the arena. */
static int append_address(const struct http_head *h, struct wt_str address, struct wt_str *out)
{
    size_t len = address.len;
    const struct http_field *f = NULL;
    while ((f = http_head_next(h, HTTP_FIELD_X_FORWARDED_FOR, f)))
        len += f->value.len ? f->value.len + 2 : 0;
    if (len > MAX_LIST_BYTES)
        return WT_ELIMIT;
    char *p = wt_arena_alloc(h->arena, len + 1);
    if (!p)
        return WT_ENOMEM;
    *out = wt_str(p, len);
    while ((f = http_head_next(h, HTTP_FIELD_X_FORWARDED_FOR, f))) {
        if (!f->value.len)
            continue;
        memcpy(p, f->value.ptr, f->value.len);
        memcpy(p + f->value.len, ", ", 2);
        p += f->value.len + 2;
    }
    if (address.len)
        memcpy(p, address.ptr, address.len);
    return 0;
}

int http_forwarded_add(struct http_head *h, struct wt_str address, struct wt_str proto)
{
    struct wt_str all, had;
    int r = append_address(h, address, &all);
    if (r == 0)
        r = http_head_set_id(h, HTTP_FIELD_X_FORWARDED_FOR, all);
    if (r == 0)
        r = http_head_set_id(h, HTTP_FIELD_X_FORWARDED_PROTO, proto);
    if (r == 0 && h->authority.len && !http_head_get(h, HTTP_FIELD_X_FORWARDED_HOST, &had))
        r = http_head_add_id(h, HTTP_FIELD_X_FORWARDED_HOST, h->authority);
    return r;
}

void http_uuid_format(const uint8_t random[16], char out[HTTP_UUID_LEN + 1])
{
    uint8_t b[16];
    memcpy(b, random, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char hex[2 * sizeof b + 1] WT_UNSET;
    wt_hex(b, sizeof b, hex);
    memcpy(out, hex, 8);
    memcpy(out + 9, hex + 8, 4);
    memcpy(out + 14, hex + 12, 4);
    memcpy(out + 19, hex + 16, 4);
    memcpy(out + 24, hex + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    out[HTTP_UUID_LEN] = '\0';
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
    uint8_t b[32] = {0}; /* 25, and what makes two times 16 of them */
    char hex[2 * sizeof b + 1] WT_UNSET;
    memcpy(b, t->trace_id, 16);
    memcpy(b + 16, t->parent_id, 8);
    b[24] = t->flags;
    wt_hex(b, sizeof b, hex);
    memcpy(out, "00-", 3);
    memcpy(out + 3, hex, 32);
    out[35] = '-';
    memcpy(out + 36, hex + 32, 16);
    out[52] = '-';
    memcpy(out + 53, hex + 48, 2);
    out[HTTP_TRACEPARENT_LEN] = '\0';
}

struct http_traceparent http_traceparent_mint(const uint8_t random[24])
{
    struct http_traceparent t = {.flags = 1};
    memcpy(t.trace_id, random, 16);
    memcpy(t.parent_id, random + 16, 8);
    t.trace_id[15] |= !any(t.trace_id, 16); /* all zeros would be no id */
    t.parent_id[7] |= !any(t.parent_id, 8);
    return t;
}
