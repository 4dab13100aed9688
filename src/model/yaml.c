#include "model/yaml.h"

#include "base/map.h"
#include "base/mem.h"
#include "model/errors.h"
#include "model/lines.h"
#include "model/scalar.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#define TEXT_MAX ((size_t)8 << 20)
#define DEPTH_MAX 32
#define NODES_MAX 1000000
#define ANCHORS_MAX 1000
#define DOCS_MAX 20000

struct anchor {
    json_t *json; /* owned */
    size_t nodes; /* in its tree, aliases included */
    unsigned height;
};

struct reader {
    yaml_parser_t parser;
    struct wt_err *err;
    const char *file;
    size_t nodes; /* of all documents */
    unsigned depth;
    struct wt_map anchors; /* of this document; struct anchor */
    struct model_lines *lines;
    size_t path_len;
    char path[MODEL_LINES_PATH_MAX];
    bool path_cut; /* no lines below here */
};

static int fail_at(struct reader *r, size_t line, const char *fmt, ...) WT_PRINTF(3, 4);

static int fail_at(struct reader *r, size_t line, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    model_disarm(text);
    return wt_fail(r->err, WT_EINVAL, "%s%sline %zu: %s", r->file ? r->file : "",
                   r->file ? ": " : "", line + 1, text);
}

static int next_event(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return 0;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return wt_fail(r->err, WT_ENOMEM, "no memory");
    size_t line = p->error == YAML_READER_ERROR ? p->mark.line : p->problem_mark.line;
    return fail_at(r, line, "%s%s%s", p->problem ? p->problem : "not YAML", p->context ? " " : "",
                   p->context ? p->context : "");
}

/* Adds ".name", or "[i]" where name is NULL, to the path; returns the length to go back to. */
static size_t path_enter(struct reader *r, const char *name, size_t index)
{
    size_t before = r->path_len, room = sizeof(r->path) - r->path_len;
    int n = name ? snprintf(r->path + before, room, "%s%s", before ? "." : "", name)
                 : snprintf(r->path + before, room, "[%zu]", index);
    if ((size_t)n >= room) {
        r->path_cut = true;
        r->path[before] = 0;
    } else if (!r->path_cut) {
        r->path_len += (size_t)n;
    }
    return before;
}

static void path_leave(struct reader *r, size_t len, bool was_cut)
{
    r->path_len = len;
    r->path[len] = 0;
    r->path_cut = was_cut;
}

static int count_nodes(struct reader *r, size_t n, size_t line)
{
    r->nodes += n;
    if (r->nodes > NODES_MAX)
        return fail_at(r, line, "more than %d values, aliases included", NODES_MAX);
    return 0;
}

/* Takes a json_t that may be NULL for lack of memory. */
static int give(struct reader *r, json_t *v, json_t **out)
{
    if (!v)
        return wt_fail(r->err, WT_ENOMEM, "no memory");
    *out = v;
    return 0;
}

static unsigned height_of(const json_t *v)
{
    unsigned most = 0;
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach((json_t *)v, key, item)
    {
        unsigned h = height_of(item);
        most = h > most ? h : most;
    }
    json_array_foreach(v, i, item)
    {
        unsigned h = height_of(item);
        most = h > most ? h : most;
    }
    return most + 1;
}

static int remember_anchor(struct reader *r, const char *name, json_t *v, size_t nodes, size_t line)
{
    void *old = NULL;
    struct anchor *a = wt_malloc(sizeof(*a));
    if (!a)
        return wt_fail(r->err, WT_ENOMEM, "no memory");
    *a = (struct anchor){json_incref(v), nodes, height_of(v)};
    int res = wt_map_len(&r->anchors) >= ANCHORS_MAX
                  ? fail_at(r, line, "more than %d anchors", ANCHORS_MAX)
                  : wt_map_put(&r->anchors, wt_str_z(name), a, &old);
    struct anchor *gone = res < 0 ? a : old;
    if (gone) {
        json_decref(gone->json);
        wt_free(gone);
    }
    return res;
}

