#include "cli/cli.h"
#include "cli/migrate.h"

#include "model/check.h"

#include <stdio.h>
#include <string.h>

enum { ROUTES_MAX = 16, WEIGHT_MAX = 1000000, OUT_MAX = 8 << 20 };

static bool is_backend(const json_t *ref, const char *namespace, const char *name)
{
    const char *other = cli_text_at(ref, "namespace");
    return strcmp(cli_text_at(ref, "kind"), "Backend") == 0 &&
           strcmp(cli_text_at(ref, "name"), name) == 0 &&
           (!*other || strcmp(other, namespace) == 0);
}

static int64_t weight_of(const json_t *ref)
{
    const json_t *w = json_object_get(ref, "weight");
    return w ? json_integer_value(w) : 1;
}

static json_t *find(json_t *refs, const char *namespace, const char *name, size_t *out_index)
{
    size_t i;
    json_t *ref;
    json_array_foreach(refs, i, ref)
    {
        if (is_backend(ref, namespace, name)) {
            *out_index = i;
            return ref;
        }
    }
    return NULL;
}

/* Where both sides are named the new one takes the old one's part as well; else it takes its place.
 */
static unsigned finish_rule(json_t *refs, const char *namespace, const char *from, const char *to)
{
    size_t at, at_to;
    unsigned changed = 0;
    for (json_t *old; (old = find(refs, namespace, from, &at)); changed++) {
        json_t *new = find(refs, namespace, to, &at_to);
        if (!new) {
            json_object_set_new(old, "name", json_string(to));
            continue;
        }
        int64_t sum = weight_of(old) + weight_of(new);
        sum = sum < 1 ? 1 : sum > WEIGHT_MAX ? WEIGHT_MAX : sum;
        json_object_set_new(new, "weight", json_integer(sum));
        json_array_remove(refs, at);
    }
    return changed;
}

unsigned cli_finish_route(json_t *route, const char *from, const char *to)
{
    unsigned changed = 0;
    size_t i;
    json_t *rule;
    json_array_foreach(cli_at(route, "spec.rules"), i, rule)
    {
        changed +=
            finish_rule(json_object_get(rule, "backendRefs"), model_namespace(route), from, to);
    }
    return changed;
}

struct finish {
    const struct cli_client *client;
    const char *name;
    json_t *migration, *routes[ROUTES_MAX]; /* those that change, changed */
    unsigned n;
};

static int read_routes(struct finish *f, struct wt_err *err)
{
    size_t i;
    json_t *ref;
    json_array_foreach(cli_at(f->migration, "spec.routeRefs"), i, ref)
    {
        json_t *route = NULL;
        int r = cli_fetch(f->client, model_kind_http_route, f->client->namespace,
                          cli_text_at(ref, "name"), &route, err);
        if (r < 0)
            return r;
        if (f->n < ROUTES_MAX &&
            cli_finish_route(route, cli_text_at(f->migration, "spec.from.name"),
                             cli_text_at(f->migration, "spec.to.name")))
            f->routes[f->n++] = route;
        else
            json_decref(route);
    }
    return 0;
}

/* As one would write it into a file. */
static void print_route(const json_t *route, bool first)
{
    static const char *const servers[] = {"uid",        "resourceVersion",   "generation",
                                          "finalizers", "creationTimestamp", "managedFields"};
    wt_autobuf struct wt_buf out = wt_buf_make(OUT_MAX);
    json_t *doc = json_deep_copy(route), *meta = json_object_get(doc, "metadata");
    json_t *notes = json_object_get(meta, "annotations");
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        json_object_del(meta, servers[i]);
    json_object_del(notes, "watari.dev/source");
    if (notes && !json_object_size(notes))
        json_object_del(meta, "annotations");
    json_object_del(doc, "status");
    if (!first)
        wt_buf_add_str(&out, WT_STR("---\n"));
    cli_write_doc(doc, "yaml", &out);
    cli_flush(&out);
    json_decref(doc);
}

static int apply_routes(const struct finish *f, struct wt_err *err)
{
    char label[400];
    for (unsigned i = 0; i < f->n; i++) {
        /* The resourceVersion that was read makes this refuse what has changed meanwhile. */
        int r = cli_put(f->client, f->routes[i], true, NULL, false, NULL, err);
        if (r == WT_ECONFLICT)
            return wt_wrap(err, r, "%s was changed meanwhile; run it again",
                           model_name(f->routes[i]));
        if (r < 0)
            return r;
        printf("%s configured\n",
               cli_label(model_kind_http_route, model_name(f->routes[i]), label, sizeof(label)));
        if (cli_is_from_file(f->routes[i]))
            fprintf(stderr,
                    "warning: HTTPRoute/%s comes from a file that watari follows: change it there "
                    "too, or the next change of it there takes this one back\n",
                    model_name(f->routes[i]));
    }
    return 0;
}

static int finish(struct finish *f, bool apply, int64_t wait_ms, struct wt_err *err)
{
    char summary[96];
    double weight = cli_number_at(f->migration, "status.weight");
    cli_migration_summary(f->migration, summary);
    /* Not even printed: what is printed is piped into files, and users would jump. */
    if (weight < 100)
        return wt_fail(err, WT_ECONFLICT,
                       "not all users are on the new side yet (%s): `watari migrate promote --full "
                       "%s` moves them",
                       summary, f->name);
    if (f->n == 0 && strcmp(cli_text_at(f->migration, "status.phase"), "Completed") == 0) {
        printf("it is completed already, and the routes name the new side\n");
        return 0;
    }
    if (f->n == 0 && !apply) {
        fprintf(stderr,
                "The routes name the new side already (%s). It ends by itself after its last step; "
                "`watari migrate finish --apply %s` ends it now.\n",
                summary, f->name);
        return 0;
    }
    if (f->n == 0) {
        const struct cli_ask ask = {
            .name = f->name, .word = "finish", .verb = "finish", .wait_ms = wait_ms};
        return cli_migrate_ask(f->client, &ask);
    }
    if (apply) {
        int r = apply_routes(f, err);
        if (r == 0)
            printf("The routes name the new side; the Migration goes on to its end by itself.\n");
        return r;
    }
    for (unsigned i = 0; i < f->n; i++)
        print_route(f->routes[i], i == 0);
    fflush(stdout);
    fprintf(stderr,
            "`watari migrate finish --apply %s` writes this; or put it into the files you apply.\n",
            f->name);
    return 0;
}

int cli_migrate_finish(const struct cli_client *c, const char *name, bool apply, int64_t wait_ms)
{
    struct wt_err err;
    struct finish f = {.client = c, .name = name};
    int r = cli_fetch(c, model_kind_migration, c->namespace, name, &f.migration, &err);
    if (r == 0)
        r = read_routes(&f, &err);
    if (r == 0)
        r = finish(&f, apply, wait_ms, &err);
    for (unsigned i = 0; i < f.n; i++)
        json_decref(f.routes[i]);
    json_decref(f.migration);
    /* A positive result is an exit code. */
    return r < 0 ? cli_fail("migrate finish", &err) : r;
}
