/* Known field names: a perfect hash over the length and three letters of each (a unit test checks
 * that every name of field.def finds itself). */
#include "http/internal.h"

static const struct wt_str names[HTTP_FIELD_COUNT] = {
    WT_STR_INIT(""),
#define HTTP_FIELD(id, name) WT_STR_INIT(name),
#include "http/field.def"
#undef HTTP_FIELD
};

static const uint8_t slots[128] = {
    [1] = HTTP_FIELD_TRAILER,
    [2] = HTTP_FIELD_PROXY_AUTHENTICATE,
    [3] = HTTP_FIELD_X_FORWARDED_PROTO,
    [4] = HTTP_FIELD_USER_AGENT,
    [8] = HTTP_FIELD_CONTENT_LENGTH,
    [9] = HTTP_FIELD_PROXY_CONNECTION,
    [10] = HTTP_FIELD_AUTHORIZATION,
    [23] = HTTP_FIELD_RETRY_AFTER,
    [25] = HTTP_FIELD_EXPECT,
    [26] = HTTP_FIELD_CACHE_CONTROL,
    [27] = HTTP_FIELD_TRACEPARENT,
    [28] = HTTP_FIELD_SERVER,
    [32] = HTTP_FIELD_DATE,
    [34] = HTTP_FIELD_X_FORWARDED_FOR,
    [35] = HTTP_FIELD_ACCEPT_ENCODING,
    [41] = HTTP_FIELD_CONNECTION,
    [42] = HTTP_FIELD_VARY,
    [46] = HTTP_FIELD_AGE,
    [47] = HTTP_FIELD_ORIGIN,
    [50] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [55] = HTTP_FIELD_X_FORWARDED_HOST,
    [58] = HTTP_FIELD_IF_NONE_MATCH,
    [64] = HTTP_FIELD_CONTENT_ENCODING,
    [65] = HTTP_FIELD_ACCEPT_LANGUAGE,
    [66] = HTTP_FIELD_EXPIRES,
    [68] = HTTP_FIELD_PRAGMA,
    [71] = HTTP_FIELD_IF_MATCH,
    [77] = HTTP_FIELD_TE,
    [79] = HTTP_FIELD_TRACESTATE,
    [80] = HTTP_FIELD_HOST,
    [83] = HTTP_FIELD_REFERER,
    [90] = HTTP_FIELD_RANGE,
    [92] = HTTP_FIELD_UPGRADE,
    [98] = HTTP_FIELD_KEEP_ALIVE,
    [99] = HTTP_FIELD_CONTENT_TYPE,
    [100] = HTTP_FIELD_X_REQUEST_ID,
    [102] = HTTP_FIELD_X_FORWARDED_PORT,
    [103] = HTTP_FIELD_X_REAL_IP,
    [104] = HTTP_FIELD_PROXY_AUTHORIZATION,
    [109] = HTTP_FIELD_LAST_MODIFIED,
    [111] = HTTP_FIELD_COOKIE,
    [113] = HTTP_FIELD_FORWARDED,
    [114] = HTTP_FIELD_ACCEPT,
    [116] = HTTP_FIELD_TRANSFER_ENCODING,
    [117] = HTTP_FIELD_ETAG,
    [119] = HTTP_FIELD_SET_COOKIE,
    [123] = HTTP_FIELD_VIA,
    [126] = HTTP_FIELD_GRPC_STATUS,
    [127] = HTTP_FIELD_LOCATION,
};

static inline unsigned slot_of(const unsigned char *s, size_t len)
{
    /* With the case bit, which a '-' has anyway. */
    return (unsigned)(len * 251 + (s[0] | 0x20) * 81u + (s[len - 2] | 0x20) * 81u +
                      (s[len / 2] | 0x20) * 67u) &
           127;
}

static inline bool differ8(const char *s, const char *lower)
{
    uint64_t a, b;
    memcpy(&a, s, 8);
    memcpy(&b, lower, 8);
    return (a | (b & 0x4040404040404040u) >> 1) != b;
}

static inline bool differ4(const char *s, const char *lower)
{
    uint32_t a, b;
    memcpy(&a, s, 4);
    memcpy(&b, lower, 4);
    return (a | (b & 0x40404040u) >> 1) != b;
}

/* `lower` holds a-z and '-' only; the case bit is added where it holds a letter (bit 0x40). */
static inline bool is_same(const char *s, const char *lower, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (differ8(s + i, lower + i))
                return false;
        return !differ8(s + len - 8, lower + len - 8);
    }
    if (len >= 4)
        return !differ4(s, lower) && !differ4(s + len - 4, lower + len - 4);
    for (size_t i = 0; i < len; i++)
        if (http_lower[(unsigned char)s[i]] != (unsigned char)lower[i])
            return false;
    return true;
}

bool http_field_is(enum http_field_id id, struct wt_str name)
{
    if ((unsigned)id >= HTTP_FIELD_COUNT || names[id].len != name.len)
        return false;
    return name.ptr == names[id].ptr || is_same(name.ptr, names[id].ptr, name.len);
}

enum http_field_id http_field_lookup(struct wt_str name)
{
    if (name.len < 2)
        return HTTP_FIELD_OTHER;
    const unsigned char *s = (const unsigned char *)name.ptr;
    enum http_field_id id = slots[slot_of(s, name.len)];
    bool same = names[id].len == name.len && is_same(name.ptr, names[id].ptr, name.len);
    return same ? id : HTTP_FIELD_OTHER;
}

struct wt_str http_field_name(enum http_field_id id)
{
    return (unsigned)id < HTTP_FIELD_COUNT ? names[id] : names[0];
}
