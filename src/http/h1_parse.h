/* HTTP/1 heads out of bytes (RFC 9112), strictly: what two readers could take differently is
 * refused. */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H

#include "http/head.h"

/* What was wrong. X(id, status to answer, close the connection, sentence). */
#define HTTP_H1_FAULTS(X)                                                                          \
    X(NONE, 0, false, "nothing wrong")                                                             \
    X(REQUEST_LINE, 400, true, "malformed request line")                                           \
    X(STATUS_LINE, 502, true, "malformed status line")                                             \
    X(METHOD, 400, true, "invalid method")                                                         \
    X(TARGET, 400, true, "invalid request target")                                                 \
    X(VERSION, 505, true, "HTTP version not supported")                                            \
    X(BARE_LINE_END, 400, true, "CR or LF that is not CRLF")                                       \
    X(EMPTY_LINES, 400, true, "too many empty lines before the request")                           \
    X(FIELD_NAME, 400, true, "invalid field name")                                                 \
    X(FIELD_NAME_SPACE, 400, true, "space before the colon of a field")                            \
    X(FIELD_ALIAS, 400, true, "field name with '_' that stands for a known one with '-'")          \
    X(FIELD_FOLD, 400, true, "folded field line")                                                  \
    X(FIELD_VALUE, 400, true, "control character in a field value")                                \
    X(URI_TOO_LONG, 414, true, "request line too long")                                            \
    X(HEAD_TOO_LARGE, 431, true, "head too large")                                                 \
    X(TOO_MANY_FIELDS, 431, true, "too many fields")                                               \
    X(HOST_MISSING, 400, true, "Host is missing")                                                  \
    X(HOST_DUPLICATE, 400, true, "more than one Host")                                             \
    X(HOST_INVALID, 400, true, "invalid Host")                                                     \
    X(LENGTH_INVALID, 400, true, "invalid Content-Length")                                         \
    X(LENGTH_DIFFERS, 400, true, "differing Content-Length")                                       \
    X(LENGTH_AND_CODING, 400, true, "Content-Length with Transfer-Encoding")                       \
    X(CODING_INVALID, 400, true, "Transfer-Encoding does not end in chunked")                      \
    X(CODING_UNKNOWN, 501, true, "Transfer-Encoding not supported")                                \
    X(CODING_OLD_VERSION, 400, true, "Transfer-Encoding on HTTP/1.0")                              \
    X(EXPECT_UNKNOWN, 417, false, "Expect not supported")                                          \
    X(UPGRADE_BODY, 400, true, "Upgrade with a body")                                              \
    X(CHUNK_SIZE, 400, true, "invalid chunk size")                                                 \
    X(CHUNK_EXTENSION, 400, true, "chunk extension too long or invalid")                           \
    X(CHUNK_END, 400, true, "chunk data not followed by CRLF")                                     \
    X(TRAILERS_TOO_LARGE, 431, true, "trailers too large")                                         \
    X(TRUNCATED, 400, true, "body ended early")                                                    \
    X(NO_MEMORY, 503, true, "no memory")

enum http_h1_fault {
#define HTTP_H1_FAULT(id, status, close, text) HTTP_H1_FAULT_##id,
    HTTP_H1_FAULTS(HTTP_H1_FAULT)
#undef HTTP_H1_FAULT
        HTTP_H1_FAULT_COUNT
};

struct http_h1_fault_info {
    uint16_t status; /* for a request; a wrong response is always a 502 */
    bool close;      /* the next message's start is in doubt */
    const char *id;  /* "LENGTH_DIFFERS", for counters */
    const char *text;
};

const struct http_h1_fault_info *http_h1_fault_info(enum http_h1_fault fault);

struct http_h1_limits {
    uint32_t max_line_bytes; /* the request line: 414 */
    uint32_t max_head_bytes; /* all of the head: 431 */
    uint32_t max_fields;     /* 431 */
};

extern const struct http_h1_limits http_h1_default_limits; /* 8 KiB, 32 KiB, 100 */

/* Parses the head at the start of `in`. `last_len` is how many of these bytes an earlier call has
 * seen (0 the first time): nothing is parsed again before a new line end. `head` is
 * http_head_init()ed by the caller before every call. Returns 0           complete; *out_consumed
 * bytes were the head WT_EAGAIN   more bytes are needed; neither head nor *out_consumed mean
 * anything WT_EPROTO, WT_ELIMIT, WT_ENOMEM   *out_fault says what is wrong (of EXPECT_UNKNOWN the
 * head is complete and can be logged) */
int http_h1_parse_request(struct wt_str in, size_t last_len, const struct http_h1_limits *limits,
                          struct http_head *head, size_t *out_consumed,
                          enum http_h1_fault *out_fault) WT_NODISCARD;

/* The same for a response to a request of `method` (HEAD and CONNECT change the framing). A 1xx
 * other than 101 is interim: the caller parses on. */
int http_h1_parse_response(struct wt_str in, size_t last_len, enum http_method method,
                           const struct http_h1_limits *limits, struct http_head *head,
                           size_t *out_consumed, enum http_h1_fault *out_fault) WT_NODISCARD;

#endif
