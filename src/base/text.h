/* Bytes as text: hexadecimal and base64 (RFC 4648 §5, URL alphabet, no padding). */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"

/* `out` holds 2 × n + 1 bytes; terminated. Sixteen bytes at a time where `n` is known to be a
 * multiple of it. */
static inline void wt_hex(const void *restrict ptr, size_t n, char *restrict out)
{
    const uint8_t *p = ptr;
    for (size_t i = 0; i < n; i++) {
        uint8_t high = p[i] >> 4, low = p[i] & 15;
        out[2 * i] = (char)(high + (high < 10 ? '0' : 'a' - 10));
        out[2 * i + 1] = (char)(low + (low < 10 ? '0' : 'a' - 10));
    }
    out[2 * n] = '\0';
}
bool wt_unhex(struct wt_str s, void *out, size_t n); /* exactly 2 × n digits, any case */

extern const char wt_base64_digits[65];
extern const uint8_t wt_base64_values[256]; /* of a digit: 0 to 63; of any other byte: 255 */

int wt_base64_add(struct wt_buf *out, const void *ptr, size_t n);
int wt_base64_decode(struct wt_buf *out, struct wt_str s); /* WT_EINVAL: not base64url */

#endif
