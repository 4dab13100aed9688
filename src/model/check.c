#include "model/check.h"

#include "base/clock.h"
#include "model/errors.h"
#include "model/pattern.h"
#include "model/rule.h"

#include <stdio.h>

#define PATH_MAX_BYTES 512

struct walk {
    struct model_rule report;
    unsigned errors; /* of this document, kept or not */
    bool lenient;    /* fields that are not known are no errors */
    size_t len;
    char path[PATH_MAX_BYTES]; /* terminated; cut when it is longer */
};

/* Appends to the path; returns the length to go back to. */
static size_t enter(struct walk *w, const char *fmt, ...) WT_PRINTF(2, 3);

static size_t enter(struct walk *w, const char *fmt, ...)
{
    size_t before = w->len;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->path + w->len, sizeof(w->path) - w->len, fmt, ap);
    va_end(ap);
    w->len += (size_t)n;
    if (w->len >= sizeof(w->path))
        w->len = sizeof(w->path) - 1;
    return before;
}

static size_t enter_field(struct walk *w, const char *name)
{
    return enter(w, "%s%.100s", w->len ? "." : "", name);
}

static void leave(struct walk *w, size_t len)
{
    w->len = len;
    w->path[len] = 0;
}

static void complain(struct walk *w, const char *fmt, ...) WT_PRINTF(2, 3);

static void complain(struct walk *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    model_errors_add(w->report.out, false, w->report.lines, w->report.file, w->path, fmt, ap);
    va_end(ap);
    w->errors++;
}

/* "the number 3", "a list", …: what stands there instead. */
static const char *found_text(const json_t *v, char out[96])
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        snprintf(out, 96, "\"%.60s\"", json_string_value(v));
        return out;
    case JSON_INTEGER:
        snprintf(out, 96, "the number %" JSON_INTEGER_FORMAT, json_integer_value(v));
        return out;
    case JSON_REAL:
        snprintf(out, 96, "the number %.15g", json_real_value(v));
        return out;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static void expected(struct walk *w, const char *what, const json_t *v)
{
    char found[96];
    bool quote = json_is_number(v) || json_is_boolean(v);
    complain(w, "expected %s, not %s%s", what, found_text(v, found),
             quote && strcmp(what, "a string") == 0 ? "; put it in quotes" : "");
}

static bool check_count(struct walk *w, const struct model_field *f, const json_t *v)
{
    if (!json_is_array(v)) {
        expected(w, f->type == MODEL_LIST ? "a list of objects" : "a list", v);
        return false;
    }
    double n = (double)json_array_size(v);
    if (n > f->max)
        complain(w, "has %.0f items; at most %.0f", n, f->max);
    else if (n < f->min)
        complain(w, "has %.0f items; at least %.0f", n, f->min);
    return n <= f->max;
}

static void check_string(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    if (!json_is_string(v)) {
        expected(w, "a string", v);
        return;
    }
    struct wt_str s = wt_str(json_string_value(v), json_string_length(v));
    double max = item ? 4096 : f->max, min = item ? 0 : f->min;
    if ((double)s.len > max)
        complain(w, "is %zu bytes long; at most %.0f", s.len, max);
    else if ((double)s.len < min && s.len == 0)
        complain(w, "must not be empty");
    else if ((double)s.len < min)
        complain(w, "is %zu bytes long; at least %.0f", s.len, min);
    else if ((s.len || item) && !model_pattern_match(f->pattern, s))
        complain(w, "\"%.60s\" is not %s", s.ptr, model_pattern_text(f->pattern));
}

static void enum_choices(const struct model_enum *e, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < e->n && at < size; i++) {
        if (!(e->values[i].flags & MODEL_LATER))
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", e->values[i].text);
    }
}

static void check_enum(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    char choices[300];
    if (!json_is_string(v)) {
        expected(w, "a string", v);
        return;
    }
    int value =
        model_enum_value(f->enumeration, wt_str(json_string_value(v), json_string_length(v)));
    if (!value) {
        enum_choices(f->enumeration, choices, sizeof(choices));
        complain(w, "\"%.60s\" is none of %s", json_string_value(v), choices);
    } else if (f->enumeration->values[value - 1].flags & MODEL_LATER) {
        complain(w, "%s is not supported yet", json_string_value(v));
    }
}

