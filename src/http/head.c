#include "http/head.h"

#include "http/internal.h"

void http_head_init(struct http_head *h, struct wt_arena *arena)
{
    memset(h, 0, offsetof(struct http_head, inlined));
    h->arena = arena;
    h->minor = 1;
    h->keep_alive = true;
    h->fields = h->inlined;
    h->cap_fields = HTTP_HEAD_INLINE_FIELDS;
}

bool http_head_grow(struct http_head *h)
{
    uint32_t cap = h->cap_fields * 2;
    if (cap > HTTP_HEAD_MAX_FIELDS)
        return false;
    struct http_field *more = wt_arena_alloc(h->arena, cap * sizeof *more);
    if (!more)
        return false;
    memcpy(more, h->fields, h->n_fields * sizeof *more);
    h->fields = more;
    h->cap_fields = cap;
    return true;
}

int http_head_copy(struct http_head *to, const struct http_head *from, struct wt_arena *arena)
{
    struct http_field *fields = to->inlined;
    if (from->n_fields > HTTP_HEAD_INLINE_FIELDS) {
        fields = wt_arena_alloc(arena, from->cap_fields * sizeof *fields);
        if (!fields)
            return WT_ENOMEM;
    }
    memcpy(to, from, offsetof(struct http_head, inlined));
    memcpy(fields, from->fields, from->n_fields * sizeof *fields);
    to->arena = arena;
    to->fields = fields;
    to->cap_fields = fields == to->inlined ? HTTP_HEAD_INLINE_FIELDS : from->cap_fields;
    return 0;
}

static bool own(struct wt_str *s, struct wt_arena *arena)
{
    if (!s->ptr)
        return true;
    *s = wt_arena_str(arena, *s);
    return s->ptr;
}

int http_head_clone(struct http_head *to, const struct http_head *from, struct wt_arena *arena)
{
    int r = http_head_copy(to, from, arena);
    if (r < 0)
        return r;
    struct wt_str *parts[] = {&to->method_text, &to->target, &to->scheme, &to->authority,
                              &to->path,        &to->query,  &to->reason};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!own(parts[i], arena))
            return WT_ENOMEM;
    for (uint32_t i = 0; i < to->n_fields; i++)
        if (!own(&to->fields[i].name, arena) || !own(&to->fields[i].value, arena))
            return WT_ENOMEM;
    return 0;
}

static bool known(enum http_field_id id)
{
    return id != HTTP_FIELD_OTHER && (unsigned)id < HTTP_FIELD_COUNT;
}

static bool is_named(const struct http_field *f, enum http_field_id id, struct wt_str name)
{
    return f->id == id && (id != HTTP_FIELD_OTHER || wt_str_eq_nocase(f->name, name));
}

const struct http_field *http_head_next(const struct http_head *h, enum http_field_id id,
                                        const struct http_field *prev)
{
    const struct http_field *end = h->fields + h->n_fields;
    if (!(h->present & http_bit(id)))
        return NULL;
    for (const struct http_field *f = prev ? prev + 1 : h->fields; f < end; f++)
        if (f->id == id)
            return f;
    return NULL;
}

bool http_head_get(const struct http_head *h, enum http_field_id id, struct wt_str *out)
{
    const struct http_field *f = known(id) ? http_head_next(h, id, NULL) : NULL;
    if (f)
        *out = f->value;
    return f;
}

bool http_head_get_name(const struct http_head *h, struct wt_str name, struct wt_str *out)
{
    enum http_field_id id = http_field_lookup(name);
    const struct http_field *f = http_head_next(h, id, NULL);
    while (f && !is_named(f, id, name))
        f = http_head_next(h, id, f);
    if (f)
        *out = f->value;
    return f;
}

bool http_field_name_valid(struct wt_str name)
{
    return name.len && http_all(name, HTTP_CLASS_TOKEN);
}

bool http_field_value_valid(struct wt_str value)
{
    return http_value_fits(value);
}

static int add(struct http_head *h, enum http_field_id id, struct wt_str name, struct wt_str value)
{
    if (!http_field_value_valid(value))
        return WT_EINVAL;
    if (h->n_fields >= HTTP_HEAD_MAX_FIELDS)
        return WT_ELIMIT;
    return http_head_push(h, name, wt_str_trim(value), id) ? 0 : WT_ENOMEM;
}

static int add_name(struct http_head *h, struct wt_str name, struct wt_str value)
{
    return http_field_name_valid(name) ? add(h, http_field_lookup(name), name, value) : WT_EINVAL;
}

static unsigned drop(struct http_head *h, enum http_field_id id, struct wt_str name, uint32_t from)
{
    uint32_t kept = from;
    if (!(h->present & http_bit(id)))
        return 0;
    for (uint32_t i = from; i < h->n_fields; i++)
        if (!is_named(&h->fields[i], id, name))
            h->fields[kept++] = h->fields[i];
    unsigned n = h->n_fields - kept;
    h->n_fields = kept;
    if (from == 0 && id != HTTP_FIELD_OTHER)
        h->present &= ~http_bit(id);
    return n;
}

static int set(struct http_head *h, enum http_field_id id, struct wt_str name, struct wt_str value)
{
    uint32_t n = h->present & http_bit(id) ? h->n_fields : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct http_field *f = &h->fields[i];
        if (!is_named(f, id, name))
            continue;
        if (!http_field_value_valid(value))
            return WT_EINVAL;
        f->value = wt_str_trim(value);
        drop(h, id, name, i + 1);
        return 0;
    }
    return id == HTTP_FIELD_OTHER ? add_name(h, name, value) : add(h, id, name, value);
}

int http_head_add(struct http_head *h, struct wt_str name, struct wt_str value)
{
    return add_name(h, name, value);
}

int http_head_set(struct http_head *h, struct wt_str name, struct wt_str value)
{
    return set(h, http_field_lookup(name), name, value);
}

int http_head_add_id(struct http_head *h, enum http_field_id id, struct wt_str value)
{
    return known(id) ? add(h, id, http_field_name(id), value) : WT_EINVAL;
}

int http_head_set_id(struct http_head *h, enum http_field_id id, struct wt_str value)
{
    return known(id) ? set(h, id, http_field_name(id), value) : WT_EINVAL;
}

unsigned http_head_remove(struct http_head *h, enum http_field_id id)
{
    return known(id) ? drop(h, id, WT_STR(""), 0) : 0;
}

unsigned http_head_remove_name(struct http_head *h, struct wt_str name)
{
    return drop(h, http_field_lookup(name), name, 0);
}

bool http_list_has(struct wt_str list, struct wt_str element)
{
    while (list.ptr)
        if (wt_str_eq_nocase(wt_str_trim(wt_str_next(&list, ',')), element))
            return true;
    return false;
}