static void forget_anchors(struct reader *r)
{
    for (struct wt_map_entry *e = wt_map_first(&r->anchors); e; e = wt_map_next(&r->anchors, e)) {
        struct anchor *a = e->value;
        json_decref(a->json);
        wt_free(a);
    }
    wt_map_done(&r->anchors);
    r->anchors = (struct wt_map){0};
}

/* An alias is a copy that counts in full (CVE-2019-11253), and fills change one place only. */
static int read_alias(struct reader *r, const yaml_event_t *e, json_t **out)
{
    const char *name = (const char *)e->data.alias.anchor;
    size_t line = e->start_mark.line;
    struct anchor *a = wt_map_get(&r->anchors, wt_str_z(name));
    if (!a)
        return fail_at(r, line, "the alias *%.60s stands for nothing above it", name);
    if (r->depth + a->height > DEPTH_MAX)
        return fail_at(r, line, "nested deeper than %d", DEPTH_MAX);
    int res = count_nodes(r, a->nodes, line);
    return res < 0 ? res : give(r, json_deep_copy(a->json), out);
}

static int read_scalar(struct reader *r, const yaml_event_t *e, json_t **out)
{
    struct wt_str s = wt_str((const char *)e->data.scalar.value, e->data.scalar.length);
    const char *tag = (const char *)e->data.scalar.tag;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    size_t line = e->start_mark.line;
    bool text = tag ? strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0 : !plain;
    if (tag && !text)
        return fail_at(r, line, "the tag %.60s is not supported", tag);
    if (wt_str_find(s, '\0') < s.len)
        return fail_at(r, line, "a string holds NUL");
    if (!text) {
        struct wt_err why = {0};
        int res = model_scalar_plain(s, out, &why);
        return res < 0 ? fail_at(r, line, "%s", why.msg) : 0;
    }
    json_t *v = json_stringn(s.ptr, s.len);
    return v ? give(r, v, out) : fail_at(r, line, "a string is not UTF-8");
}

static int read_node(struct reader *r, const yaml_event_t *e, json_t **out);

