/* Cookies (RFC 6265). */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include "base/buf.h"
#include "http/head.h"

/* The first cookie of that name in all Cookie fields; names are case-sensitive; quotes stay. */
bool http_cookie_get(const struct http_head *h, struct wt_str name, struct wt_str *out);

/* The nth of that name, from 0; *out is undefined where there are not so many. */
bool http_cookie_nth(const struct http_head *h, struct wt_str name, unsigned nth,
                     struct wt_str *out);

#endif
