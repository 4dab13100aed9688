#include "proxy/policy.h"

#define TRIGGER(name) (UINT32_C(1) << MODEL_RETRY_##name)

static const struct proxy_policy defaults = {
    .connect_timeout_ms = 5000,
    .request_timeout_ms = 15000,
    .num_retries = 1,
    .retry_triggers =
        TRIGGER(CONNECT_FAILURE) | TRIGGER(REFUSED_STREAM) | TRIGGER(RESET_BEFORE_REQUEST),
    .back_off_base_ms = 25,
    .back_off_max_ms = 250,
    .budget_percent = 20,
    .budget_min = 3,
};

static void set_check(struct proxy_check *c, const struct model_active_health_check *v)
{
    static const int64_t only_200[] = {200};
    *c = (struct proxy_check){
        .enabled = true,
        .http = v->type != MODEL_HEALTH_CHECK_TCP,
        .path = WT_STR_INIT("/"),
        .method = WT_STR_INIT("GET"),
        .statuses = only_200,
        .n_statuses = 1,
        .interval_ms = v->interval_ms,
        .timeout_ms = v->timeout_ms,
        .healthy_threshold = (unsigned)v->healthy_threshold,
        .unhealthy_threshold = (unsigned)v->unhealthy_threshold,
    };
    if (!v->http)
        return;
    c->path = v->http->path;
    c->hostname = v->http->hostname;
    if (v->http->method == MODEL_HTTP_METHOD_HEAD)
        c->method = WT_STR("HEAD");
    if (v->http->n_expected_statuses) {
        c->statuses = v->http->expected_statuses;
        c->n_statuses = v->http->n_expected_statuses;
    }
}

static void set_retry(struct proxy_policy *p, const struct model_policy_retry *v)
{
    p->num_retries = (unsigned)v->num_retries;
    p->retry_non_idempotent = v->retry_non_idempotent;
    if (v->retry_on) {
        p->retry_triggers = 0;
        for (uint32_t i = 0; i < v->retry_on->n_triggers; i++)
            p->retry_triggers |= UINT32_C(1) << v->retry_on->triggers[i];
        p->retry_statuses = v->retry_on->http_status_codes;
        p->n_retry_statuses = v->retry_on->n_http_status_codes;
    }
    if (v->per_retry) {
        p->try_timeout_ms = v->per_retry->timeout_ms;
        if (v->per_retry->back_off) {
            p->back_off_base_ms = v->per_retry->back_off->base_interval_ms;
            p->back_off_max_ms = v->per_retry->back_off->max_interval_ms;
        }
    }
    if (v->budget) {
        p->budget_percent = v->budget->percent;
        p->budget_min = (unsigned)v->budget->min_retries;
    }
}

struct proxy_policy proxy_policy_from(const struct model_backend_traffic_policy *view)
{
    struct proxy_policy p = defaults;
    if (!view)
        return p;
    const struct model_backend_traffic_policy_spec *spec = view->spec;
    if (spec->timeout && spec->timeout->tcp)
        p.connect_timeout_ms = spec->timeout->tcp->connect_timeout_ms;
    if (spec->timeout && spec->timeout->http)
        p.request_timeout_ms = spec->timeout->http->request_timeout_ms;
    if (spec->retry)
        set_retry(&p, spec->retry);
    if (spec->health_check && spec->health_check->active)
        set_check(&p.check, spec->health_check->active);
    p.round_robin = spec->load_balancer && spec->load_balancer->type == MODEL_BALANCE_ROUND_ROBIN;
    return p;
}

/* What each failure is called in `retryOn.triggers` (Envoy's retry-on values). */
static const uint32_t triggers_of[] = {
    [PROXY_FAIL_CONNECT] = TRIGGER(CONNECT_FAILURE) | TRIGGER(ANY_5XX) | TRIGGER(RESET),
    [PROXY_FAIL_RESET_UNSENT] =
        TRIGGER(RESET_BEFORE_REQUEST) | TRIGGER(REFUSED_STREAM) | TRIGGER(RESET) | TRIGGER(ANY_5XX),
    [PROXY_FAIL_RESET] = TRIGGER(RESET) | TRIGGER(ANY_5XX),
    [PROXY_FAIL_PROTOCOL] = TRIGGER(RESET) | TRIGGER(ANY_5XX),
    [PROXY_FAIL_TIMEOUT] = TRIGGER(RESET) | TRIGGER(ANY_5XX) | TRIGGER(GATEWAY_ERROR),
};

static uint32_t status_triggers(unsigned status)
{
    uint32_t t = 0;
    if (status >= 500 && status <= 599)
        t |= TRIGGER(ANY_5XX);
    if (status >= 502 && status <= 504)
        t |= TRIGGER(GATEWAY_ERROR);
    if (status == 409)
        t |= TRIGGER(RETRIABLE_4XX);
    return t;
}

bool proxy_policy_wants_retry(const struct proxy_policy *p, enum proxy_failure failure,
                              unsigned status)
{
    if (p->num_retries == 0 || failure == PROXY_FAIL_NONE)
        return false;
    if (failure != PROXY_FAIL_STATUS)
        return p->retry_triggers & triggers_of[failure];
    for (size_t i = 0; i < p->n_retry_statuses; i++)
        if (p->retry_statuses[i] == (int64_t)status)
            return true;
    return p->retry_triggers & status_triggers(status);
}

bool proxy_retry_safe(const struct proxy_policy *p, enum proxy_failure failure, bool idempotent)
{
    return failure == PROXY_FAIL_CONNECT || failure == PROXY_FAIL_RESET_UNSENT || idempotent ||
           p->retry_non_idempotent;
}

int64_t proxy_policy_back_off_ms(const struct proxy_policy *p, unsigned attempt, uint64_t random)
{
    int64_t cap = p->back_off_base_ms;
    for (unsigned i = 1; i < attempt && cap < p->back_off_max_ms; i++)
        cap *= 2;
    if (cap > p->back_off_max_ms)
        cap = p->back_off_max_ms;
    return cap > 0 ? (int64_t)(random % (uint64_t)(cap + 1)) : 0;
}
