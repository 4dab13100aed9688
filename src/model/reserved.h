/* Header fields that belong to the proxy: a filter that changed them could smuggle a second request
 * (RFC 9112 §11.2) or break the connection. One list, for validation and for proxies. */
#ifndef MODEL_RESERVED_H
#define MODEL_RESERVED_H

#include "base/str.h"

/* In any case of letters. Host is none of them: see there. */
bool model_reserved_field(struct wt_str name);

/* Host: no filter adds or removes it, for a request has exactly one (RFC 9112 §3.2); to set it is
 * what URLRewrite's hostname does. */
bool model_reserved_host(struct wt_str name);

/* What Host may be set to: a host name as of URLRewrite, with a port or without. */
bool model_reserved_host_value(struct wt_str value);

#endif
