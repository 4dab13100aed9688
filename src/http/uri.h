/* Paths, queries and authorities. One normaliser serves routing and forwarding, so that what was
 * matched is what is sent (CVE-2019-9901). */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Removes dot segments ("." and "..", also as %2e; RFC 3986 §5.2.4) and decodes %XX of unreserved
 * bytes (§6.2.2.2). Doubled slashes and %2F stay as they are. *out is `path` itself when it is
 * normal already, else in the arena. WT_EINVAL: does not start with '/', a byte that may not stand
 * in a path (control, space, '#', '?', '\', above 0x7e), a wrong %XX, %00; WT_ENOMEM. */
int http_path_normalise(struct wt_str path, struct wt_arena *arena,
                        struct wt_str *out) WT_NODISCARD;

/* "host[:port]" without userinfo: registered name, IPv4 or [IPv6]. *out_port is -1 without one.
 * False when it is none. Either out may be NULL. */
bool http_authority_split(struct wt_str authority, struct wt_str *out_host, int *out_port);

#endif
