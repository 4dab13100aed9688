#include "base/text.h"

const char wt_base64_digits[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const uint8_t wt_base64_values[256] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 62,  255, 255, 52,  53,  54,  55,  56,  57,  58,  59,  60,
    61,  255, 255, 255, 255, 255, 255, 255, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,
    11,  12,  13,  14,  15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  255, 255, 255, 255,
    63,  255, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,  41,  42,
    43,  44,  45,  46,  47,  48,  49,  50,  51,  255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)wt_lower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool wt_unhex(struct wt_str s, void *out, size_t n)
{
    unsigned char *p = out;
    if (s.len != 2 * n)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (hex_value(s.ptr[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(hex_value(s.ptr[2 * i]) << 4 | hex_value(s.ptr[2 * i + 1]));
    return true;
}

int wt_base64_add(struct wt_buf *out, const void *ptr, size_t n)
{
    const unsigned char *p = ptr;
    int r = wt_buf_reserve(out, (n * 4 + 2) / 3);
    if (r < 0)
        return r;
    char *to = out->ptr + out->len;
    for (; n >= 3; n -= 3, p += 3) {
        *to++ = wt_base64_digits[p[0] >> 2];
        *to++ = wt_base64_digits[(p[0] & 3) << 4 | p[1] >> 4];
        *to++ = wt_base64_digits[(p[1] & 15) << 2 | p[2] >> 6];
        *to++ = wt_base64_digits[p[2] & 63];
    }
    if (n) {
        unsigned second = n == 2 ? p[1] : 0;
        *to++ = wt_base64_digits[p[0] >> 2];
        *to++ = wt_base64_digits[(p[0] & 3) << 4 | second >> 4];
        if (n == 2)
            *to++ = wt_base64_digits[(second & 15) << 2];
    }
    out->len = (size_t)(to - out->ptr);
    return 0;
}

int wt_base64_decode(struct wt_buf *out, struct wt_str s)
{
    unsigned acc = 0;
    int bits = 0;
    int r = s.len % 4 == 1 ? WT_EINVAL : wt_buf_reserve(out, s.len * 3 / 4 + 3);
    for (size_t i = 0; r == 0 && i < s.len; i++) {
        unsigned v = wt_base64_values[(unsigned char)s.ptr[i]];
        if (v > 63)
            return WT_EINVAL;
        acc = acc << 6 | v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out->ptr[out->len++] = (char)(acc >> bits & 0xff);
        }
    }
    return r;
}
