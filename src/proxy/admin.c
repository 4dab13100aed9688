#include "proxy/internal.h"

int proxy_admin_start(struct proxy *p, struct wt_err *err)
{
    return 0;
}
