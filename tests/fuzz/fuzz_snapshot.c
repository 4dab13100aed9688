/* Snapshot bytes, and deltas. Properties: a set that took a delta reads back from its own bytes
 * with the same version and items; one that refused it is unchanged. */
#include "model/snapshot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool right)
{
    if (!right)
        abort();
}

static struct model_snapshot *start(void)
{
    static const char text[] =
        "{\"from\":0,\"to\":3,\"set\":[{\"key\":\"Backend/default/a\",\"version\":3,\"object\":"
        "{\"apiVersion\":\"watari.dev/"
        "v1alpha1\",\"kind\":\"Backend\",\"metadata\":{\"name\":\"a\"},"
        "\"spec\":{\"endpoints\":[{\"address\":\"::1\",\"port\":1}]}}}]}";
    struct model_snapshot *s = model_snapshot_new(WT_STR("s"));
    json_t *delta = json_loads(text, 0, NULL);
    demand(s && model_snapshot_apply(s, WT_STR("s"), delta, NULL) == 0);
    json_decref(delta);
    return s;
}

static void round_trip(const struct model_snapshot *s)
{
    struct model_snapshot *again;
    wt_autobuf struct wt_buf bytes = wt_buf_make(16 << 20);
    int r = model_snapshot_encode(s, &bytes);
    demand(r == 0);
    r = model_snapshot_decode(wt_buf_str(&bytes), &again, NULL);
    demand(r == 0 && model_snapshot_len(again) == model_snapshot_len(s) &&
           model_snapshot_version(again) == model_snapshot_version(s));
    model_snapshot_free(again);
}

static void apply(const json_t *delta)
{
    struct wt_err err;
    struct model_snapshot *s = start();
    if (model_snapshot_apply(s, WT_STR("s"), delta, &err) == 0)
        round_trip(s);
    else
        demand(model_snapshot_len(s) == 1 && model_snapshot_version(s) == 3);
    model_snapshot_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_snapshot *s;
    struct wt_err err;
    if (model_snapshot_decode(wt_str((const char *)data, size), &s, &err) == 0) {
        round_trip(s);
        model_snapshot_free(s);
    }
    json_t *delta = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (delta)
        apply(delta);
    json_decref(delta);
    return 0;
}
