/* Units of time as users write them. Instants are int64_t: `_ns`, `_ms` say which; wall time counts
 * from 1970 UTC, monotonic time from an arbitrary start. This file never asks for the time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/str.h"

#define WT_MS_NS INT64_C(1000000)
#define WT_S_NS INT64_C(1000000000)

/* Gateway API durations (GEP-2257): "1h30m", "500ms", up to four integer pieces of h, m, s, ms in
 * that order. "0s" is zero. Returns false on anything else. */
bool wt_duration_parse(struct wt_str s, int64_t *out_ms);

/* The shortest form: 90000 is "1m30s". `out` holds at least 32 bytes; returns it. */
char *wt_duration_format(int64_t ms, char out[32]);

/* "2026-11-21T06:48:41.123Z" (RFC 3339, UTC); with_ms false leaves the fraction out. Returns `out`.
 */
char *wt_time_format(int64_t wall_ms, bool with_ms, char out[32]);

/* RFC 3339 with Z or an offset; false on anything else. */
bool wt_time_parse(struct wt_str s, int64_t *out_wall_ms);

/* IMF-fixdate, "Sat, 21 Nov 2026 06:48:41 GMT" (RFC 9110 §5.6.7). Returns `out`. */
char *wt_time_format_http(int64_t wall_s, char out[32]);

#endif
