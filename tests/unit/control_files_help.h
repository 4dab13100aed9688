/* A directory of watched files on a simulated machine, and what was made of them. Include it after
 * cmocka. */
#ifndef CONTROL_FILES_HELP_H
#define CONTROL_FILES_HELP_H

#include "control/files.h"

#include "io/file.h"
#include "io/sys_fault.h"
#include "io/sys_sim.h"

#define BACKEND(name) BACKEND_PORT(name, "80")
#define BACKEND_PORT(name, port)                                                                   \
    "---\napiVersion: watari.dev/v1alpha1\nkind: Backend\nmetadata: {name: " name "}\n"            \
    "spec: {endpoints: [{address: 10.0.0.1, port: " port "}]}\n"

enum { REST_MS = 1000, LATER_MS = 5000 };

/* A directory /site of the simulated machine, watched through a system that can fail. */
struct site {
    struct io_sim *sim;
    struct io_sys_fault fault;
    struct control_store *store;
    struct control_files *files;
    int64_t now_ms;
};

static inline void setup(struct site *s, const char *const *paths, size_t n_paths)
{
    struct io_sim_options options = {.seed = 1};
    *s = (struct site){0};
    assert_int_equal(io_sim_new(&options, &s->sim), 0);
    io_sys_fault_init(&s->fault, io_sim_sys(s->sim));
    assert_int_equal(control_store_open(":memory:", io_sys_real(), &s->store, NULL), 0);
    s->files = control_files_new(s->store, &s->fault.sys, paths, n_paths, REST_MS);
    assert_non_null(s->files);
}

static const char *const dir[] = {"/site"};

/* Of control: what is known of the files is in the store. */
static inline void restart(struct site *s)
{
    control_files_free(s->files);
    s->files = control_files_new(s->store, &s->fault.sys, dir, 1, REST_MS);
    assert_non_null(s->files);
}

static inline void teardown(struct site *s)
{
    control_files_free(s->files);
    control_store_free(s->store);
    assert_int_equal(io_sim_open_fds(s->sim), 0);
    io_sim_free(s->sim);
}

static inline void write_file(struct site *s, const char *path, const char *text)
{
    assert_int_equal(io_file_write(io_sim_sys(s->sim), path, wt_str_z(text), 0600, NULL), 0);
}

/* Moves the clock of the simulated machine. */
static inline void pass(struct site *s, int64_t ms)
{
    struct io_sys *sys = io_sim_sys(s->sim);
    struct io_ready none;
    int fd = sys->poll_open(sys);
    assert_int_equal(sys->poll_wait(sys, fd, &none, 1, ms), 0);
    sys->close(sys, fd);
    s->now_ms += ms;
}

static inline int apply(struct site *s, struct wt_err *err)
{
    int64_t again_ms;
    *err = (struct wt_err){0};
    return control_files_apply(s->files, false, s->now_ms, 1000, &again_ms, err);
}

static inline int64_t port_of(const struct site *s, const char *name)
{
    const json_t *b = control_store_get(s->store, model_kind_backend, "default", name);
    const json_t *list = json_object_get(json_object_get(b, "spec"), "endpoints");
    return json_integer_value(json_object_get(json_array_get(list, 0), "port"));
}

#define MIGRATION                                                                                  \
    "---\napiVersion: watari.dev/v1alpha1\nkind: Migration\nmetadata: {name: shop}\n"              \
    "spec: {routeRefs: [{kind: HTTPRoute, name: shop}], from: {name: old}, to: {name: new}, "      \
    "state: Shared, steps: [{setWeight: 50}, {pause: {}}, {setWeight: 100}]}\n"

static inline void set_weight(struct site *s, double weight)
{
    json_t *m =
        json_deep_copy(control_store_get(s->store, model_kind_migration, "default", "shop"));
    json_object_set_new(m, "status", json_pack("{s:f}", "weight", weight));
    assert_int_equal(control_store_update(s->store, m, CONTROL_STATUS, NULL, 0, NULL, NULL), 0);
    json_decref(m);
}

/* How often something of that reason was told about that kind. */
static inline unsigned events(const struct site *s, const char *kind, const char *reason)
{
    json_t *list = control_store_list(s->store, model_kind_event, NULL), *e;
    unsigned n = 0;
    size_t i;
    json_array_foreach(list, i, e)
    {
        const json_t *about = json_object_get(e, "involvedObject");
        if (strcmp(json_string_value(json_object_get(e, "reason")), reason) == 0 &&
            strcmp(json_string_value(json_object_get(about, "kind")), kind) == 0)
            n += (unsigned)json_integer_value(json_object_get(e, "count"));
    }
    json_decref(list);
    return n;
}

static inline int apply_later(struct site *s)
{
    struct wt_err err;
    pass(s, LATER_MS);
    int r = apply(s, &err);
    if (r < 0)
        fail_msg("%s", err.msg);
    return r;
}

#endif
