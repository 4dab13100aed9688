/* HTTP/1 messages into bytes. Whatever a head holds, no field with CR, LF or NUL leaves here. */
#ifndef HTTP_H1_WRITE_H
#define HTTP_H1_WRITE_H

#include "http/head.h"

#include "base/buf.h"

/* Adds a head to `out`, always as HTTP/1.1. Host comes from `authority`; Content-Length and
 * Transfer-Encoding from `framing`, Connection from keep_alive, upgrade, has_te_trailers: fields of
 * these names are not copied (but a Content-Length of a response without body, as to HEAD, is).
 * A request's Expect is sent only with expect_continue.
 * WT_EINVAL: the head holds what may not be sent; WT_ENOMEM, WT_ELIMIT (the room asked for may be
 * 128 bytes more than needed). `out` is as before unless it returns 0. */
int http_h1_write_request(const struct http_head *h, struct wt_buf *out) WT_NODISCARD;
int http_h1_write_response(const struct http_head *h, struct wt_buf *out) WT_NODISCARD;

/* "HTTP/1.1 100 Continue" and its empty line. */
struct wt_str http_h1_continue(void);

enum { HTTP_H1_CHUNK_LINE_MAX = 18 };

/* "SIZE CRLF" in front of a chunk's data (size > 0), CRLF goes behind; how many bytes. */
size_t http_h1_chunk_line(uint64_t size, char out[HTTP_H1_CHUNK_LINE_MAX]);

/* Adds the last chunk and the trailers (NULL: none). */
int http_h1_write_last_chunk(const struct http_head *trailers, struct wt_buf *out) WT_NODISCARD;

#endif
