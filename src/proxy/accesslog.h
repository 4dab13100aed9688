/* The access log: one line a request, in Envoy's default text format or as JSON.
 *
 * A format is compiled once; writing a line is copying and escaping, without printf, clock or
 * allocation. Client bytes are escaped (a log line is read by terminals and by other programs): in
 * text a control byte, a quote, a backslash or a byte over 0x7e becomes \xHH, \" or \\; JSON keeps
 * valid UTF-8.
 *
 * Operators: %START_TIME% %REQ(NAME)% %REQ(NAME?OTHER)% %RESP(NAME)% %PROTOCOL% %RESPONSE_CODE%
 * %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %BYTES_RECEIVED% %BYTES_SENT% %DURATION%
 * %REQUEST_DURATION% %RESPONSE_DURATION% %UPSTREAM_HOST% %UPSTREAM_CLUSTER%
 * %UPSTREAM_REQUEST_ATTEMPT_COUNT% %ROUTE_NAME% %DOWNSTREAM_REMOTE_ADDRESS%
 * %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_ADDRESS% %CONNECTION_ID%
 * %WATARI(slot|migration|side|step|epoch|snapshot)%, and %% for a per cent sign. REQ knows :METHOD
 * :PATH :AUTHORITY :SCHEME X-ENVOY-ORIGINAL-PATH X-FORWARDED-FOR USER-AGENT X-REQUEST-ID REFERER
 * TRACEPARENT; RESP knows X-ENVOY-UPSTREAM-SERVICE-TIME LOCATION CONTENT-TYPE. %OP(…):N% cuts a
 * value to N bytes.
 */
#ifndef PROXY_ACCESSLOG_H
#define PROXY_ACCESSLOG_H

#include "base/err.h"
#include "base/str.h"

/* F(constant, Envoy's short name, Envoy's long name) in the order in which they are printed:
 * Envoy puts URX before what happened to the last try. */
#define PROXY_LOG_FLAGS(F)                                                                         \
    F(UH, "UH", "NoHealthyUpstream")                                                               \
    F(UO, "UO", "UpstreamOverflow")                                                                \
    F(NR, "NR", "NoRouteFound")                                                                    \
    F(URX, "URX", "UpstreamRetryLimitExceeded")                                                    \
    F(UF, "UF", "UpstreamConnectionFailure")                                                       \
    F(NC, "NC", "NoClusterFound")                                                                  \
    F(DT, "DT", "DurationTimeout")                                                                 \
    F(DC, "DC", "DownstreamConnectionTermination")                                                 \
    F(LH, "LH", "FailedLocalHealthCheck")                                                          \
    F(UT, "UT", "UpstreamRequestTimeout")                                                          \
    F(LR, "LR", "LocalReset")                                                                      \
    F(UR, "UR", "UpstreamRemoteReset")                                                             \
    F(UC, "UC", "UpstreamConnectionTermination")                                                   \
    F(DI, "DI", "DelayInjected")                                                                   \
    F(FI, "FI", "FaultInjected")                                                                   \
    F(RL, "RL", "RateLimited")                                                                     \
    F(UAEX, "UAEX", "UnauthorizedExternalService")                                                 \
    F(IH, "IH", "InvalidEnvoyRequestHeaders")                                                      \
    F(SI, "SI", "StreamIdleTimeout")                                                               \
    F(DPE, "DPE", "DownstreamProtocolError")                                                       \
    F(UPE, "UPE", "UpstreamProtocolError")                                                         \
    F(UMSDR, "UMSDR", "UpstreamMaxStreamDurationReached")                                          \
    F(OM, "OM", "OverloadManagerTerminated")                                                       \
    F(DR, "DR", "DownstreamRemoteReset")

enum proxy_log_flag_bit {
#define F(constant, text, long_text) PROXY_LOG_BIT_##constant,
    PROXY_LOG_FLAGS(F)
#undef F
        PROXY_LOG_FLAG_COUNT,
};

enum proxy_log_flag {
#define F(constant, text, long_text) PROXY_LOG_##constant = 1 << PROXY_LOG_BIT_##constant,
    PROXY_LOG_FLAGS(F)
#undef F
};

#define PROXY_LOG_NONE (-1) /* "no value" for the signed numbers below */

/* Everything a line can say. Strings are borrowed for the call; {NULL, 0} prints as "-" (JSON
 * null). */
struct proxy_log_entry {
    int64_t start_wall_ms;
    int64_t duration_us;                 /* first byte of the request to last byte of the answer */
    int64_t request_duration_us;         /* to the last byte of the request, or PROXY_LOG_NONE */
    int64_t response_duration_us;        /* to the backend's first byte, or PROXY_LOG_NONE */
    int64_t upstream_time_us;            /* X-ENVOY-UPSTREAM-SERVICE-TIME, or PROXY_LOG_NONE */
    uint64_t bytes_received, bytes_sent; /* bodies */
    uint64_t connection_id, snapshot;
    uint32_t flags;      /* of enum proxy_log_flag */
    uint16_t status;     /* 0: none was sent */
    uint8_t http_minor;  /* HTTP/1.x */
    uint8_t http_major;  /* 0: no request was read */
    uint32_t attempts;   /* tries at a backend */
    int32_t slot;        /* 0..65535 or PROXY_LOG_NONE */
    int32_t step, epoch; /* of the migration, or PROXY_LOG_NONE */
    struct wt_str method, path, original_path, scheme, authority;
    struct wt_str forwarded_for, user_agent, request_id, referer, traceparent;
    struct wt_str location, content_type;
    struct wt_str upstream_host, backend, route;
    struct wt_str remote_address, local_address; /* "10.0.0.1:1234", "[::1]:1234" */
    struct wt_str migration, side;               /* "default/shop", "old" or "new" */
};

/* The second that was printed last; one a thread, all zero at the start. */
struct proxy_log_clock {
    int64_t second;
    char text[24];
};

struct proxy_log_format;

/* Envoy's default text format, with its line feed. */
extern const char proxy_log_default_text[];

/* A text format; a line feed is added where the text has none at its end. The error names the
 * operator. */
int proxy_log_format_new_text(struct wt_str text, struct proxy_log_format **out,
                              struct wt_err *err) WT_NODISCARD;

struct proxy_log_json_key {
    const char *key;
    const char *text; /* a text format; a lone operator gives a number or null where it is one */
};

int proxy_log_format_new_json(const struct proxy_log_json_key *keys, size_t n_keys,
                              struct proxy_log_format **out, struct wt_err *err) WT_NODISCARD;

/* Every operator of the default text format, and route, backend, slot, migration, side, step,
 * epoch. */
int proxy_log_format_new_default_json(struct proxy_log_format **out,
                                      struct wt_err *err) WT_NODISCARD;
void proxy_log_format_free(struct proxy_log_format *f); /* NULL allowed */

/* A buffer of this size holds a line of the default formats with 8 KiB of paths and fields. */
#define PROXY_LOG_LINE_BYTES 16384

/* Writes one line with its line feed and returns its length. Long values are cut so that the line
 * is always whole (and JSON always JSON); 0 when `cap` has no room for the format's own text.
 * Formats are immutable: any thread. */
size_t proxy_log_write(const struct proxy_log_format *f, const struct proxy_log_entry *e,
                       struct proxy_log_clock *clock, char *out, size_t cap);
#endif
