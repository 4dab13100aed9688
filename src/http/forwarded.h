/* What a proxy does to fields on the way: hop-by-hop ones go, forwarding ones are written. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "http/head.h"

/* Removes hop-by-hop fields and those that Connection names (RFC 9110 §7.6.1); Upgrade stays when
 * h->upgrade. Fields that steer the message or say who the client is (Host, Content-Length, Cookie,
 * Authorization, X-Forwarded-*, …) are not removed through Connection: that is an attack. */
void http_strip_hop_by_hop(struct http_head *h);

/* Removes Forwarded, X-Forwarded-*, X-Real-IP: for a peer that is not a trusted hop. */
void http_strip_forwarding(struct http_head *h);

/* Appends the peer's address to X-Forwarded-For, sets -Proto, and -Host unless there is one.
 * `address` without port. WT_ENOMEM, WT_ELIMIT. */
int http_forwarded_add(struct http_head *h, struct wt_str address,
                       struct wt_str proto) WT_NODISCARD;

enum { HTTP_UUID_LEN = 36, HTTP_TRACEPARENT_LEN = 55 };

/* UUID version 4 (RFC 9562 §5.4) of 16 random bytes; `out` is terminated. */
void http_uuid_format(const uint8_t random[16], char out[HTTP_UUID_LEN + 1]);

struct http_traceparent {
    uint8_t trace_id[16];
    uint8_t parent_id[8];
    uint8_t flags;
};

/* W3C Trace Context; false: not version 00 (or a later one that begins like it), or zero ids. */
bool http_traceparent_parse(struct wt_str s, struct http_traceparent *out);
void http_traceparent_format(const struct http_traceparent *t, char out[HTTP_TRACEPARENT_LEN + 1]);

/* A new trace of 24 random bytes, sampled. */
struct http_traceparent http_traceparent_mint(const uint8_t random[24]);

#endif
