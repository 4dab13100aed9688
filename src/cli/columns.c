#include "cli/columns.h"

#include "cli/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct cell {
    const json_t *doc;
    int64_t wall_ms;
    const char *path;
    struct wt_buf *out;
};

struct column {
    const char *title, *path;
    bool wide;
    void (*write)(const struct cell *c); /* NULL: the text or number at `path` */
};

static void at_path(const struct cell *c)
{
    const json_t *v = cli_at(c->doc, c->path);
    if (json_is_string(v))
        wt_buf_add_str(c->out, wt_str_z(json_string_value(v)));
    else if (json_is_integer(v))
        wt_buf_printf(c->out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

static void age(const struct cell *c)
{
    char text[32];
    wt_buf_add_str(c->out, wt_str_z(cli_age(cli_text_at(c->doc, c->path), c->wall_ms, text)));
}

static void add_item(const struct cell *c, size_t i, const char *text)
{
    enum { SHOWN = 3 };
    if (i < SHOWN)
        wt_buf_printf(c->out, "%s%s", i ? "," : "", text);
    else if (i == SHOWN)
        wt_buf_add_str(c->out, WT_STR(",…"));
}

static void texts(const struct cell *c)
{
    size_t i;
    json_t *v;
    json_array_foreach(cli_at(c->doc, c->path), i, v)
    {
        add_item(c, i, json_is_string(v) ? json_string_value(v) : "?");
    }
}

static void names(const struct cell *c)
{
    size_t i;
    json_t *v;
    json_array_foreach(cli_at(c->doc, c->path), i, v)
    {
        add_item(c, i, cli_text_at(v, "name"));
    }
}

/* Status of the condition of a type, "Programmed" of a Gateway. */
static void condition(const struct cell *c)
{
    size_t i;
    json_t *v;
    json_array_foreach(cli_at(c->doc, "status.conditions"), i, v)
    {
        if (strcmp(cli_text_at(v, "type"), c->path) == 0)
            wt_buf_add_str(c->out, wt_str_z(cli_text_at(v, "status")));
    }
    if (!c->out->len)
        wt_buf_add_str(c->out, WT_STR("Unknown"));
}

/* The same of a route over its parents, or of a policy over its targets: the first that does not
 * hold. */
static void entries_condition(const struct cell *c)
{
    const json_t *entries = cli_at(c->doc, "status.parents");
    const char *worst = "Unknown";
    size_t i, k;
    json_t *entry, *v;
    json_array_foreach(entries ? entries : cli_at(c->doc, "status.ancestors"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "conditions"), k, v)
        {
            if (strcmp(cli_text_at(v, "type"), c->path) == 0 && strcmp(worst, "False") != 0)
                worst = cli_text_at(v, "status");
        }
    }
    wt_buf_add_str(c->out, wt_str_z(worst));
}

/* ---- Migration ---- */

static void step(const struct cell *c)
{
    size_t n = json_array_size(cli_at(c->doc, "spec.steps"));
    const json_t *v = cli_at(c->doc, "status.step");
    if (!v)
        return;
    size_t at = (size_t)json_integer_value(v) + 1;
    wt_buf_printf(c->out, "%zu/%zu", at > n ? n : at, n);
}

static void weight(const struct cell *c)
{
    char text[32];
    if (cli_at(c->doc, c->path))
        wt_buf_add_str(c->out, wt_str_z(cli_percent(cli_number_at(c->doc, c->path), text)));
}

/* ---- Backend ---- */

static void hosts(const struct cell *c)
{
    size_t i;
    json_t *v;
    const json_t *dns = cli_at(c->doc, "spec.dns");
    json_array_foreach(cli_at(c->doc, "spec.endpoints"), i, v)
    {
        char text[300];
        const char *address = cli_text_at(v, "address");
        bool six = strchr(address, ':') != NULL;
        snprintf(text, sizeof(text), "%s%s%s:%" PRId64, six ? "[" : "", address, six ? "]" : "",
                 cli_int_at(v, "port"));
        add_item(c, i, text);
    }
    if (dns)
        wt_buf_printf(c->out, "dns:%s:%" PRId64, cli_text_at(dns, "hostname"),
                      cli_int_at(dns, "port"));
    if (cli_at(c->doc, "spec.file"))
        wt_buf_printf(c->out, "file:%s", cli_text_at(c->doc, "spec.file.path"));
}

static void healthy(const struct cell *c)
{
    if (cli_at(c->doc, "status.total"))
        wt_buf_printf(c->out, "%" PRId64 "/%" PRId64, cli_int_at(c->doc, "status.healthy"),
                      cli_int_at(c->doc, "status.total"));
    else
        wt_buf_add_str(c->out, WT_STR("<unknown>"));
}

/* ---- routes and gateways ---- */

static void route_backends(const struct cell *c)
{
    size_t i, k, n = 0;
    json_t *rule, *ref;
    json_array_foreach(cli_at(c->doc, "spec.rules"), i, rule)
    {
        json_array_foreach(json_object_get(rule, "backendRefs"), k, ref)
        {
            add_item(c, n++, cli_text_at(ref, "name"));
        }
    }
}

static void addresses(const struct cell *c)
{
    size_t i;
    json_t *v, *list = cli_at(c->doc, "status.addresses");
    if (!json_array_size(list))
        list = cli_at(c->doc, "spec.addresses");
    json_array_foreach(list, i, v)
    {
        add_item(c, i, cli_text_at(v, "value"));
    }
    if (!json_array_size(list))
        wt_buf_add_char(c->out, '*');
}

static void ports(const struct cell *c)
{
    size_t i;
    json_t *v;
    json_array_foreach(cli_at(c->doc, "spec.listeners"), i, v)
    {
        char text[24];
        snprintf(text, sizeof(text), "%" PRId64, cli_int_at(v, "port"));
        add_item(c, i, text);
    }
}

/* ---- Event ---- */

static void object(const struct cell *c)
{
    const char *kind = cli_text_at(c->doc, "involvedObject.kind");
    for (; *kind; kind++)
        wt_buf_add_char(c->out, (char)wt_lower((unsigned char)*kind));
    wt_buf_printf(c->out, "/%s", cli_text_at(c->doc, "involvedObject.name"));
}

/* ---- which kind has which ---- */

#define AGE                                                                                        \
    {                                                                                              \
        "AGE", "metadata.creationTimestamp", false, age                                            \
    }
#define NAME                                                                                       \
    {                                                                                              \
        "NAME", "metadata.name", false, NULL                                                       \
    }
#define END_OF_COLUMNS                                                                             \
    {                                                                                              \
        NULL, NULL, false, NULL                                                                    \
    }

static const struct column of_migration[] = {
    NAME,
    {"PHASE", "status.phase", false, NULL},
    {"STEP", NULL, false, step},
    {"WEIGHT", "status.weight", false, weight},
    AGE,
    {"FROM", "spec.from.name", true, NULL},
    {"TO", "spec.to.name", true, NULL},
    {"ATTEMPT", "status.epoch", true, NULL},
    {"LOST", "status.requests.lost", true, NULL},
    {"MESSAGE", "status.message", false, NULL},
    END_OF_COLUMNS,
};
static const struct column of_backend[] = {
    NAME, {"HOSTS", NULL, false, hosts}, {"HEALTHY", NULL, false, healthy}, AGE, END_OF_COLUMNS,
};
static const struct column of_http_route[] = {
    NAME,
    {"HOSTNAMES", "spec.hostnames", false, texts},
    {"ACCEPTED", "Accepted", false, entries_condition},
    {"RESOLVED", "ResolvedRefs", false, entries_condition},
    {"GATEWAYS", "spec.parentRefs", true, names},
    {"BACKENDS", NULL, true, route_backends},
    AGE,
    END_OF_COLUMNS,
};
static const struct column of_gateway[] = {
    NAME,
    {"ADDRESS", NULL, false, addresses},
    {"PORTS", NULL, false, ports},
    {"PROGRAMMED", "Programmed", false, condition},
    {"CLASS", "spec.gatewayClassName", true, NULL},
    AGE,
    END_OF_COLUMNS,
};
static const struct column of_gateway_class[] = {
    NAME,
    {"CONTROLLER", "spec.controllerName", false, NULL},
    {"ACCEPTED", "Accepted", false, condition},
    AGE,
    END_OF_COLUMNS,
};
static const struct column of_policy[] = {
    NAME,
    {"TARGETS", "spec.targetRefs", false, names},
    {"ACCEPTED", "Accepted", false, entries_condition},
    AGE,
    END_OF_COLUMNS,
};
static const struct column of_event[] = {
    {"LAST SEEN", "lastTimestamp", false, age},
    {"TYPE", "type", false, NULL},
    {"REASON", "reason", false, NULL},
    {"OBJECT", NULL, false, object},
    {"COUNT", "count", true, NULL},
    {"NAME", "metadata.name", true, NULL},
    {"MESSAGE", "message", false, NULL},
    END_OF_COLUMNS,
};
static const struct column of_any[] = {NAME, AGE, END_OF_COLUMNS};

static const struct {
    const struct model_kind *const *kind;
    const struct column *columns;
} tables[] = {
    {&model_kind_migration, of_migration},
    {&model_kind_backend, of_backend},
    {&model_kind_http_route, of_http_route},
    {&model_kind_gateway, of_gateway},
    {&model_kind_gateway_class, of_gateway_class},
    {&model_kind_backend_traffic_policy, of_policy},
    {&model_kind_event, of_event},
};

static const struct column *columns_of(const struct model_kind *kind)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        if (*tables[i].kind == kind)
            return tables[i].columns;
    return of_any;
}

