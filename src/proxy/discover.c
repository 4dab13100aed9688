#include "base/mem.h"
#include "proxy/internal.h"

struct proxy_discover {
    struct proxy *proxy;
};

struct proxy_discover *proxy_discover_new(struct proxy *p)
{
    struct proxy_discover *d = wt_calloc(1, sizeof *d);
    if (d)
        d->proxy = p;
    return d;
}

void proxy_discover_found(void *discover, struct wt_str backend, const struct model_backend *view,
                          struct proxy_found_hosts *out)
{
}

void proxy_discover_follow(struct proxy_discover *d)
{
}
