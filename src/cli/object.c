#include "cli/object.h"

#include "base/clock.h"
#include "cli/table.h"
#include "io/fiber.h"
#include "model/check.h"
#include "model/yaml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* WT_EINVAL with "did you mean". */
static int parse_kind(struct wt_str text, const struct model_kind **out, struct wt_err *err)
{
    const struct model_kind *kind = model_kind_find(text);
    if (kind) {
        *out = kind;
        return 0;
    }
    const struct model_kind *near = model_kind_near(text);
    if (near)
        return wt_fail(err, WT_EINVAL, "there is no kind \"%.*s\"; did you mean %s?", WT_ARG(text),
                       near->name);
    char all[256];
    size_t n = 0;
    for (unsigned i = 0; i < model_kinds_len && n < sizeof(all); i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", model_kinds[i].name);
    return wt_fail(err, WT_EINVAL, "there is no kind \"%.*s\"; there are %s", WT_ARG(text), all);
}

/* The entry of a kind; NULL when there are too many. */
static struct cli_ref *ref_of(struct cli_refs *refs, const struct model_kind *kind)
{
    for (unsigned i = 0; i < refs->n; i++)
        if (refs->items[i].kind == kind)
            return &refs->items[i];
    if (refs->n == CLI_KINDS_MAX)
        return NULL;
    refs->items[refs->n].kind = kind;
    return &refs->items[refs->n++];
}

static int add_kind(struct cli_refs *refs, struct wt_str text, const char *name, struct wt_err *err)
{
    const struct model_kind *kind;
    int r = parse_kind(text, &kind, err);
    if (r < 0)
        return r;
    struct cli_ref *ref = ref_of(refs, kind);
    if (!ref)
        return wt_fail(err, WT_EINVAL, "more than %d kinds", CLI_KINDS_MAX);
    if (name)
        ref->names.items[ref->names.n++] = name;
    return 0;
}

/* Everything that a site is made of; events would drown it. */
static void add_all(struct cli_refs *refs)
{
    for (unsigned i = 0; i < model_kinds_len; i++)
        if (model_kinds[i].namespaced && &model_kinds[i] != model_kind_event)
            ref_of(refs, &model_kinds[i]);
}

static int parse_pairs(const struct cli_texts *operands, struct cli_refs *out, struct wt_err *err)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < operands->n; i++) {
        struct wt_str name = wt_str_z(operands->items[i]);
        struct wt_str kind = wt_str_next(&name, '/');
        if (!name.ptr)
            return wt_fail(err, WT_EINVAL, "write KIND/NAME or KIND NAME, not both");
        if (!name.len || !kind.len)
            return wt_fail(err, WT_EINVAL, "\"%s\": write KIND/NAME", operands->items[i]);
        r = add_kind(out, kind, name.ptr, err);
    }
    return r;
}

int cli_refs_parse(const struct cli_texts *operands, struct cli_refs *out, struct wt_err *err)
{
    *out = (struct cli_refs){0};
    if (operands->n == 0)
        return wt_fail(err, WT_EINVAL, "name a kind, for example migration");
    if (strchr(operands->items[0], '/'))
        return parse_pairs(operands, out, err);
    struct wt_str kinds = wt_str_z(operands->items[0]);
    if (wt_str_eq(kinds, WT_STR("all")) && operands->n > 1)
        return wt_fail(err, WT_EINVAL, "all takes no names");
    if (wt_str_eq(kinds, WT_STR("all"))) {
        add_all(out);
        return 0;
    }
    int r = 0;
    while (r == 0 && kinds.ptr)
        r = add_kind(out, wt_str_next(&kinds, ','), NULL, err);
    for (unsigned k = 0; r == 0 && k < out->n; k++)
        for (unsigned i = 1; i < operands->n; i++)
            out->items[k].names.items[out->items[k].names.n++] = operands->items[i];
    return r;
}

int cli_ref_parse(const struct cli_texts *operands, struct cli_ref *out, struct wt_err *err)
{
    struct cli_refs refs;
    int r = cli_refs_parse(operands, &refs, err);
    if (r == 0 && refs.n > 1)
        r = wt_fail(err, WT_EINVAL, "name one kind at a time here");
    if (r == 0)
        *out = refs.items[0];
    return r;
}