static int read_key(struct reader *r, const yaml_event_t *e, const json_t *object)
{
    size_t line = e->start_mark.line;
    if (e->type != YAML_SCALAR_EVENT)
        return fail_at(r, line, "a key must be plain text");
    struct wt_str key = wt_str((const char *)e->data.scalar.value, e->data.scalar.length);
    if (wt_str_find(key, '\0') < key.len)
        return fail_at(r, line, "a key holds NUL");
    if (wt_str_eq(key, WT_STR("<<")) && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return fail_at(r, line, "merge keys (<<) are not supported");
    if (json_object_get(object, key.ptr))
        return fail_at(r, line, "the key \"%.60s\" is there twice", key.ptr);
    return 0;
}

/* One "key: value" after its key event, which stays the caller's. */
static int read_member(struct reader *r, const yaml_event_t *key, json_t *object)
{
    yaml_event_t e;
    json_t *v;
    const char *name = (const char *)key->data.scalar.value;
    int res = read_key(r, key, object);
    if (res < 0)
        return res;
    bool was_cut = r->path_cut;
    size_t back = path_enter(r, name, 0);
    res = r->path_cut ? 0 : model_lines_add(r->lines, r->path, (unsigned)key->start_mark.line + 1);
    if (res == 0)
        res = next_event(r, &e);
    if (res == 0) {
        res = read_node(r, &e, &v);
        yaml_event_delete(&e);
    }
    path_leave(r, back, was_cut);
    if (res == 0 && json_object_set_new(object, name, v) < 0)
        res = fail_at(r, key->start_mark.line, "a key is not UTF-8");
    return res;
}

static int read_item(struct reader *r, const yaml_event_t *e, json_t *array)
{
    json_t *v;
    bool was_cut = r->path_cut;
    size_t back = path_enter(r, NULL, json_array_size(array));
    int res =
        r->path_cut ? 0 : model_lines_add(r->lines, r->path, (unsigned)e->start_mark.line + 1);
    if (res == 0)
        res = read_node(r, e, &v);
    path_leave(r, back, was_cut);
    if (res == 0 && json_array_append_new(array, v) < 0)
        res = wt_fail(r->err, WT_ENOMEM, "no memory");
    return res;
}

static int read_members(struct reader *r, bool mapping, json_t *v)
{
    int res = 0;
    bool end = false;
    while (res == 0 && !end) {
        yaml_event_t e;
        res = next_event(r, &e);
        if (res < 0)
            break;
        end = e.type == (mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT);
        if (!end)
            res = mapping ? read_member(r, &e, v) : read_item(r, &e, v);
        yaml_event_delete(&e);
    }
    return res;
}

static int read_collection(struct reader *r, const yaml_event_t *e, json_t **out)
{
    bool mapping = e->type == YAML_MAPPING_START_EVENT;
    const char *tag =
        (const char *)(mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag);
    if (tag && strcmp(tag, mapping ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        return fail_at(r, e->start_mark.line, "the tag %.60s is not supported", tag);
    if (r->depth >= DEPTH_MAX)
        return fail_at(r, e->start_mark.line, "nested deeper than %d", DEPTH_MAX);
    json_t *v = mapping ? json_object() : json_array();
    if (!v)
        return wt_fail(r->err, WT_ENOMEM, "no memory");
    r->depth++;
    int res = read_members(r, mapping, v);
    r->depth--;
    if (res < 0)
        json_decref(v);
    else
        *out = v;
    return res;
}

static const char *anchor_of(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT)
        return (const char *)e->data.scalar.anchor;
    if (e->type == YAML_MAPPING_START_EVENT)
        return (const char *)e->data.mapping_start.anchor;
    return (const char *)e->data.sequence_start.anchor;
}

/* Reads the node that starts with `e`, which stays the caller's. */
static int read_node(struct reader *r, const yaml_event_t *e, json_t **out)
{
    size_t before = r->nodes;
    json_t *v;
    if (e->type == YAML_ALIAS_EVENT)
        return read_alias(r, e, out);
    int res = count_nodes(r, 1, e->start_mark.line);
    if (res == 0)
        res = e->type == YAML_SCALAR_EVENT ? read_scalar(r, e, &v) : read_collection(r, e, &v);
    if (res < 0)
        return res;
    if (anchor_of(e))
        res = remember_anchor(r, anchor_of(e), v, r->nodes - before, e->start_mark.line);
    if (res < 0)
        json_decref(v);
    else
        *out = v;
    return res;
}

static int add_doc(struct reader *r, struct model_docs *docs, struct model_doc doc)
{
    if (docs->n >= DOCS_MAX)
        return fail_at(r, doc.line, "more than %d documents", DOCS_MAX);
    if ((docs->n & (docs->n - 1)) == 0) {
        size_t cap = docs->n ? docs->n * 2 : 1;
        struct model_doc *items = wt_realloc(docs->items, cap * sizeof(*items));
        if (!items)
            return wt_fail(r->err, WT_ENOMEM, "no memory");
        docs->items = items;
    }
    doc.file = docs->file;
    json_incref(doc.json);
    model_lines_ref(doc.lines);
    docs->items[docs->n++] = doc;
    return 0;
}

static bool is_list(const json_t *v)
{
    const char *kind = json_string_value(json_object_get(v, "kind"));
    return kind && strcmp(kind, "List") == 0 && json_is_array(json_object_get(v, "items"));
}

static int add_list(struct reader *r, struct model_docs *docs, const json_t *list)
{
    size_t i;
    json_t *item;
    int res = 0;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        struct model_lines *lines = model_lines_new();
        if (!lines)
            return wt_fail(r->err, WT_ENOMEM, "no memory");
        lines->of_list = model_lines_ref(r->lines);
        snprintf(lines->prefix, sizeof(lines->prefix), "items[%zu]", i);
        unsigned line = model_line_of(lines, "");
        res = add_doc(r, docs, (struct model_doc){.json = item, .lines = lines, .line = line});
        model_lines_unref(lines);
        if (res < 0)
            break;
    }
    return res;
}

/* One document, whose start event has been read. */
static int read_document(struct reader *r, struct model_docs *docs)
{
    yaml_event_t e;
    json_t *v = NULL;
    r->lines = model_lines_new();
    int res = r->lines ? next_event(r, &e) : wt_fail(r->err, WT_ENOMEM, "no memory");
    if (res == 0) {
        unsigned line = (unsigned)e.start_mark.line + 1;
        res = model_lines_add(r->lines, "", line);
        if (res == 0)
            res = read_node(r, &e, &v);
        yaml_event_delete(&e);
        if (res == 0) {
            model_lines_sort(r->lines);
            if (is_list(v))
                res = add_list(r, docs, v);
            else if (!json_is_null(v))
                res = add_doc(r, docs,
                              (struct model_doc){.json = v, .lines = r->lines, .line = line});
        }
    }
    json_decref(v);
    model_lines_unref(r->lines);
    forget_anchors(r);
    return res;
}

static int read_stream(struct reader *r, struct model_docs *docs)
{
    for (;;) {
        yaml_event_t e;
        int res = next_event(r, &e);
        if (res < 0)
            return res;
        yaml_event_type_t type = e.type;
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT)
            return 0;
        if (type == YAML_DOCUMENT_START_EVENT)
            res = read_document(r, docs);
        if (res < 0)
            return res;
    }
}

