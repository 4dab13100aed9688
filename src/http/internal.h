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
    HTTP_CLASS_HOST = 64, /* registered name */
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

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Room for one more field; NULL without memory or beyond the cap. */
struct http_field *http_head_push(struct http_head *h);

/* Field lines from *pos up to and with the empty line; advances *pos past it. WT_EAGAIN, or an
 * error with *fault. */
int http_h1_parse_fields(struct wt_str in, size_t *pos, uint32_t max_fields, struct http_head *head,
                         enum http_h1_fault *fault);

#endif
