/* Cookies (RFC 6265). */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include "base/buf.h"
#include "http/head.h"

/* One "name=value" of a Cookie field: *list is advanced. False at the end. */
bool http_cookie_next(struct wt_str *list, struct wt_str *out_name, struct wt_str *out_value);

/* The first cookie of that name in all Cookie fields; names are case-sensitive; quotes stay. */
bool http_cookie_get(const struct http_head *h, struct wt_str name, struct wt_str *out);

/* Takes every cookie of that name out; a field left empty goes. How many, or WT_ENOMEM. */
int http_cookie_remove(struct http_head *h, struct wt_str name);

enum http_same_site {
    HTTP_SAME_SITE_UNSET,
    HTTP_SAME_SITE_LAX,
    HTTP_SAME_SITE_STRICT,
    HTTP_SAME_SITE_NONE,
};

struct http_set_cookie {
    struct wt_str name, value;  /* a token; cookie-octets */
    struct wt_str path, domain; /* empty: left out */
    int64_t max_age_s;          /* negative: a session cookie */
    bool secure, http_only;
    enum http_same_site same_site;
};

/* Adds the value of a Set-Cookie field to `out`. WT_EINVAL: bytes that may not stand there. */
int http_set_cookie_format(const struct http_set_cookie *c, struct wt_buf *out);

/* Adds a Set-Cookie field to the head. */
int http_set_cookie_add(struct http_head *h, const struct http_set_cookie *c);

#endif