int model_yaml_parse(struct wt_str text, const char *file, struct model_docs *out,
                     struct wt_err *err)
{
    struct reader r = {.err = err, .file = file};
    struct model_docs docs = {0};
    const char *where = file ? file : "the text", *colon = ": ";
    if (text.len > TEXT_MAX)
        return wt_fail(err, WT_ELIMIT, "%s%s%zu bytes is over %zu", where, colon, text.len,
                       TEXT_MAX);
    if (file && !(docs.file = wt_str_dup(wt_str_z(file))))
        return wt_fail(err, WT_ENOMEM, "no memory");
    if (!yaml_parser_initialize(&r.parser)) {
        model_docs_done(&docs);
        return wt_fail(err, WT_ENOMEM, "no memory");
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    int res = read_stream(&r, &docs);
    yaml_parser_delete(&r.parser);
    if (res < 0)
        model_docs_done(&docs);
    else
        *out = docs;
    return res;
}

static int read_file(const char *path, FILE *f, struct wt_buf *text, struct wt_err *err)
{
    char piece[8192];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0) {
        if (wt_buf_add(text, piece, n) < 0)
            return wt_fail(err, wt_buf_error(text), "%s: larger than %zu bytes", path, TEXT_MAX);
    }
    return ferror(f) ? wt_fail(err, WT_EIO, "%s: %s", path, strerror(errno)) : 0;
}

int model_yaml_read(const char *path, struct model_docs *out, struct wt_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return wt_fail(err, wt_code_from_errno(errno), "%s: %s", path, strerror(errno));
    wt_autobuf struct wt_buf text = wt_buf_make(TEXT_MAX);
    int res = read_file(path, f, &text, err);
    fclose(f);
    return res < 0 ? res : model_yaml_parse(wt_buf_str(&text), path, out, err);
}

void model_docs_done(struct model_docs *docs)
{
    for (size_t i = 0; i < docs->n; i++) {
        json_decref(docs->items[i].json);
        model_lines_unref(docs->items[i].lines);
    }
    wt_free(docs->items);
    wt_free(docs->file);
    *docs = (struct model_docs){0};
}
