/* Small helpers of the API's handlers: JSON in, JSON and metav1.Status out. */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include "base/err.h"
#include "rpc/server.h"

#include <jansson.h>

/* Sends a document and drops the reference; NULL becomes a 500. */
void control_send_json(struct rpc_reply *reply, unsigned status, json_t *doc);

/* Sends a metav1.Status of failure: code, reason ("NotFound", …) and one sentence. */
void control_send_status(struct rpc_reply *reply, unsigned status, const char *message);

/* As above, with the status that fits an error's code. */
void control_send_error(struct rpc_reply *reply, const struct wt_err *err);

/* The body as JSON: bounded depth, no duplicate keys. NULL with a sentence. */
json_t *control_body(const struct rpc_request *request, struct wt_err *err);

/* A query parameter as a terminated string in `out`, or NULL when absent. */
const char *control_query(const struct rpc_request *request, const char *name, struct wt_buf *out);

/* May this request be served? Over TCP, Host and Origin must name this machine, else any web page
 * could call the API through a name of its own that resolves to 127.0.0.1 (DNS rebinding). */
bool control_request_is_local(const struct rpc_request *request);

#endif
