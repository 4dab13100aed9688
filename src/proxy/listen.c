#include "proxy/internal.h"

enum { BACKLOG = 4096 };

int proxy_listen(void *proxy, const union io_addr *addr, struct wt_err *err)
{
    struct proxy *p = proxy;
    return io_listen(p->sys, addr, BACKLOG, err);
}
