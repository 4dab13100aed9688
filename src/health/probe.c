#include "health/probe.h"

#include "rpc/client.h"

/* A page is no part of the answer to "are you well"; this much of it is read before it is taken for
 * an error. */
enum { BODY_BYTES = 1 << 20 };

const char *health_state_text(enum health_state state)
{
    static const char *const texts[] = {
        [HEALTH_STATE_UNKNOWN] = "unknown",
        [HEALTH_STATE_HEALTHY] = "healthy",
        [HEALTH_STATE_UNHEALTHY] = "unhealthy",
    };
    return texts[state];
}

void health_probe_init(struct health_probe *p, unsigned healthy_threshold,
                       unsigned unhealthy_threshold)
{
    *p = (struct health_probe){.state = HEALTH_STATE_UNKNOWN};
    health_probe_adjust(p, healthy_threshold, unhealthy_threshold);
}

void health_probe_adjust(struct health_probe *p, unsigned healthy_threshold,
                         unsigned unhealthy_threshold)
{
    p->healthy_threshold = healthy_threshold ? healthy_threshold : 1;
    p->unhealthy_threshold = unhealthy_threshold ? unhealthy_threshold : 1;
}

bool health_probe_take(struct health_probe *p, bool success)
{
    enum health_state next = success ? HEALTH_STATE_HEALTHY : HEALTH_STATE_UNHEALTHY;
    if (p->state == next) {
        p->in_row = 0;
        return false;
    }
    unsigned needed = success ? p->healthy_threshold : p->unhealthy_threshold;
    if (success && p->state == HEALTH_STATE_UNKNOWN)
        needed = 1;
    if (++p->in_row < needed)
        return false;
    p->state = next;
    p->in_row = 0;
    return true;
}

static bool is_expected(const struct health_check *check, unsigned status)
{
    for (size_t i = 0; i < check->n_statuses; i++)
        if (check->statuses[i] == (int64_t)status)
            return true;
    return false;
}

static int run_tcp(const union io_addr *addr, int64_t deadline_ms, struct wt_err *err)
{
    struct io_stream s;
    io_stream_init(&s);
    int r = io_connect(&s, addr, deadline_ms);
    io_stream_close(&s);
    return r < 0 ? wt_fail(err, r, "connect: %s", wt_code_text(r)) : 0;
}

static int run_http(const union io_addr *addr, const struct health_check *check,
                    int64_t deadline_ms, struct wt_err *err)
{
    char text[IO_ADDR_TEXT];
    struct rpc_answer answer;
    struct rpc_call call = {
        .method = check->method,
        .target = check->path,
        .host = check->host.len ? check->host : wt_str_z(io_addr_format(addr, text)),
        .max_body_bytes = BODY_BYTES,
    };
    int r = rpc_call(addr, &call, deadline_ms, &answer, err);
    if (r < 0)
        return r;
    wt_buf_done(&answer.body);
    if (!is_expected(check, answer.status))
        return wt_fail(err, WT_EPROTO, "%.*s %.*s: status %u", WT_ARG(check->method),
                       WT_ARG(check->path), answer.status);
    return 0;
}

int health_check_run(const union io_addr *addr, const struct health_check *check,
                     int64_t deadline_ms, struct wt_err *err)
{
    return check->http ? run_http(addr, check, deadline_ms, err) : run_tcp(addr, deadline_ms, err);
}
