#include "proxy/stats_filter.h"

const char proxy_stats_filter_forms[] =
    "filter: plain text, .*, ^, $ and | are understood, no other part of regular expressions";

/* Bytes of the next plain byte in the filter: 2 where it is escaped. */
static size_t unit(struct wt_str s)
{
    return s.len > 1 && s.ptr[0] == '\\' ? 2 : 1;
}

static bool is_any(struct wt_str s)
{
    return s.len > 1 && s.ptr[0] == '.' && s.ptr[1] == '*';
}

static bool is_end(struct wt_str s)
{
    return s.len == 1 && s.ptr[0] == '$';
}

static struct wt_str from(struct wt_str s, size_t n)
{
    return wt_str_sub(s, n, s.len);
}

static bool is_valid(struct wt_str s)
{
    static const char special[] = "*+?[](){}^$\\";
    if (s.len && s.ptr[0] == '^')
        s = from(s, 1);
    while (s.len && !is_end(s)) {
        if (is_any(s)) {
            s = from(s, 2);
            continue;
        }
        if (s.ptr[0] == '\\' ? s.len < 2 || s.ptr[1] != '.'
                             : memchr(special, s.ptr[0], sizeof special - 1) != NULL)
            return false;
        s = from(s, unit(s));
    }
    return true;
}

bool proxy_stats_filter_valid(struct wt_str filter)
{
    while (filter.ptr)
        if (!is_valid(wt_str_next(&filter, '|')))
            return false;
    return true;
}

/* How many bytes of `name` the plain text at the start of *s takes, which is passed over; < 0: it
 * is not there. */
static long plain(struct wt_str *s, struct wt_str name)
{
    size_t n = 0;
    bool same = true;
    while (s->len && !is_any(*s) && !is_end(*s)) {
        size_t u = unit(*s);
        same = same && n < name.len && name.ptr[n] == s->ptr[u - 1];
        n++;
        *s = from(*s, u);
    }
    return same && (!is_end(*s) || n == name.len) ? (long)n : -1;
}

/* The leftmost place is always as good as any later one, since all between two pieces may be
 * anything: no way back is needed. */
static bool found(struct wt_str s, struct wt_str name)
{
    bool fixed = s.len && s.ptr[0] == '^';
    if (fixed)
        s = from(s, 1);
    for (;;) {
        struct wt_str after = s;
        long n = plain(&after, name);
        while (n < 0 && !fixed && name.len) {
            name = from(name, 1);
            after = s;
            n = plain(&after, name);
        }
        if (n < 0)
            return false;
        if (!is_any(after))
            return true;
        name = from(name, (size_t)n);
        s = from(after, 2);
        fixed = false;
    }
}

bool proxy_stats_filter_matches(struct wt_str filter, struct wt_str name)
{
    while (filter.ptr)
        if (found(wt_str_next(&filter, '|'), name))
            return true;
    return false;
}