static void check_range(struct walk *w, double value, double min, double max)
{
    if (value > max)
        complain(w, "%.15g is over %.15g", value, max);
    else if (!(value >= min))
        complain(w, "%.15g is below %.15g", value, min);
}

static void check_int(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    if (json_is_integer(v))
        check_range(w, (double)json_integer_value(v), item ? f->low : f->min,
                    item ? f->high : f->max);
    else
        expected(w, "a whole number", v);
}

static void check_num(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    if (json_is_number(v))
        check_range(w, json_number_value(v), f->min, f->max);
    else
        expected(w, "a number", v);
}

static void check_bool(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)f;
    (void)item;
    if (!json_is_boolean(v))
        expected(w, "true or false", v);
}

static void check_mark(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)f;
    (void)item;
    if (!json_is_true(v) && !(json_is_object(v) && json_object_size(v) == 0))
        expected(w, "{} or true", v);
}

static void check_duration(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    char a[32], b[32];
    int64_t ms;
    if (!json_is_string(v)) {
        expected(w, "a duration such as 1m30s", v);
        return;
    }
    if (!wt_duration_parse(wt_str(json_string_value(v), json_string_length(v)), &ms))
        complain(w, "\"%.60s\" is not a duration such as 1h, 1m30s or 500ms", json_string_value(v));
    else if ((double)ms > f->max)
        complain(w, "%s is over %s", wt_duration_format(ms, a),
                 wt_duration_format((int64_t)f->max, b));
    else if ((double)ms < f->min)
        complain(w, "%s is below %s", wt_duration_format(ms, a),
                 wt_duration_format((int64_t)f->min, b));
}

static void check_time(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)f;
    (void)item;
    int64_t ms;
    if (!json_is_string(v))
        expected(w, "a time such as 2026-11-21T06:48:41Z", v);
    else if (!wt_time_parse(wt_str(json_string_value(v), json_string_length(v)), &ms))
        complain(w, "\"%.60s\" is not a time such as 2026-11-21T06:48:41Z", json_string_value(v));
}

static void check_map(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    const char *key;
    json_t *value;
    if (!json_is_object(v)) {
        expected(w, "an object of strings", v);
        return;
    }
    if ((double)json_object_size(v) > f->max)
        complain(w, "has %zu entries; at most %.0f", json_object_size(v), f->max);
    json_object_foreach((json_t *)v, key, value)
    {
        size_t back = enter(w, "[%.100s]", key);
        if (!json_is_string(value))
            expected(w, "a string", value);
        leave(w, back);
    }
}

static void check_object(struct walk *w, const struct model_object *object, const json_t *v);

/* Items of a list that Kubernetes calls a map: the same key twice would leave one without effect.
 */
static void check_keys(struct walk *w, const char *keys, const json_t *list)
{
    json_t *seen = json_object();
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        char id[600] = "";
        size_t at = 0;
        struct wt_str rest = wt_str_z(keys);
        while (rest.ptr) {
            struct wt_str key = wt_str_next(&rest, ',');
            const json_t *v = json_object_getn(item, key.ptr, key.len);
            at += json_is_integer(v)
                      ? (size_t)snprintf(id + at, sizeof(id) - at, "%s%" JSON_INTEGER_FORMAT,
                                         at ? " " : "", json_integer_value(v))
                      : (size_t)snprintf(id + at, sizeof(id) - at, "%s%.256s", at ? " " : "",
                                         json_is_string(v) ? json_string_value(v) : "");
            if (at >= sizeof(id))
                at = sizeof(id) - 1;
        }
        size_t back = enter(w, "[%zu]", i);
        if (json_object_get(seen, id))
            complain(w, "\"%.100s\" is there twice (%s)", id, keys);
        leave(w, back);
        json_object_set_new(seen, id, json_true());
    }
    json_decref(seen);
}

static void check_items(struct walk *w, const struct model_field *f, const json_t *v,
                        void (*fn)(struct walk *, const struct model_field *, const json_t *, bool))
{
    size_t i;
    json_t *item;
    if (!check_count(w, f, v))
        return;
    json_array_foreach(v, i, item)
    {
        size_t back = enter(w, "[%zu]", i);
        fn(w, f, item, true);
        leave(w, back);
    }
}

static void check_item_object(struct walk *w, const struct model_field *f, const json_t *v,
                              bool item)
{
    (void)item;
    check_object(w, f->object(), v);
}

