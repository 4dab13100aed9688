/* Verdicts on disk. A verdict that was reached is in force before it is written, and in force again
 * after a restart, whatever snapshot the proxy finds: an old one must not send users to the side
 * that failed them. */
#include "base/log.h"
#include "base/mem.h"
#include "io/file.h"
#include "proxy/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES = 1 << 20, VERDICTS_MAX = 1024, RETRY_MS = 1000 };

static void path_of(const struct proxy *p, const char *suffix, char out[512])
{
    snprintf(out, 512, "%s/verdicts.json%s", p->options->state_dir, suffix);
}

/* ---- reading ---- */

static enum health_cause cause_of(const char *text)
{
    static const enum health_cause causes[] = {HEALTH_CAUSE_ERRORS, HEALTH_CAUSE_SHARED};
    for (unsigned i = 0; text && i < 2; i++)
        if (strcmp(text, health_cause_text(causes[i])) == 0)
            return causes[i];
    return HEALTH_CAUSE_NONE;
}

static int load_one(struct proxy *p, const json_t *in, struct wt_err *err)
{
    const char *uid = json_string_value(json_object_get(in, "uid"));
    const char *message = json_string_value(json_object_get(in, "message"));
    json_int_t epoch = json_integer_value(json_object_get(in, "epoch"));
    json_int_t step = json_integer_value(json_object_get(in, "step"));
    enum health_cause cause = cause_of(json_string_value(json_object_get(in, "cause")));
    if (!uid || !*uid || strlen(uid) > 71 || epoch < 1 || step < 0 || cause == HEALTH_CAUSE_NONE)
        return wt_fail(err, WT_EINVAL, "an entry is not a verdict");
    struct proxy_verdict *v = wt_calloc(1, sizeof *v);
    void *old = NULL;
    if (!v)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    v->epoch = epoch;
    v->step = step;
    v->cause = cause;
    v->at_wall_ms = json_integer_value(json_object_get(in, "atMs"));
    snprintf(v->message, sizeof v->message, "%s", message ? message : "");
    int r = wt_map_put(&p->pending, wt_str_z(uid), v, &old);
    wt_free(r < 0 ? v : old);
    return r < 0 ? wt_fail(err, r, "out of memory") : 0;
}

/* Entries that can be read stay in force even where others cannot. */
static int load_text(struct proxy *p, struct wt_str text, struct wt_err *err)
{
    json_error_t e;
    json_t *doc = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &e);
    json_t *list = json_object_get(doc, "verdicts"), *in;
    int r =
        json_is_array(list) ? 0 : wt_fail(err, WT_EINVAL, "%s", doc ? "no verdicts in it" : e.text);
    size_t i;
    json_array_foreach(list, i, in)
    {
        int one = i < VERDICTS_MAX ? load_one(p, in, err)
                                   : wt_fail(err, WT_ELIMIT, "more than %d entries", VERDICTS_MAX);
        if (one < 0)
            r = one;
    }
    json_decref(doc);
    return r;
}

static void save_in_fiber(void *arg)
{
    proxy_verdicts_save(arg);
}

void proxy_verdicts_load(struct proxy *p)
{
    char path[512], aside[512];
    struct wt_err err;
    struct wt_buf text wt_autobuf = wt_buf_make(FILE_BYTES);
    path_of(p, "", path);
    path_of(p, ".bad", aside);
    int r = io_file_read(p->sys, path, FILE_BYTES, &text, &err);
    if (r == WT_ENOENT)
        return;
    if (r == 0)
        r = load_text(p, wt_buf_str(&text), &err);
    if (r == 0)
        return;
    wt_log(WT_LOG_WARN, "%s: %s; moved aside to %s, %u verdicts of it are in force", path, err.msg,
           aside, wt_map_len(&p->pending));
    p->sys->rename(p->sys, path, aside);
    if (wt_map_len(&p->pending) && io_spawn(IO_STACK_DEEP, save_in_fiber, p, NULL) < 0)
        wt_log(WT_LOG_ERROR, "out of memory: verdicts of %s are not on disk", aside);
}

/* ---- writing ---- */

static void add(json_t *list, struct wt_str uid, const struct proxy_verdict *v)
{
    if (json_array_size(list) < VERDICTS_MAX)
        json_array_append_new(list,
                              json_pack("{s:s#, s:I, s:I, s:s, s:s, s:I}", "uid", uid.ptr, uid.len,
                                        "epoch", (json_int_t)v->epoch, "step", (json_int_t)v->step,
                                        "cause", health_cause_text(v->cause), "message", v->message,
                                        "atMs", (json_int_t)v->at_wall_ms));
}

static char *render(const struct proxy *p)
{
    json_t *list = json_array();
    for (struct wt_map_entry *e = wt_map_first(&p->lives); e; e = wt_map_next(&p->lives, e)) {
        struct proxy_verdict v;
        if (proxy_live_verdict(e->value, &v))
            add(list, e->key, &v);
    }
    for (struct wt_map_entry *e = wt_map_first(&p->pending); e; e = wt_map_next(&p->pending, e))
        add(list, e->key, e->value);
    json_t *doc = json_pack("{s:o}", "verdicts", list);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;
    json_decref(doc);
    return text;
}

struct save {
    struct proxy *proxy;
    char *text;
    int result;
    struct wt_err err;
};

static void write_file(void *arg)
{
    struct save *s = arg;
    char path[512];
    path_of(s->proxy, "", path);
    s->result = io_file_write(s->proxy->sys, path, wt_str_z(s->text), 0600, &s->err);
}

static int save_once(struct proxy *p, struct wt_err *err)
{
    struct save s = {.proxy = p, .text = render(p)};
    if (!s.text)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    io_offload(write_file, &s);
    free(s.text);
    if (s.result < 0)
        *err = s.err;
    return s.result;
}

void proxy_verdicts_save(struct proxy *p)
{
    struct wt_err err;
    bool complained = false;
    p->verdicts_unsaved = true;
    if (p->verdicts_saving)
        return; /* the fiber that writes goes once more */
    p->verdicts_saving = true;
    while (p->verdicts_unsaved) {
        p->verdicts_unsaved = false;
        if (save_once(p, &err) == 0)
            continue;
        if (!complained)
            wt_log(WT_LOG_ERROR, "a verdict is in force but not on disk: %s", err.msg);
        complained = true;
        p->verdicts_unsaved = io_sleep_until(io_now_ms() + RETRY_MS) == 0;
    }
    p->verdicts_saving = false;
}
