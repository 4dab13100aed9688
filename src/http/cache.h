/* Whether a shared cache may keep a response (RFC 9111 §3): a cookie of ours on it would reach
 * others. */
#ifndef HTTP_CACHE_H
#define HTTP_CACHE_H

#include "http/head.h"

enum http_store {
    HTTP_STORE_NO,        /* no-store, private, Authorization without leave, not cacheable */
    HTTP_STORE_EXPLICIT,  /* it says so: public, s-maxage, max-age, Expires, … */
    HTTP_STORE_HEURISTIC, /* it says nothing, but its status allows a guess (§4.2.2) */
};

enum http_store http_may_store_shared(const struct http_head *request,
                                      const struct http_head *response);

#endif
