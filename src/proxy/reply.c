/* Answers of our own: redirects, and what a client is told when there is no other answer. */
#include "proxy/trip.h"

#include <stdio.h>

void proxy_reply(struct proxy_trip *t, unsigned status, uint32_t flags, const char *text)
{
    struct http_head head;
    char line[256]; /* ended as people's terminals like it */
    int n = *text ? snprintf(line, sizeof line, "%s\n", text) : 0;
    struct wt_str body = wt_str(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    int64_t deadline = io_now_ms() + 5000;
    t->status = status;
    t->flags |= flags;
    t->local = true;
    http_head_init(&head, t->arena);
    head.status = (uint16_t)status;
    head.reason = wt_str_z(http_status_text(status));
    head.framing = HTTP_FRAMING_LENGTH;
    head.length = body.len;
    int r = http_head_add_id(&head, HTTP_FIELD_SERVER, WT_STR("watari"));
    if (r == 0)
        r = http_head_add_id(&head, HTTP_FIELD_DATE, proxy_worker_date(t->worker));
    if (r == 0 && body.len)
        r = http_head_add_id(&head, HTTP_FIELD_CONTENT_TYPE, WT_STR("text/plain"));
    if (r == 0 && t->location.len)
        r = http_head_add_id(&head, HTTP_FIELD_LOCATION, t->location);
    bool last = body.len == 0 || t->in->request->method == HTTP_METHOD_HEAD;
    if (r == 0)
        r = t->in->ops->send_head(t->in, &head, last, deadline);
    if (r == 0 && !last)
        r = t->in->ops->send_body(t->in, body, true, NULL, deadline);
    if (r == 0 && !last)
        t->bytes_sent = body.len;
    if (r < 0) {
        t->gone = true;
        t->in->ops->reset(t->in);
    }
}