static void check_list(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    check_items(w, f, v, check_item_object);
    if (*f->keys && json_array_size(v) > 1)
        check_keys(w, f->keys, v);
}

static void check_strings(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    check_items(w, f, v, check_string);
}

static void check_enums(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    check_items(w, f, v, check_enum);
}

static void check_ints(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)item;
    check_items(w, f, v, check_int);
}

static void check_any(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)w;
    (void)f;
    (void)v;
    (void)item;
}

static void check_later(struct walk *w, const struct model_field *f, const json_t *v, bool item)
{
    (void)f;
    (void)v;
    (void)item;
    complain(w, "is not supported yet");
}

static void (*const checks[])(struct walk *, const struct model_field *, const json_t *, bool) = {
    [MODEL_STR] = check_string,    [MODEL_ENUM] = check_enum,    [MODEL_BOOL] = check_bool,
    [MODEL_INT] = check_int,       [MODEL_NUM] = check_num,      [MODEL_DUR] = check_duration,
    [MODEL_TIME] = check_time,     [MODEL_MARK] = check_mark,    [MODEL_OBJ] = check_item_object,
    [MODEL_LIST] = check_list,     [MODEL_STRS] = check_strings, [MODEL_ENUMS] = check_enums,
    [MODEL_INTS] = check_ints,     [MODEL_MAP] = check_map,      [MODEL_ANY] = check_any,
    [MODEL_NOT_YET] = check_later,
};

