/* An exchange: one request and its answer, whatever protocol carries them.
 *
 * The forwarding flow (forward.c) sees only these two tables: `proxy_inbound` towards the client,
 * `proxy_outbound` towards a host. HTTP/1 implements them in h1_inbound.c and h1_outbound.c; a unit
 * test implements them over memory, with the habits of HTTP/2 (frames, trailers, resets), so that
 * the flow never learns a version.
 *
 * Bytes are given as spans of the implementation's own buffer: valid until its next call. Calls
 * that may wait take a deadline (io_now_ms() based) and return wt_codes.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "http/head.h"
#include "io/stream.h"

/* How a body piece was given. */
enum proxy_piece {
    PROXY_PIECE_DATA, /* *out_bytes holds some, more may follow */
    PROXY_PIECE_END,  /* *out_bytes is empty or the last of it; trailers, if any, are in the head's
                         list */
};

/* The client's side. */
struct proxy_inbound {
    const struct proxy_inbound_ops *ops;
    const struct http_head *request;
    bool body_expected;               /* the request announces a body that is not empty */
    const struct http_head *trailers; /* of the request, from the piece that ends it on; or NULL */
};

struct proxy_inbound_ops {
    /* Next piece of the request body: an enum proxy_piece or an error. With `wait` false: WT_EAGAIN
     * when nothing is there yet. */
    int (*read_body)(struct proxy_inbound *in, bool wait, int64_t deadline_ms,
                     struct wt_str *out_bytes);

    /* Whether all of the request body lies in memory, so that it can be sent again: its bytes
     * (maybe none). */
    bool (*whole_body)(struct proxy_inbound *in, struct wt_str *out_bytes);

    /* The answer's head; its framing and keep_alive are set to what goes out. It may be kept back
     * until the first piece or a flush. `last`: no body follows. */
    int (*send_head)(struct proxy_inbound *in, struct http_head *response, bool last,
                     int64_t deadline_ms);
    int (*send_body)(struct proxy_inbound *in, struct wt_str bytes, bool last,
                     const struct http_head *trailers, int64_t deadline_ms);
    int (*flush)(struct proxy_inbound *in, int64_t deadline_ms);

    /* Ends the exchange so that the client sees a failure, never a clean end. */
    void (*reset)(struct proxy_inbound *in);

    /* What breaks when the client goes away, to be watched while waiting for the host; or NULL. */
    struct io_stream *(*watch)(struct proxy_inbound *in);
};

/* The host's side. */
struct proxy_outbound {
    const struct proxy_outbound_ops *ops;
    bool reused;       /* the connection served requests before */
    uint64_t sent;     /* bytes given to the system for this request */
    uint64_t received; /* bytes of the answer, its head included */
};

struct proxy_outbound_ops {
    /* The request's head (framing as forwarded) with the first of the body; `last`: nothing else
     * follows. */
    int (*send_head)(struct proxy_outbound *out, struct http_head *request, struct wt_str body,
                     bool last, int64_t deadline_ms);
    int (*send_body)(struct proxy_outbound *out, struct wt_str bytes, bool last,
                     const struct http_head *trailers, int64_t deadline_ms);

    /* The final head (interim ones are read over, within a bound). Ends early with WT_ERESET and
     * *out_client_gone set when `watched` breaks. The head lives until the end of the exchange. */
    int (*read_head)(struct proxy_outbound *out, struct io_stream *watched, int64_t deadline_ms,
                     struct http_head **out_response, bool *out_client_gone);
    int (*read_body)(struct proxy_outbound *out, bool wait, int64_t deadline_ms,
                     struct wt_str *out_bytes, const struct http_head **out_trailers);

    /* Gives the connection back, or closes it unless it is clean (`clean` false: never reuse).
     * Once. */
    void (*finish)(struct proxy_outbound *out, bool clean);
};

#endif
