#include "proxy/internal.h"

int proxy_sync_start(struct proxy *p, struct wt_err *err)
{
    return 0;
}
