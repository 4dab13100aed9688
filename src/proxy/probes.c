#include "base/mem.h"
#include "proxy/internal.h"

struct proxy_probes {
    struct proxy *proxy;
};

struct proxy_probes *proxy_probes_new(struct proxy *p)
{
    struct proxy_probes *pr = wt_calloc(1, sizeof *pr);
    if (pr)
        pr->proxy = p;
    return pr;
}

void proxy_probes_follow(struct proxy_probes *pr)
{
}
