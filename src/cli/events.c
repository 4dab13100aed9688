#include "cli/events.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    int64_t at_ms;
    uint64_t version; /* of the store: which of the same second came first */
    size_t index;
    json_t *event;
};

bool cli_event_is_about(const json_t *event, const struct model_kind *kind, const char *name)
{
    return !kind || (strcmp(cli_text_at(event, "involvedObject.kind"), kind->name) == 0 &&
                     strcmp(cli_text_at(event, "involvedObject.name"), name) == 0);
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

json_t *cli_events_select(const json_t *list, const struct model_kind *kind, const char *name)
{
    json_t *items = cli_at(list, "items"), *event, *out = json_array();
    size_t i, n = 0;
    wt_autofree struct entry *entries = wt_calloc(json_array_size(items) + 1, sizeof(*entries));
    if (!entries || !out) {
        json_decref(out);
        return NULL;
    }
    json_array_foreach(items, i, event)
    {
        if (!cli_event_is_about(event, kind, name))
            continue;
        entries[n] = (struct entry){.index = i, .event = event};
        if (!wt_str_u64(wt_str_z(cli_text_at(event, "metadata.resourceVersion")),
                        &entries[n].version))
            entries[n].version = 0;
        if (!wt_time_parse(wt_str_z(cli_text_at(event, "lastTimestamp")), &entries[n].at_ms))
            entries[n].at_ms = 0;
        n++;
    }
    qsort(entries, n, sizeof(*entries), by_time);
    for (i = 0; i < n; i++)
        json_array_append(out, entries[i].event);
    return out;
}
