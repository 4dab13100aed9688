/* The flow of an HTTP/1 body out of a window; the same for requests and answers. */
#ifndef PROXY_BODY_H
#define PROXY_BODY_H

#include "http/h1_body.h"
#include "proxy/exchange.h"
#include "proxy/window.h"

struct proxy_worker;

/* For a head that does not fit a pooled buffer: what is there moves to PROXY_HEAD_MAX bytes of the
 * heap, for the caller to free, as the buffer is for it to give back. False: that large already, or
 * memory is short: no head gets more of it then. */
bool proxy_window_grow(struct proxy_window *w, struct proxy_worker *worker);

/* Next piece: an enum proxy_piece, WT_EAGAIN (not waiting), WT_EPROTO (bad framing or truncated),
 * or what reading says. */
int proxy_body_next(struct http_h1_body *body, struct proxy_window *w, struct io_stream *s,
                    bool wait, int64_t deadline_ms, struct wt_str *out_bytes);

/* Sends one piece in a chunk of its own (`chunked`) or as it is, after what is held back in `head`,
 * with the end of the body when `last`. Adds what the system took to *sent, also on failure. */
struct proxy_body_out {
    struct wt_str head; /* sent first; may be empty */
    struct wt_str bytes;
    bool chunked, last;
    const struct http_head *trailers; /* with last, chunked; or NULL */
};
int proxy_body_send(struct io_stream *s, const struct proxy_body_out *o, int64_t deadline_ms,
                    uint64_t *sent);

#endif
