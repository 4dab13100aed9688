/* HTTP/1 bodies out of bytes: by length, chunked (RFC 9112 §7.1), until close. Data is given as
 * spans of the caller's own bytes; nothing is copied but trailers. */
#ifndef HTTP_H1_BODY_H
#define HTTP_H1_BODY_H

#include "http/h1_parse.h"

enum {
    HTTP_H1_MAX_EXTENSION_BYTES = 4096, /* per body, all chunks: CVE-2023-39326 */
    HTTP_H1_MAX_TRAILER_BYTES = 4096,   /* the caller's buffer must hold as many */
    HTTP_H1_MAX_TRAILERS = 32,
};

enum http_h1_body_event {
    HTTP_H1_BODY_DATA, /* a span; call again */
    HTTP_H1_BODY_END,  /* the body is complete; bytes beyond belong to the next message */
};

struct http_h1_body {
    enum http_framing framing;
    uint8_t state;
    uint8_t digits;           /* of the chunk size, leading zeros included */
    enum http_h1_fault fault; /* after an error */
    uint32_t extension_bytes;
    uint64_t left;              /* of the length or of the chunk */
    uint64_t total;             /* data bytes given so far */
    struct http_head *trailers; /* where trailers go; NULL: they are checked and dropped */
};

/* `trailers` is initialised, or NULL; its arena holds copies. */
void http_h1_body_init(struct http_h1_body *b, const struct http_head *head,
                       struct http_head *trailers);

/* Takes *out_consumed bytes from `in` (also with WT_EAGAIN: the caller drops them and comes back
 * with the rest and more). Returns an event, WT_EAGAIN, or WT_EPROTO / WT_ELIMIT / WT_ENOMEM with
 * b->fault. */
int http_h1_body_read(struct http_h1_body *b, struct wt_str in, struct wt_str *out_data,
                      size_t *out_consumed) WT_NODISCARD;

/* The peer closed: HTTP_H1_BODY_END if that is a legal end, else WT_EPROTO (truncated, RFC 9112
 * §8). */
int http_h1_body_eof(struct http_h1_body *b) WT_NODISCARD;

bool http_h1_body_done(const struct http_h1_body *b);

#endif
