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

#define HTTP_ONES UINT64_C(0x0101010101010101)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

/* Which of eight bytes are zero: the high bit of each. Above the first one there may be too many
 * (a borrow), never too few. */
static inline uint64_t http_zeros(uint64_t w)
{
    return (w - HTTP_ONES) & ~w & (HTTP_ONES << 7);
}

/* The same for controls (tab too) and DEL among the eight bytes at `p`. */
static inline uint64_t http_controls(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    uint64_t below = w - HTTP_ONES * 0x20, del = (w & HTTP_ONES * 0x7f) + HTTP_ONES;
    return (below | del) & ~w & (HTTP_ONES << 7);
}

/* The index of the first byte that is marked; `marks` is not 0. */
static inline size_t http_first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

/* Whether there is one among sixteen bytes. */
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

/* What stands for "these strings were judged". It is over where they lie, not over their bytes, so
 * that it costs nothing and does not fit a string that takes their place. */
static inline uint32_t http_field_seal(struct wt_str name, struct wt_str value)
{
    uintptr_t at = (uintptr_t)name.ptr * 31 + (uintptr_t)value.ptr + value.len * 2654435761u;
    return (uint32_t)at | 1;
}

/* One more field, its name and value judged; false as above. */
static inline bool http_head_push(struct http_head *h, struct wt_str name, struct wt_str value,
                                  enum http_field_id id)
{
    if (h->n_fields == h->cap_fields && !http_head_grow(h))
        return false;
    uint32_t seal = http_field_seal(name, value);
    h->fields[h->n_fields++] = (struct http_field){name, value, (uint8_t)id, seal};
    h->present |= http_bit(id);
    return true;
}

/* Field lines from *pos up to and with the empty line; advances *pos past it. WT_EAGAIN, or an
 * error with *fault. */
int http_h1_parse_fields(struct wt_str in, size_t *pos, uint32_t max_fields, struct http_head *head,
                         enum http_h1_fault *fault);

#endif
