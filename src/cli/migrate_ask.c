#include "cli/cli.h"
#include "cli/migrate.h"

#include "base/clock.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { TRIES = 5, POLL_FIRST_MS = 5, POLL_MS = 100, ID_BYTES = 8 };

static json_t *make_request(const struct cli_ask *ask, const json_t *doc, const char *id)
{
    char at[32];
    json_t *q = json_pack("{s:s, s:s, s:s}", "id", id, "verb", ask->verb, "at",
                          wt_time_format(io_wall_ms(), false, at));
    json_t *step = cli_at(doc, "status.step");
    if (step)
        json_object_set(q, "step", step);
    if (ask->has_weight)
        json_object_set_new(q, "weight",
                            ask->weight == floor(ask->weight)
                                ? json_integer((json_int_t)ask->weight)
                                : json_real(ask->weight));
    return q;
}

static int ask_once(const struct cli_client *c, const struct cli_ask *ask, const char *id,
                    struct wt_err *err)
{
    json_t *doc = NULL;
    int r = cli_fetch(c, model_kind_migration, c->namespace, ask->name, &doc, err);
    if (r < 0)
        return r;
    if (cli_at(doc, "status.request")) {
        r = wt_fail(err, WT_ECONFLICT, "another request (%s) is not yet carried out",
                    cli_text_at(doc, "status.request.verb"));
    } else {
        json_t *status = json_object_get(doc, "status");
        if (!status) {
            status = json_object();
            json_object_set_new(doc, "status", status);
        }
        json_object_set_new(status, "request", make_request(ask, doc, id));
        r = cli_put(c, doc, true, "status", false, NULL, err);
    }
    json_decref(doc);
    return r;
}

static bool is_refused(const json_t *doc)
{
    return strcmp(cli_text_at(doc, "status.lastRequest.result"), "Done") != 0;
}

static bool is_answered(const json_t *doc, const char *id)
{
    return strcmp(cli_text_at(doc, "status.lastRequest.id"), id) == 0;
}

/* A proxy that reports and does not run what the status says; NULL: all do. */
static const json_t *lagging(const json_t *doc)
{
    size_t i;
    json_t *proxy;
    json_array_foreach(cli_at(doc, "status.proxies"), i, proxy)
    {
        if (!cli_migration_runs(doc, proxy))
            return proxy;
    }
    return NULL;
}

/* The document as soon as its controller has answered and proxies have taken that up, or the answer
 * alone when the time is over; WT_ETIMEOUT: not even that. */
static int wait_for(const struct cli_client *c, const struct cli_ask *ask, const char *id,
                    json_t **out, struct wt_err *err)
{
    int64_t until = io_now_ms() + ask->wait_ms;
    for (int pause_ms = POLL_FIRST_MS;;
         pause_ms = pause_ms < POLL_MS / 2 ? 2 * pause_ms : POLL_MS) {
        json_t *doc = NULL;
        int r = cli_fetch(c, model_kind_migration, c->namespace, ask->name, &doc, err);
        bool over = io_now_ms() >= until;
        if (r == 0 && is_answered(doc, id) && (over || is_refused(doc) || !lagging(doc))) {
            *out = doc;
            return 0;
        }
        json_decref(doc);
        if (r == WT_ENOENT)
            return wt_fail(err, WT_EOF, "the Migration went away before its controller answered");
        if (over)
            return wt_fail(err, WT_ETIMEOUT,
                           "it is asked for, but the controller has not answered in time; "
                           "`watari migrate status %s` shows when it does",
                           ask->name);
        if (cli_sleep_ms(pause_ms) < 0)
            return wt_fail(err, WT_ECANCELED, "cancelled");
    }
}

static int report(const struct cli_ask *ask, const json_t *doc)
{
    char label[400], summary[96];
    const char *message = cli_text_at(doc, "status.lastRequest.message");
    cli_label(model_kind_migration, ask->name, label, sizeof(label));
    cli_migration_summary(doc, summary);
    if (is_refused(doc)) {
        fprintf(stderr, "watari migrate: %s refused: %s (%s)\n", ask->word, message, summary);
        return CLI_FAILED;
    }
    const json_t *proxy = lagging(doc);
    if (proxy) {
        const char *refused = cli_text_at(proxy, "refused");
        fprintf(stderr,
                "watari migrate: %s is decided, but proxy %s does not run it%s%s%s: its users are "
                "where they were; `watari migrate status %s` shows when it does (%s)\n",
                ask->word, cli_text_at(proxy, "name"), *refused ? " (" : "", refused,
                *refused ? ")" : "", ask->name, summary);
        return CLI_FAILED;
    }
    printf("%s %s: %s; %s (%s)\n", label, ask->word, message, cli_text_at(doc, "status.message"),
           summary);
    return CLI_OK;
}

int cli_migrate_ask(const struct cli_client *c, const struct cli_ask *ask)
{
    struct wt_err err;
    unsigned char bytes[ID_BYTES];
    char id[2 * ID_BYTES + 1], label[400];
    json_t *doc = NULL;
    int r = getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes)
                ? WT_ECONFLICT
                : wt_fail(&err, WT_EIO, "no random numbers can be had");
    wt_hex(bytes, sizeof(bytes), id);
    for (int i = 0; r == WT_ECONFLICT && i < TRIES; i++) {
        if (i && cli_sleep_ms(2 * POLL_MS) < 0)
            break;
        r = ask_once(c, ask, id, &err);
    }
    if (r == WT_ECONFLICT)
        wt_wrap(&err, r, "tried %d times; run it again", TRIES);
    if (r == 0 && ask->wait_ms == 0) {
        printf("%s %s: asked\n", cli_label(model_kind_migration, ask->name, label, sizeof(label)),
               ask->word);
        return CLI_OK;
    }
    if (r == 0)
        r = wait_for(c, ask, id, &doc, &err);
    if (r == WT_EOF) {
        /* A deletion that waited for this: abort gives back what held it. */
        printf("%s %s: asked; %s\n",
               cli_label(model_kind_migration, ask->name, label, sizeof(label)), ask->word,
               err.msg);
        return strcmp(ask->verb, "abort") == 0 ? CLI_OK : CLI_FAILED;
    }
    if (r < 0)
        return cli_fail("migrate", &err);
    int code = report(ask, doc);
    json_decref(doc);
    return code;
}
