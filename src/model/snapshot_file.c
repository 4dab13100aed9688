/* The snapshot as bytes for the disk. */
#include "base/hash.h"
#include "model/snapshot.h"

#define FORMAT 1
#define BYTES_MAX ((size_t)256 << 20)

static const char magic[8] = {'W', 'T', 'S', 'N', 'A', 'P', '\r', '\n'};

struct header { /* little-endian, as every machine we build for is */
    char magic[8];
    uint32_t format, reserved;
    uint64_t length, checksum; /* of what follows */
};
_Static_assert(sizeof(struct header) == 32, "no padding");

static struct header header_for(struct wt_str body)
{
    struct header h = {.format = FORMAT, .length = body.len};
    struct wt_hash_key key = {0x7761746172692d73, FORMAT};
    memcpy(h.magic, magic, sizeof(magic));
    h.checksum = wt_siphash(key, body.ptr, body.len);
    return h;
}

static int take_bytes(const char *bytes, size_t n, void *ctx)
{
    return wt_buf_add(ctx, bytes, n) == 0 ? 0 : -1;
}

int model_snapshot_encode(const struct model_snapshot *s, struct wt_buf *out)
{
    json_t *delta;
    struct wt_str store = model_snapshot_store(s);
    int r = model_snapshot_delta(s, WT_STR("\n"), 0, &delta); /* no store is named so: all of it */
    json_t *root =
        r < 0 ? NULL : json_pack("{s:s#, s:o}", "store", store.ptr, (int)store.len, "delta", delta);
    if (!root)
        return WT_ENOMEM;
    wt_autobuf struct wt_buf body = wt_buf_make(BYTES_MAX);
    r = json_dump_callback(root, take_bytes, &body, JSON_COMPACT);
    json_decref(root);
    if (r < 0)
        return wt_buf_error(&body) ? wt_buf_error(&body) : WT_ENOMEM;
    struct header h = header_for(wt_buf_str(&body));
    wt_buf_add(out, &h, sizeof(h));
    wt_buf_add_str(out, wt_buf_str(&body));
    return wt_buf_error(out);
}

static int check_header(struct wt_str bytes, struct wt_err *err)
{
    struct header h;
    if (bytes.len < sizeof(h) || memcmp(bytes.ptr, magic, sizeof(magic)) != 0)
        return wt_fail(err, WT_EINVAL, "not a snapshot");
    memcpy(&h, bytes.ptr, sizeof(h));
    if (h.format != FORMAT)
        return wt_fail(err, WT_EINVAL, "snapshot format %u is not known here", h.format);
    struct wt_str body = wt_str_sub(bytes, sizeof(h), bytes.len);
    if (h.length != body.len)
        return wt_fail(err, WT_EINVAL, "the snapshot is cut: %zu bytes of %llu", body.len,
                       (unsigned long long)h.length);
    struct header wanted = header_for(body);
    if (memcmp(&wanted, &h, sizeof(h)) != 0)
        return wt_fail(err, WT_EINVAL, "the snapshot's checksum is wrong");
    return 0;
}

static int from_json(const json_t *root, struct model_snapshot **out, struct wt_err *err)
{
    const json_t *store = json_object_get(root, "store"), *delta = json_object_get(root, "delta");
    if (!json_is_string(store) || !json_is_object(delta))
        return wt_fail(err, WT_EINVAL, "the snapshot lacks store or delta");
    struct wt_str name = wt_str(json_string_value(store), json_string_length(store));
    struct model_snapshot *s = model_snapshot_new(name);
    if (!s)
        return wt_fail(err, WT_ENOMEM, "no memory for a snapshot");
    int r = model_snapshot_apply(s, name, delta, err);
    if (r < 0)
        model_snapshot_free(s);
    else
        *out = s;
    return r;
}

int model_snapshot_decode(struct wt_str bytes, struct model_snapshot **out, struct wt_err *err)
{
    json_error_t why;
    int r = check_header(bytes, err);
    if (r < 0)
        return r;
    struct wt_str body = wt_str_sub(bytes, sizeof(struct header), bytes.len);
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return wt_fail(err, WT_EINVAL, "the snapshot is not JSON: %s", why.text);
    r = from_json(root, out, err);
    json_decref(root);
    return r;
}
