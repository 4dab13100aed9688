/* A claim of the JSON Web Token that a request shows: a user key, and nothing more.
 *
 * The signature is not checked, so nothing may be allowed or refused by what is found here. Whoever
 * forges a token chooses a slot, as he does who makes up a session cookie or a header. Any thread.
 */
#ifndef PROXY_CLAIM_H
#define PROXY_CLAIM_H

#include "http/head.h"

enum {
    PROXY_CLAIM_PAYLOAD_MAX = 8192, /* characters of base64url; a longer token has no claims */
    PROXY_CLAIM_DEPTH_MAX = 16,     /* objects and lists within each other */
};

/* The member `name` of the claims in "Authorization: Bearer HEADER.CLAIMS.SIGNATURE": a string that
 * is not empty, or an integer in decimal digits; it lives in the request's arena. False, and *out
 * untouched, for all else: no token, two Authorization fields, a token that is damaged, encrypted,
 * too long or too deep, a claim that is there twice or not at all. */
bool proxy_claim_get(const struct http_head *request, struct wt_str name, struct wt_str *out);

#endif
