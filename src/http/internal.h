/* Shared inside src/http only. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/h1_parse.h"
#include "http/head.h"

enum http_class {
    HTTP_CLASS_TOKEN = 1,
    HTTP_CLASS_UNDERSCORE = 2,
    HTTP_CLASS_VALUE = 4,  /* field content: visible, blank, tab, obs-text */
    HTTP_CLASS_TARGET = 8, /* visible ASCII but '#' */
    HTTP_CLASS_PATH = 16,  /* the same without '?' and '\' */
    HTTP_CLASS_UNRESERVED = 32,
    HTTP_CLASS_HOST = 64,     /* registered name */
    HTTP_CLASS_REWRITE = 128, /* '.' and '%': a path without them is normal as it stands */
};

extern const uint8_t http_class[256];
extern const uint8_t http_lower[256];

static inline bool http_is(unsigned char c, enum http_class class)
{
    return http_class[c] & class;
}

/* All bytes of `s` are of that class (true when there are none). */
static inline bool http_all(struct wt_str s, enum http_class class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_is((unsigned char)s.ptr[i], class))
            return false;
    return true;
}

static inline uint64_t http_bit(unsigned id)
{
    return (uint64_t)1 << id;
}

/* The bits of ids `from` to `to`, both included. */
static inline uint64_t http_bits(unsigned from, unsigned to)
{
    return (http_bit(to) << 1) - http_bit(from);
}

/* Not zero when one of these eight bytes is a control (tab too) or DEL. */
static inline uint64_t http_controls(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t w, del;
    memcpy(&w, p, 8);
    del = w ^ (ones * 0x7f);
    return (((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & high;
}

/* The same for sixteen bytes. */
static inline bool http_controls_wide(const char *p)
{
    unsigned char v __attribute__((vector_size(16)));
    uint64_t bad[2];
    memcpy(&v, p, 16);
    const __auto_type found = (v < 0x20) | (v == 0x7f);
    memcpy(bad, &found, 16);
    return bad[0] | bad[1];
}

/* What may stand in a field's value; many bytes at a time unless there is a tab. */
static inline bool http_value_fits(struct wt_str s)
{
    size_t i = 0;
    for (; i + 16 <= s.len; i += 16)
        if (http_controls_wide(s.ptr + i))
            return http_all(s, HTTP_CLASS_VALUE);
    for (; i + 8 <= s.len; i += 8)
        if (http_controls(s.ptr + i))
            return http_all(s, HTTP_CLASS_VALUE);
    if (i && i < s.len) /* the last eight, some of them once more */
        return !http_controls(s.ptr + s.len - 8) || http_all(s, HTTP_CLASS_VALUE);
    return http_all(wt_str(s.ptr + i, s.len - i), HTTP_CLASS_VALUE);
}

/* Whether that is the name of a known field, in any case. */
bool http_field_is(enum http_field_id id, struct wt_str name);

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Room for more fields than there is: false without memory or beyond the cap. */
bool http_head_grow(struct http_head *h);

/* One more field; false as above. */
static inline bool http_head_push(struct http_head *h, struct wt_str name, struct wt_str value,
                                  enum http_field_id id)
{
    if (h->n_fields == h->cap_fields && !http_head_grow(h))
        return false;
    h->fields[h->n_fields++] = (struct http_field){name, value, (uint8_t)id};
    h->present |= http_bit(id);
    return true;
}

/* Field lines from *pos up to and with the empty line; advances *pos past it. WT_EAGAIN, or an
 * error with *fault. */
int http_h1_parse_fields(struct wt_str in, size_t *pos, uint32_t max_fields, struct http_head *head,
                         enum http_h1_fault *fault);

#endif
