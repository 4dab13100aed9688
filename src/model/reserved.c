#include "model/reserved.h"

#include "model/pattern.h"

static const char *const names[] = {
    "Connection", "Content-Length", "Keep-Alive",        "Proxy-Connection",
    "TE",         "Trailer",        "Transfer-Encoding", "Upgrade",
};

bool model_reserved_field(struct wt_str name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (wt_str_eq_nocase(name, wt_str_z(names[i])))
            return true;
    return false;
}

bool model_reserved_host(struct wt_str name)
{
    return wt_str_eq_nocase(name, WT_STR("Host"));
}

bool model_reserved_host_value(struct wt_str value)
{
    uint64_t port = 1;
    size_t colon = wt_str_find(value, ':');
    if (colon < value.len && (!wt_str_u64(wt_str_sub(value, colon + 1, value.len), &port) ||
                              value.len - colon > sizeof("65535")))
        return false;
    return port >= 1 && port <= 65535 &&
           model_pattern_match(MODEL_HOSTNAME, wt_str_sub(value, 0, colon));
}
