#include "proxy/left_out.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

static bool has(const struct proxy_left_outs *l, const struct proxy_left_out *what)
{
    for (uint32_t i = 0; l && i < l->n; i++)
        if (strcmp(l->all[i].key, what->key) == 0 && strcmp(l->all[i].why, what->why) == 0)
            return true;
    return false;
}

int proxy_left_outs_add(struct proxy_left_outs *l, const struct proxy_left_outs *before,
                        const struct model_item *item, const char *why, const char *instead)
{
    char text[sizeof(((struct wt_err *)0)->msg) + 64];
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        struct proxy_left_out *all = wt_realloc(l->all, cap * sizeof *all);
        if (!all)
            return WT_ENOMEM;
        l->all = all;
        l->cap = cap;
    }
    snprintf(text, sizeof text, "%s; %s", why, instead);
    struct proxy_left_out *out = &l->all[l->n];
    *out =
        (struct proxy_left_out){wt_str_dup(item->key), item->version, wt_str_dup(wt_str_z(text))};
    if (!out->key || !out->why) {
        wt_free(out->key);
        wt_free(out->why);
        return WT_ENOMEM;
    }
    l->n++;
    if (!has(before, out))
        wt_log(WT_LOG_ERROR, "%s is not taken: %s", out->key, out->why);
    return 0;
}

json_t *proxy_left_outs_json(const struct proxy_left_outs *l)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < l->n && i < PROXY_LEFT_OUT_TOLD; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:s}", "key", l->all[i].key, "version",
                                        (json_int_t)l->all[i].version, "message", l->all[i].why));
    return list;
}

void proxy_left_outs_done(struct proxy_left_outs *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        wt_free(l->all[i].key);
        wt_free(l->all[i].why);
    }
    wt_free(l->all);
    *l = (struct proxy_left_outs){0};
}
