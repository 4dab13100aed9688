#include "base/str.h"

#include "base/mem.h"

bool wt_str_eq_nocase(struct wt_str a, struct wt_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (wt_lower((unsigned char)a.ptr[i]) != wt_lower((unsigned char)b.ptr[i]))
            return false;
    return true;
}

int wt_str_cmp(struct wt_str a, struct wt_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int r = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (r)
        return r;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool wt_str_starts(struct wt_str s, struct wt_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool wt_str_ends(struct wt_str s, struct wt_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

size_t wt_str_find(struct wt_str s, char c)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

struct wt_str wt_str_sub(struct wt_str s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return wt_str(s.ptr + from, to - from);
}

struct wt_str wt_str_trim(struct wt_str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = wt_str(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct wt_str wt_str_next(struct wt_str *s, char sep)
{
    size_t at = wt_str_find(*s, sep);
    struct wt_str piece = wt_str(s->ptr, at);
    if (at == s->len)
        *s = wt_str(NULL, 0);
    else
        *s = wt_str(s->ptr + at + 1, s->len - at - 1);
    return piece;
}

bool wt_str_u64(struct wt_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment (Damerau–Levenshtein without repeated edits), three rows. */
unsigned wt_str_distance(struct wt_str a, struct wt_str b, unsigned cap)
{
    enum { MAX = 64 };
    unsigned rows[3][MAX + 1];
    if (a.len > MAX || b.len > MAX)
        return cap;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned differ = a.ptr[i - 1] != b.ptr[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + differ);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    unsigned d = rows[a.len % 3][b.len];
    return d < cap ? d : cap;
}

char *wt_str_dup(struct wt_str s)
{
    char *p = wt_malloc(s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}
