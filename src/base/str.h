/* Bytes with a length. A wt_str never owns what it points to and need not be terminated. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wt_str {
    const char *ptr;
    size_t len;
};

/* WT_STR("literal"); WT_STR_INIT for static tables. */
#define WT_STR_INIT(lit)                                                                           \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
#define WT_STR(lit) ((struct wt_str)WT_STR_INIT(lit))

/* printf("%.*s", WT_ARG(s)) */
#define WT_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct wt_str wt_str(const char *ptr, size_t len)
{
    return (struct wt_str){ptr, len};
}

static inline struct wt_str wt_str_z(const char *z)
{
    return (struct wt_str){z, z ? strlen(z) : 0};
}

static inline bool wt_str_eq(struct wt_str a, struct wt_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Copies to `p` and returns the end of it. In words, the last of which may overlap the one before:
 * a call of memcpy costs more than short strings do. */
static inline char *wt_put(char *p, struct wt_str s)
{
    size_t n = s.len;
    if (n >= 16) {
        for (size_t i = 0; i + 16 < n; i += 16)
            memcpy(p + i, s.ptr + i, 16);
        memcpy(p + n - 16, s.ptr + n - 16, 16);
    } else if (n >= 8) {
        memcpy(p, s.ptr, 8);
        memcpy(p + n - 8, s.ptr + n - 8, 8);
    } else if (n >= 4) {
        memcpy(p, s.ptr, 4);
        memcpy(p + n - 4, s.ptr + n - 4, 4);
    } else if (n >= 2) {
        memcpy(p, s.ptr, 2);
        memcpy(p + n - 2, s.ptr + n - 2, 2);
    } else if (n) {
        *p = *s.ptr;
    }
    return p + n;
}

/* Writes at most WT_U64_DIGITS decimal digits and returns the end of them. printf costs ten times
 * as much and reads the locale. */
enum { WT_U64_DIGITS = 20 };
static inline char *wt_put_u64(char *p, uint64_t n)
{
    unsigned len = 1;
    for (uint64_t ten = 10; n >= ten && len < WT_U64_DIGITS; ten *= 10)
        len++;
    for (char *at = p + len; at > p; n /= 10)
        *--at = (char)('0' + n % 10);
    return p + len;
}

static inline unsigned char wt_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* ASCII only, as every protocol here wants it. */
bool wt_str_eq_nocase(struct wt_str a, struct wt_str b);
int wt_str_cmp(struct wt_str a, struct wt_str b); /* byte order; shorter first */
bool wt_str_starts(struct wt_str s, struct wt_str prefix);
bool wt_str_ends(struct wt_str s, struct wt_str suffix);

/* Index of the first byte `c`, or s.len. */
size_t wt_str_find(struct wt_str s, char c);

/* Bytes [from, to), both clamped to the length. */
struct wt_str wt_str_sub(struct wt_str s, size_t from, size_t to);

/* Without spaces and tabs at both ends. */
struct wt_str wt_str_trim(struct wt_str s);

/* Splits at the first `sep`: returns what stands before it and leaves the rest in *s. At the end of
 * the list *s becomes {NULL, 0}; `while (s.ptr)` walks all pieces, an empty last one too. */
struct wt_str wt_str_next(struct wt_str *s, char sep);

/* Decimal digits only, the whole string, no sign; false when empty, wrong or too large. */
bool wt_str_u64(struct wt_str s, uint64_t *out);

/* Levenshtein distance with adjacent transpositions, at most `cap` (for "did you mean"). */
unsigned wt_str_distance(struct wt_str a, struct wt_str b, unsigned cap);

/* A terminated heap copy, or NULL without memory. Free with wt_free. */
char *wt_str_dup(struct wt_str s);

#endif
