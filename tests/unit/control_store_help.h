/* A store and what tests put into it. */
#ifndef CONTROL_STORE_HELP_H
#define CONTROL_STORE_HELP_H

#include "control/store.h"

static inline struct control_store *open_store(const char *path)
{
    struct control_store *s = NULL;
    struct wt_err err = {0};
    if (control_store_open(path, io_sys_real(), &s, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

static inline json_t *backend(const char *name, int port)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[{s:s, s:i}]}}", "apiVersion",
                     "watari.dev/v1alpha1", "kind", "Backend", "metadata", "name", name,
                     "namespace", "default", "spec", "endpoints", "address", "10.0.0.1", "port",
                     port);
}

#endif