char *cli_label(const struct model_kind *kind, const char *name, char *out, size_t size)
{
    char lower[64];
    size_t i = 0;
    for (; kind->name[i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)wt_lower((unsigned char)kind->name[i]);
    lower[i] = 0;
    snprintf(out, size, "%s%s%s%s%s", lower, *kind->group ? "." : "", kind->group, name ? "/" : "",
             name ? name : "");
    return out;
}

json_t *cli_at(const json_t *doc, const char *path)
{
    struct wt_str rest = wt_str_z(path);
    while (doc && rest.ptr) {
        char key[128];
        struct wt_str piece = wt_str_next(&rest, '.');
        snprintf(key, sizeof(key), "%.*s", WT_ARG(piece));
        doc = json_object_get(doc, key);
    }
    return (json_t *)doc;
}

const char *cli_text_at(const json_t *doc, const char *path)
{
    const char *text = json_string_value(cli_at(doc, path));
    return text ? text : "";
}

int64_t cli_int_at(const json_t *doc, const char *path)
{
    return json_integer_value(cli_at(doc, path));
}

double cli_number_at(const json_t *doc, const char *path)
{
    return json_number_value(cli_at(doc, path));
}

/* ---- time and numbers ---- */

const char *cli_span(int64_t ms, char out[32])
{
    int64_t s = ms < 0 ? 0 : ms / 1000;
    if (s < 120)
        snprintf(out, 32, "%" PRId64 "s", s);
    else if (s < 7200)
        snprintf(out, 32, "%" PRId64 "m", s / 60);
    else if (s < 2 * 86400)
        snprintf(out, 32, "%" PRId64 "h%" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%" PRId64 "d", s / 86400);
    return out;
}

const char *cli_age(const char *time, int64_t wall_ms, char out[32])
{
    int64_t at;
    if (!wt_time_parse(wt_str_z(time), &at))
        return "<unknown>";
    return cli_span(wall_ms - at, out);
}

const char *cli_percent(double percent, char out[32])
{
    int n = snprintf(out, 28, "%.*f", percent < 10 ? 4 : 2, percent);
    while (n > 1 && strchr(out, '.') && (out[n - 1] == '0' || out[n - 1] == '.')) {
        bool point = out[n - 1] == '.';
        out[--n] = 0;
        if (point)
            break;
    }
    memcpy(out + n, " %", 3);
    return out;
}

/* ---- calls ---- */

void cli_query_add(struct wt_buf *path, const char *name, const char *value)
{
    bool first = memchr(path->ptr, '?', path->len) == NULL;
    wt_buf_printf(path, "%c%s=", first ? '?' : '&', name);
    for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
        bool plain = (*at >= '0' && *at <= '9') || (wt_lower(*at) >= 'a' && wt_lower(*at) <= 'z') ||
                     strchr("-._~", *at);
        if (plain)
            wt_buf_add_char(path, (char)*at);
        else
            wt_buf_printf(path, "%%%02X", *at);
    }
}

static int call(const struct cli_client *c, const char *method, struct wt_buf *path,
                const json_t *body, json_t **out, struct wt_err *err)
{
    const char *z = wt_buf_z(path);
    return z ? cli_call(c, method, z, body, out, err) : wt_fail(err, WT_ENOMEM, "out of memory");
}

int cli_list(const struct cli_client *c, const struct model_kind *kind, const char *labels,
             json_t **out, struct wt_err *err)
{
    wt_autobuf struct wt_buf path = wt_buf_make(8192);
    cli_path(&path, kind, c->namespace, NULL, NULL);
    if (labels)
        cli_query_add(&path, "labelSelector", labels);
    return call(c, "GET", &path, NULL, out, err);
}

int cli_fetch(const struct cli_client *c, const struct model_kind *kind, const char *namespace,
              const char *name, json_t **out, struct wt_err *err)
{
    char label[400];
    /* A name with a slash would reach another path of the API. */
    if (!*name || strpbrk(name, "/?#% "))
        return wt_fail(err, WT_EINVAL, "\"%s\" is no name of an object", name);
    int r = cli_get_object(c, kind, namespace, name, out, err);
    if (r == WT_ENOENT)
        return wt_fail(err, r,
                       "%s not found in namespace %s; `watari get %s -A` lists what there is",
                       cli_label(kind, name, label, sizeof(label)), namespace, kind->plural);
    return r;
}

int cli_put(const struct cli_client *c, const json_t *doc, bool replace, const char *sub,
            bool dry_run, json_t **out, struct wt_err *err)
{
    wt_autobuf struct wt_buf path = wt_buf_make(8192);
    const struct model_kind *kind = model_kind_of(doc);
    cli_path(&path, kind, model_namespace(doc), replace ? model_name(doc) : NULL, sub);
    if (dry_run)
        cli_query_add(&path, "dryRun", "All");
    return call(c, replace ? "PUT" : "POST", &path, doc, out, err);
}

/* ---- what is written ---- */

bool cli_is_from_file(const json_t *doc)
{
    const json_t *notes = cli_at(doc, "metadata.annotations");
    const char *source = json_string_value(json_object_get(notes, "watari.dev/source"));
    return source && strcmp(source, "file") == 0;
}

/* Labels and annotations are the writer's, except those of our own that are not mentioned. */
static void keep_annotations(json_t *meta, const json_t *current)
{
    const char *key;
    json_t *value, *notes = json_object_get(meta, "annotations");
    json_object_foreach(cli_at(current, "metadata.annotations"), key, value)
    {
        if (strncmp(key, "watari.dev/", 11) != 0 || json_object_get(notes, key))
            continue;
        if (!notes) {
            notes = json_object();
            json_object_set_new(meta, "annotations", notes);
        }
        json_object_set(notes, key, value);
    }
}

static bool is_same(const json_t *a, const json_t *b, const char *path)
{
    const json_t *x = cli_at(a, path), *y = cli_at(b, path);
    return x && y ? json_equal(x, y) : !json_object_size(x) && !json_object_size(y);
}

/* A status is written every second while there is traffic: that is nobody's change. The generation
 * tells of the spec only. */
int cli_check_fresh(const json_t *wanted, const json_t *current, struct wt_err *err)
{
    const char *read = cli_text_at(wanted, "metadata.resourceVersion"),
               *now = cli_text_at(current, "metadata.resourceVersion");
    if (!*read || strcmp(read, now) == 0)
        return 0;
    if (cli_at(wanted, "metadata.uid") && cli_at(wanted, "metadata.generation") &&
        json_equal(cli_at(wanted, "metadata.uid"), cli_at(current, "metadata.uid")) &&
        json_equal(cli_at(wanted, "metadata.generation"), cli_at(current, "metadata.generation")) &&
        is_same(wanted, current, "metadata.labels") &&
        is_same(wanted, current, "metadata.annotations"))
        return 0;
    return wt_fail(err, WT_ECONFLICT,
                   "changed by someone else since it was read (resourceVersion %s, now %s): get it "
                   "again and make your change there; without metadata.resourceVersion the file "
                   "overwrites it",
                   read, now);
}

json_t *cli_merge(const json_t *wanted, const json_t *current, const char *namespace)
{
    static const char *const servers[] = {"uid",          "resourceVersion",   "generation",
                                          "finalizers",   "creationTimestamp", "deletionTimestamp",
                                          "managedFields"};
    json_t *made = json_deep_copy(wanted), *meta = json_object_get(made, "metadata");
    if (!meta)
        goto failed;
    if (model_kind_of(made)->namespaced && !json_object_get(meta, "namespace"))
        json_object_set_new(meta, "namespace", json_string(namespace));
    json_object_del(made, "status");
    if (current) {
        for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
            json_t *had = json_object_get(json_object_get(current, "metadata"), servers[i]);
            if (had)
                json_object_set(meta, servers[i], had);
            else
                json_object_del(meta, servers[i]);
        }
        keep_annotations(meta, current);
    }
    if (model_fill(made) < 0)
        goto failed;
    return made;
failed:
    json_decref(made);
    return NULL;
}

/* ---- output ---- */

void cli_flush(struct wt_buf *b)
{
    if (b->len)
        fwrite(b->ptr, 1, b->len, stdout);
    cli_flush_stdout();
    b->len = 0;
}

int cli_write_doc(const json_t *doc, const char *format, struct wt_buf *out)
{
    if (strcmp(format, "yaml") == 0)
        return model_yaml_write(doc, out);
    char *text = json_dumps(doc, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    if (!text)
        return WT_ENOMEM;
    wt_buf_add_str(out, wt_str_z(text));
    free(text);
    return wt_buf_add_char(out, '\n');
}

bool cli_is_terminal(void)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
           !(term && strcmp(term, "dumb") == 0);
}

int cli_sleep_ms(int64_t ms)
{
    return io_sleep_until(io_now_ms() + ms);
}
