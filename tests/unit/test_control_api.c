/* The API: paths, discovery, and the whole process over its socket, killed and started again. */
#include "control/api_path.h"
#include "control/control.h"
#include "control/discovery.h"

#include "base/log.h"
#include "rpc/client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void paths(void **unused)
{
    (void)unused;
    static const struct {
        const char *path;
        enum control_path_form form;
        const char *kind, *namespace, *name;
    } rows[] = {
        {"/api", CONTROL_PATH_CORE, "", "", ""},
        {"/apis/", CONTROL_PATH_GROUPS, "", "", ""},
        {"/apis/watari.dev", CONTROL_PATH_GROUP, "", "", ""},
        {"/api/v1", CONTROL_PATH_KINDS, "", "", ""},
        {"/api/v1/events", CONTROL_PATH_LIST, "Event", "", ""},
        {"/api/v1/namespaces/a/events", CONTROL_PATH_LIST, "Event", "a", ""},
        {"/apis/watari.dev/v1alpha1/namespaces/a/migrations/m", CONTROL_PATH_OBJECT, "Migration",
         "a", "m"},
        {"/apis/watari.dev/v1alpha1/namespaces/a/migrations/m/status", CONTROL_PATH_STATUS,
         "Migration", "a", "m"},
        {"/apis/gateway.networking.k8s.io/v1/gatewayclasses/g", CONTROL_PATH_OBJECT, "GatewayClass",
         "", "g"},
        {"/apis/watari.dev/v1alpha1/migrations/m", CONTROL_PATH_NONE, NULL, NULL, NULL},
        {"/apis/watari.dev/v1alpha1/namespaces//migrations", CONTROL_PATH_NONE, NULL, NULL, NULL},
        {"/apis/watari.dev/v1alpha1/namespaces/a/migrations/m/scale", CONTROL_PATH_NONE, NULL, NULL,
         NULL},
        {"/apis/watari.dev/v2/migrations", CONTROL_PATH_NONE, NULL, NULL, NULL},
        {"/apis/a/b/c/d/e/f/g/h/i/j", CONTROL_PATH_NONE, NULL, NULL, NULL},
        {"/", CONTROL_PATH_NONE, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct control_path p;
        control_path_parse(wt_str_z(rows[i].path), &p);
        if (p.form != rows[i].form)
            fail_msg("%s: form %d", rows[i].path, p.form);
        if (p.form == CONTROL_PATH_NONE)
            continue;
        assert_string_equal(p.kind ? p.kind->name : "", rows[i].kind);
        assert_string_equal(p.namespace, rows[i].namespace);
        assert_string_equal(p.name, rows[i].name);
    }
}

static void discovery(void **unused)
{
    (void)unused;
    json_t *groups = control_discovery_groups(),
           *kinds = control_discovery_kinds("watari.dev", "v1alpha1");
    assert_int_equal(json_array_size(json_object_get(groups, "groups")), 2);
    assert_int_equal(json_array_size(json_object_get(kinds, "resources")),
                     6); /* each with /status */
    assert_null(control_discovery_kinds("watari.dev", "v1"));
    assert_null(control_discovery_group("apps"));
    json_decref(groups);
    json_decref(kinds);
}

/* The process under test. */
static char dir[] = "/tmp/watari-api-XXXXXX";

static pid_t start_control(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        const struct control_options options = {
            .state_dir = dir, .run_dir = dir, .socket_fd = -1, .listen_fd = -1};
        wt_log_set_level(WT_LOG_ERROR);
        _exit(control_run(&options, NULL) == 0 ? 0 : 1);
    }
    return pid;
}

#define EVENTS "/api/v1/namespaces/default/events"
#define BACKENDS "/apis/watari.dev/v1alpha1/namespaces/default/backends"
#define BACKEND(rv, port)                                                                          \
    "{\"apiVersion\": \"watari.dev/v1alpha1\", \"kind\": \"Backend\", \"metadata\": {\"name\": "   \
    "\"a\"" rv "}, \"spec\": {\"endpoints\": [{\"address\": \"10.0.0.1\", \"port\": " port "}]}}"
#define SYNC(store)                                                                                \
    "{\"proxy\": \"p\", \"boot\": \"b\", \"store\": \"" store "\", \"have\": 0, \"waitMs\": 0}"