static void check_unknown(struct walk *w, const struct model_object *object, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = strlen(name) < 4 ? 2 : 3;
    for (unsigned i = 0; i < object->n_fields && strlen(name) < 64; i++) {
        const char *candidate = object->fields[i].name;
        unsigned d = wt_str_eq_nocase(wt_str_z(name), wt_str_z(candidate))
                         ? 0
                         : wt_str_distance(wt_str_z(name), wt_str_z(candidate), best_distance);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    if (best)
        complain(w, "unknown field; did you mean \"%s\"?", best);
    else
        complain(w, "unknown field");
}

static void check_one_of(struct walk *w, const struct model_object *object, const json_t *v)
{
    bool optional = object->one_of[0] == '?';
    struct wt_str rest = wt_str_z(object->one_of + optional), first = {0}, second = {0};
    if (!rest.len)
        return;
    while (rest.ptr) {
        struct wt_str name = wt_str_next(&rest, ',');
        const json_t *member = json_object_getn(v, name.ptr, name.len);
        if (!member || json_is_null(member))
            continue;
        second = first.ptr ? name : second;
        first = first.ptr ? first : name;
    }
    const char *how = optional ? "at most" : "exactly";
    const char *names = object->one_of + optional;
    if (second.ptr)
        complain(w, "has %.*s and %.*s; needs %s one of %s", WT_ARG(first), WT_ARG(second), how,
                 names);
    else if (!first.ptr && !optional)
        complain(w, "needs %s one of %s", how, names);
}

static void check_field(struct walk *w, const struct model_field *f, const json_t *v)
{
    size_t back = enter_field(w, f->name);
    if (v && !json_is_null(v)) {
        if (f->flags & MODEL_SOON)
            model_rule_warning(&w->report, w->path, "accepted, not in force in this release");
        checks[f->type](w, f, v, false);
    } else if (f->flags & MODEL_REQUIRED) {
        complain(w, "is missing");
    }
    leave(w, back);
}

static void check_object(struct walk *w, const struct model_object *object, const json_t *v)
{
    const char *name;
    json_t *value;
    if (!json_is_object(v)) {
        expected(w, "an object", v);
        return;
    }
    for (unsigned i = 0; i < object->n_fields; i++)
        check_field(w, &object->fields[i], json_object_get(v, object->fields[i].name));
    json_object_foreach((json_t *)v, name, value)
    {
        if (w->lenient || model_field_find(object, wt_str_z(name)))
            continue;
        size_t back = enter_field(w, name);
        check_unknown(w, object, name);
        leave(w, back);
    }
    check_one_of(w, object, v);
}

/* Kinds that users may bring along from elsewhere, or that are planned. */
static const char *const later_kinds =
    "GRPCRoute,TLSRoute,TCPRoute,UDPRoute,ReferenceGrant,BackendTLSPolicy,ListenerSet,"
    "ClientTrafficPolicy,SecurityPolicy,HTTPRouteFilter,ReleaseSwitch,Cluster,Prod,ProdRollout,"
    "LoadBalancerMirror,DNSZone,DNSRecordSet,HealthCheck,LogPipeline,LogMigration,Release,"
    "Workload,Autoscaler";

static bool is_later_kind(struct wt_str kind)
{
    struct wt_str rest = wt_str_z(later_kinds);
    while (rest.ptr) {
        if (wt_str_eq(wt_str_next(&rest, ','), kind))
            return true;
    }
    return false;
}

/* NULL after a complaint. */
static const struct model_kind *check_kind(struct walk *w, const json_t *doc)
{
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    const char *version = json_string_value(json_object_get(doc, "apiVersion"));
    size_t back = enter_field(w, kind ? "apiVersion" : "kind");
    const struct model_kind *found =
        kind ? model_kind_exact((struct wt_str){0}, wt_str_z(kind)) : NULL;
    if (!kind) {
        complain(w, "is missing, or not a string");
    } else if (!found) {
        leave(w, back);
        enter_field(w, "kind");
        const struct model_kind *near = model_kind_near(wt_str_z(kind));
        if (is_later_kind(wt_str_z(kind)))
            complain(w, "%s is not supported yet", kind);
        else if (near)
            complain(w, "\"%.60s\" is unknown; did you mean \"%s\"?", kind, near->name);
        else
            complain(w, "\"%.60s\" is unknown", kind);
    } else if (!version) {
        complain(w, "is missing; %s has \"%s\"", kind, found->api_version);
        found = NULL;
    } else if (strcmp(version, found->api_version) != 0) {
        complain(w, "\"%.100s\" is wrong for %s; use \"%s\"", version, kind, found->api_version);
        found = NULL;
    }
    leave(w, back);
    return found;
}

/* Its kind, or NULL with errors. */
static const struct model_kind *check_fields(struct walk *w, const json_t *doc)
{
    if (!json_is_object(doc)) {
        complain(w, "expected an object with apiVersion, kind and metadata");
        return NULL;
    }
    const struct model_kind *kind = check_kind(w, doc);
    if (kind)
        check_object(w, kind->object(), doc);
    return w->errors ? NULL : kind;
}

int model_check_shape(const json_t *doc, struct model_errors *out)
{
    struct walk w = {.report = {NULL, NULL, out}, .lenient = true};
    return check_fields(&w, doc) ? 0 : WT_EINVAL;
}

int model_check(const json_t *doc, const struct model_lines *lines, const char *file,
                struct model_errors *out)
{
    struct walk w = {.report = {lines, file, out}};
    const struct model_kind *kind = check_fields(&w, doc);
    if (!kind)
        return WT_EINVAL;
    unsigned before = out->n_errors + out->n_more;
    if (kind->rule)
        kind->rule(&w.report, doc);
    return out->n_errors + out->n_more > before ? WT_EINVAL : 0;
}

static void check_same(struct walk *w, const struct model_object *object, const json_t *a,
                       const json_t *b)
{
    for (unsigned i = 0; i < object->n_fields; i++) {
        const struct model_field *f = &object->fields[i];
        const json_t *before = json_object_get(a, f->name), *after = json_object_get(b, f->name);
        size_t back = enter_field(w, f->name);
        if ((f->flags & MODEL_IMMUTABLE) && !(!before && !after) &&
            (!before || !after || !json_equal(before, after)))
            complain(w, "cannot be changed once it is created");
        else if (f->type == MODEL_OBJ && before && after)
            check_same(w, f->object(), before, after);
        leave(w, back);
    }
}

int model_check_update(const json_t *before, const json_t *after, struct model_errors *out)
{
    struct walk w = {.report = {NULL, NULL, out}};
    const struct model_kind *kind = model_kind_of(after);
    json_t *a = json_deep_copy(before), *b = json_deep_copy(after);
    int r = !a || !b ? WT_ENOMEM : !kind ? WT_EINVAL : 0;
    if (r == 0 && model_kind_of(before) != kind)
        complain(&w, "apiVersion and kind cannot be changed");
    if (r == 0)
        r = model_fill(a) < 0 || model_fill(b) < 0 ? WT_ENOMEM : 0;
    if (r == 0)
        check_same(&w, kind->object(), a, b);
    json_decref(a);
    json_decref(b);
    return w.errors ? WT_EINVAL : r;
}