void cli_columns_header(const struct cli_columns *c, struct cli_table *t)
{
    if (c->with_namespace)
        cli_table_cell(t, "NAMESPACE");
    for (const struct column *col = columns_of(c->kind); col->title; col++)
        if (!col->wide || c->wide)
            cli_table_cell(t, col->title);
    cli_table_end_row(t);
}

static const char *kind_lower(const struct model_kind *kind, char out[64])
{
    size_t i = 0;
    for (; kind->name[i] && i < 63; i++)
        out[i] = (char)wt_lower((unsigned char)kind->name[i]);
    out[i] = '\0';
    return out;
}

void cli_columns_row(const struct cli_columns *c, const json_t *doc, int64_t wall_ms,
                     struct cli_table *t)
{
    wt_autobuf struct wt_buf text = wt_buf_make(65536);
    char lower[64];
    if (c->with_namespace)
        cli_table_cell(t, model_namespace(doc));
    for (const struct column *col = columns_of(c->kind); col->title; col++) {
        if (col->wide && !c->wide)
            continue;
        const struct cell cell = {doc, wall_ms, col->path, &text};
        text.len = 0;
        if (c->with_kind && col == columns_of(c->kind))
            wt_buf_printf(&text, "%s/", kind_lower(c->kind, lower));
        if (col->write)
            col->write(&cell);
        else
            at_path(&cell);
        cli_table_cell(t, text.len ? wt_buf_z(&text) : "<none>");
    }
    cli_table_end_row(t);
}