static const struct step {
    const char *method, *path, *body;
    unsigned status;
    const char *contains;
} steps[] = {
    {"GET", "/version", "", 200, "gitVersion"},
    {"POST", "/watari.dev/sync/v1", SYNC("lost"), 200, "\"delta\":null"},
    {"POST", BACKENDS, "{\"kind\": 1}", 422, "kind"},
    {"POST", BACKENDS, "[", 400, "not JSON"},
    {"POST", BACKENDS, BACKEND("", "99999"), 422, "99999"},
    {"POST", BACKENDS "?dryRun=All", BACKEND("", "80"), 201, "\"uid\""},
    {"POST", BACKENDS "?dryRun=All%zz", BACKEND("", "80"), 400, "wrongly encoded"},
    {"GET", BACKENDS "?labelSelector=%00", "", 400, "wrongly encoded"},
    {"GET", BACKENDS "/a", "", 404, "backends \\\"a\\\" not found"},
    {"GET", "/metrics", "", 200, "\nwatari_control_rejected_total 4\n"},
    {"GET", EVENTS, "", 200, "a change was refused: spec.endpoints[0].port"},
    {"POST", BACKENDS, BACKEND("", "80"), 201, "\"resourceVersion\":\"2\""},
    {"POST", BACKENDS, BACKEND("", "80"), 409, "AlreadyExists"},
    {"PUT", BACKENDS "/b", BACKEND("", "80"), 400, "name"},
    {"GET", EVENTS, "", 200, "\"name\":\"b\""},
    {"PUT", BACKENDS "/b?dryRun=All", BACKEND("", "99999"), 422, "99999"},
    {"GET", "/metrics", "", 200, "\nwatari_control_rejected_total 6\n"},
    {"PUT", BACKENDS "/a", BACKEND("", "81"), 200, "\"generation\":2"},
    {"PUT", BACKENDS "/a", BACKEND(", \"resourceVersion\": \"1\"", "82"), 409, "Conflict"},
    {"PATCH", BACKENDS "/a", "{}", 405, "PATCH is not supported"},
    {"GET", "/apis/watari.dev/v1alpha1/backends", "", 200, "\"resourceVersion\":\"4\""},
    {"GET", BACKENDS "?watch=1&resourceVersion=1&timeoutSeconds=0", "", 200, ""},
    {"POST", "/watari.dev/sync/v1", SYNC(""), 200, "Backend/default/a"},
    {"POST", "/watari.dev/sync/v1", "{\"proxy\": \"p\"}", 400, "boot"},
    {"KILL", "", "", 0, ""},
    {"GET", BACKENDS "/a", "", 200, "\"port\":81"},
    {"GET", BACKENDS "?watch=1&resourceVersion=1&timeoutSeconds=1", "", 200, "\"code\":410"},
    {"DELETE", BACKENDS "/a", "", 200, "\"port\":81"},
    {"DELETE", BACKENDS "/a", "", 404, "not found"},
    {"GET", "/metrics", "", 200, "watari_control_resource_version 5"},
    {"GET", "/readyz", "", 200, "ok"},
    {"GET", "/apis/nothing/v1/here", "", 404, "nothing"},
};

struct client {
    union io_addr addr;
    pid_t pid;
    const struct step *failed;
    char why[600];
};

static int call(struct client *c, const struct step *s, struct rpc_answer *out)
{
    struct wt_err err = {0};
    const struct rpc_call request = {.method = wt_str_z(s->method),
                                     .target = wt_str_z(s->path),
                                     .host = WT_STR("localhost"),
                                     .content_type = WT_STR("application/json"),
                                     .body = wt_str_z(s->body)};
    int r = WT_EREFUSED;
    /* A process that starts is not there at once. What timed out may have been done: not again. */
    for (int64_t end = io_now_ms() + 20000; r < 0 && r != WT_ETIMEOUT && io_now_ms() < end;) {
        r = rpc_call(&c->addr, &request, io_now_ms() + 20000, out, &err);
        if (r < 0)
            io_sleep_until(io_now_ms() + 10);
    }
    snprintf(c->why, sizeof(c->why), "%s", err.msg);
    return r;
}

static void run_steps(void *arg)
{
    struct client *c = arg;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && !c->failed; i++) {
        const struct step *s = &steps[i];
        struct rpc_answer answer = {0};
        if (strcmp(s->method, "KILL") == 0) {
            kill(c->pid, SIGKILL);
            waitpid(c->pid, NULL, 0);
            c->pid = start_control();
            continue;
        }
        if (call(c, s, &answer) < 0) {
            c->failed = s;
            continue;
        }
        const char *body = wt_buf_z(&answer.body);
        if (answer.status != s->status || (*s->contains && (!body || !strstr(body, s->contains)))) {
            snprintf(c->why, sizeof(c->why), "%u %s", answer.status, body ? body : "");
            c->failed = s;
        }
        wt_buf_done(&answer.body);
    }
}

static void the_process_answers_and_survives_sigkill(void **unused)
{
    (void)unused;
    struct client c = {0};
    struct io_loop *loop = NULL;
    char path[80], command[160];
    int status = -1;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/api.sock", dir);
    assert_int_equal(io_addr_parse(wt_str_z(path), 0, &c.addr, NULL), 0);
    c.pid = start_control();
    assert_int_equal(io_loop_new(io_sys_real(), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, run_steps, &c, NULL), 0);
    io_loop_run(loop, true);
    io_loop_free(loop);
    kill(c.pid, SIGTERM);
    waitpid(c.pid, &status, 0);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    if (c.failed)
        fail_msg("%s %s: %s", c.failed->method, c.failed->path, c.why);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(discovery),
        cmocka_unit_test(the_process_answers_and_survives_sigkill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
