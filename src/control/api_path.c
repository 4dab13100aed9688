#include "control/api_path.h"

#include <stdio.h>

enum { PIECES_MAX = 9 };

static bool take(struct wt_str piece, char *out, size_t size)
{
    if (piece.len == 0 || piece.len >= size)
        return false;
    /* No name has others, and what is no UTF-8 would make an answer that is no JSON. */
    for (size_t i = 0; i < piece.len; i++)
        if (piece.ptr[i] <= ' ' || piece.ptr[i] > '~')
            return false;
    memcpy(out, piece.ptr, piece.len);
    out[piece.len] = 0;
    return true;
}

/* What follows the version. */
static enum control_path_form resource(struct control_path *p, const struct wt_str *piece, size_t n)
{
    if (n >= 3 && wt_str_eq(piece[0], WT_STR("namespaces"))) {
        if (!take(piece[1], p->namespace, sizeof(p->namespace)))
            return CONTROL_PATH_NONE;
        piece += 2;
        n -= 2;
    }
    p->kind = model_kind_resource(wt_str_z(p->group), wt_str_z(p->version), piece[0]);
    if (!p->kind || (*p->namespace && !p->kind->namespaced) || n > 3)
        return CONTROL_PATH_NONE;
    if (n == 1)
        return CONTROL_PATH_LIST;
    if (!take(piece[1], p->name, sizeof(p->name)) || (p->kind->namespaced && !*p->namespace))
        return CONTROL_PATH_NONE;
    if (n == 2)
        return CONTROL_PATH_OBJECT;
    return wt_str_eq(piece[2], WT_STR("status")) ? CONTROL_PATH_STATUS : CONTROL_PATH_NONE;
}

void control_path_parse(struct wt_str path, struct control_path *out)
{
    struct wt_str piece[PIECES_MAX];
    size_t n = 0;
    *out = (struct control_path){0};
    if (path.len < 2 || path.ptr[0] != '/')
        return;
    path = wt_str_sub(path, 1, path.len);
    if (path.ptr[path.len - 1] == '/')
        path.len--;
    while (path.ptr && n < PIECES_MAX)
        piece[n++] = wt_str_next(&path, '/');
    if (path.ptr)
        return;
    bool core = wt_str_eq(piece[0], WT_STR("api"));
    if (!core && !wt_str_eq(piece[0], WT_STR("apis")))
        return;
    size_t at = 1;
    if (at == n) {
        out->form = core ? CONTROL_PATH_CORE : CONTROL_PATH_GROUPS;
        return;
    }
    if (!core && !take(piece[at++], out->group, sizeof(out->group)))
        return;
    if (at == n) {
        out->form = CONTROL_PATH_GROUP;
        return;
    }
    if (!take(piece[at++], out->version, sizeof(out->version)))
        return;
    out->form = at == n ? CONTROL_PATH_KINDS : resource(out, piece + at, n - at);
}
