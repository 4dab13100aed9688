#include "rpc/server.h"

#include "rpc/internal.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)wt_lower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int rpc_percent_decode(struct wt_str s, bool plus_is_space, struct wt_buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return WT_EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        int r = wt_buf_add_char(out, c);
        if (r < 0)
            return r;
    }
    return 0;
}

bool rpc_query_readable(struct wt_str query)
{
    struct wt_buf decoded wt_autobuf = wt_buf_make(RPC_QUERY_VALUE_MAX);
    while (query.ptr) {
        struct wt_str piece = wt_str_next(&query, '&');
        size_t eq = wt_str_find(piece, '=');
        const struct wt_str halves[] = {wt_str_sub(piece, 0, eq),
                                        wt_str_sub(piece, eq + 1, piece.len)};
        for (int i = 0; i < 2; i++) {
            decoded.len = 0;
            if (rpc_percent_decode(halves[i], true, &decoded) < 0)
                return false;
        }
    }
    return true;
}

bool rpc_query_get(struct wt_str query, struct wt_str name, struct wt_buf *out)
{
    struct wt_buf decoded wt_autobuf = wt_buf_make(256);
    while (query.ptr) {
        struct wt_str piece = wt_str_next(&query, '&');
        size_t eq = wt_str_find(piece, '=');
        decoded.len = 0;
        decoded.error = 0;
        if (rpc_percent_decode(wt_str_sub(piece, 0, eq), true, &decoded) < 0 ||
            !wt_str_eq(wt_buf_str(&decoded), name))
            continue;
        out->len = 0;
        return rpc_percent_decode(wt_str_sub(piece, eq + 1, piece.len), true, out) == 0;
    }
    return false;
}
