#include "http/uri.h"

#include "base/err.h"
#include "http/internal.h"

/* Whether a byte of an escape is to be written as itself. */
static bool decodes(unsigned char c)
{
    return http_is(c, HTTP_CLASS_UNRESERVED);
}

/* One pass that judges the bytes; *plain stays true when nothing is to be rewritten. */
static bool check_path(struct wt_str p, bool *plain)
{
    for (size_t i = 0; i < p.len; i++) {
        unsigned char c = (unsigned char)p.ptr[i];
        if (!http_is(c, HTTP_CLASS_PATH))
            return false;
        if (c == '.' && p.ptr[i - 1] == '/')
            *plain = false; /* i > 0: a path starts with '/' */
        if (c != '%')
            continue;
        if (i + 2 >= p.len)
            return false;
        int hi = http_hex((unsigned char)p.ptr[i + 1]), lo = http_hex((unsigned char)p.ptr[i + 2]);
        if (hi < 0 || lo < 0 || hi + lo == 0)
            return false;
        if (decodes((unsigned char)(hi * 16 + lo)))
            *plain = false;
    }
    return true;
}

/* Most paths hold neither a dot nor an escape: one look at each byte, no branch. */
static bool is_plain(struct wt_str p)
{
    unsigned all = 0xff, any = 0;
    for (size_t i = 0; i < p.len; i++) {
        unsigned class = http_class[(unsigned char)p.ptr[i]];
        all &= class;
        any |= class;
    }
    return (all & HTTP_CLASS_PATH) && !(any & HTTP_CLASS_REWRITE);
}

static size_t decode_unreserved(struct wt_str p, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < p.len; i++) {
        out[n] = p.ptr[i];
        if (p.ptr[i] == '%') {
            int c =
                http_hex((unsigned char)p.ptr[i + 1]) * 16 + http_hex((unsigned char)p.ptr[i + 2]);
            if (decodes((unsigned char)c)) {
                out[n] = (char)c;
                i += 2;
            }
        }
        n++;
    }
    return n;
}

/* RFC 3986 §5.2.4 in place: `p` starts with '/'. A ".." takes one segment, an empty one too. */
static size_t remove_dots(char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t end = i + 1; /* p[i] is '/' */
        while (end < len && p[end] != '/')
            end++;
        size_t seg = end - i - 1;
        bool one = seg == 1 && p[i + 1] == '.';
        bool two = seg == 2 && p[i + 1] == '.' && p[i + 2] == '.';
        if (two)
            while (n > 0 && p[--n] != '/') {
            }
        if (!one && !two) {
            memmove(p + n, p + i, end - i);
            n += end - i;
        } else if (end == len) {
            p[n++] = '/';
        }
        i = end;
    }
    return n;
}

int http_path_normalise(struct wt_str path, struct wt_arena *arena, struct wt_str *out)
{
    bool plain = true;
    if (path.len == 0 || path.ptr[0] != '/' || !(is_plain(path) || check_path(path, &plain)))
        return WT_EINVAL;
    if (plain) {
        *out = path;
        return 0;
    }
    char *p = wt_arena_alloc(arena, path.len + 1);
    if (!p)
        return WT_ENOMEM;
    *out = wt_str(p, remove_dots(p, decode_unreserved(path, p)));
    return 0;
}

static bool is_ipv6(struct wt_str s)
{
    unsigned colons = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == ':')
            colons++;
        else if (s.ptr[i] != '.' && http_hex((unsigned char)s.ptr[i]) < 0)
            return false;
    }
    return colons >= 2 && s.len <= 45;
}

bool http_authority_split(struct wt_str a, struct wt_str *out_host, int *out_port)
{
    size_t end = wt_str_find(a, ':');
    if (a.len && a.ptr[0] == '[') {
        size_t close = wt_str_find(a, ']');
        if (close == a.len || !is_ipv6(wt_str_sub(a, 1, close)))
            return false;
        end = close + 1;
    } else if (end == 0 || !http_all(wt_str_sub(a, 0, end), HTTP_CLASS_HOST)) {
        return false;
    }
    uint64_t port = 0;
    if (end < a.len && (a.ptr[end] != ':' || !wt_str_u64(wt_str_sub(a, end + 1, a.len), &port) ||
                        port > 65535 || port == 0))
        return false;
    if (out_host)
        *out_host = wt_str_sub(a, 0, end);
    if (out_port)
        *out_port = end < a.len ? (int)port : -1;
    return true;
}
