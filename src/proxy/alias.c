#include "proxy/alias.h"

enum { NAME_MAX_BYTES = 256 };

static char dashed_mark, underscored_mark; /* how a name is spelt somewhere; '-' outranks '_' */

static struct wt_str fold(struct wt_str name, char out[NAME_MAX_BYTES], bool dashes)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = (char)wt_lower((unsigned char)name.ptr[i]);
        out[i] = dashes && c == '_' ? '-' : c;
    }
    return wt_str(out, name.len);
}

static bool has_underscore(struct wt_str name)
{
    return wt_str_find(name, '_') < name.len;
}

int proxy_aliases_add(struct proxy_aliases *a, struct wt_str name)
{
    char folded[NAME_MAX_BYTES], exact[NAME_MAX_BYTES];
    bool underscored = has_underscore(name);
    if (name.len > NAME_MAX_BYTES || http_field_lookup(name) != HTTP_FIELD_OTHER)
        return 0; /* the parser itself refuses aliases of what it knows */
    struct wt_str key = fold(name, folded, true);
    void *mark = wt_map_get(&a->folded, key);
    if (underscored && wt_map_put(&a->exact, fold(name, exact, false), &underscored_mark, NULL) < 0)
        return WT_ENOMEM;
    a->any_underscored |= underscored;
    if (mark == &dashed_mark || (mark && underscored))
        return 0;
    return wt_map_put(&a->folded, key, underscored ? &underscored_mark : &dashed_mark, NULL);
}

/* A name with '-' is what it says, even where another route spells it with '_'. */
static bool is_alias(const struct proxy_aliases *a, struct wt_str name)
{
    char text[NAME_MAX_BYTES];
    if (name.len > NAME_MAX_BYTES)
        return false;
    const void *mark = wt_map_get(&a->folded, fold(name, text, true));
    if (!mark)
        return false;
    if (!has_underscore(name))
        return mark == &underscored_mark;
    return mark == &dashed_mark || !wt_map_get(&a->exact, fold(name, text, false));
}

bool proxy_aliases_in(const struct proxy_aliases *a, const struct http_head *request)
{
    if (!wt_map_len(&a->folded) || !(request->underscored || a->any_underscored))
        return false;
    for (uint32_t i = 0; i < request->n_fields; i++) {
        const struct http_field *f = &request->fields[i];
        if (f->id == HTTP_FIELD_OTHER && is_alias(a, f->name))
            return true;
    }
    return false;
}

void proxy_aliases_done(struct proxy_aliases *a)
{
    wt_map_done(&a->folded);
    wt_map_done(&a->exact);
}
