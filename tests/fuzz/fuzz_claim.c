/* The claim of a bearer token. The first line is the claim's name; the rest is an Authorization
 * field, and also, in base64url, the claims of a token. */
#include "proxy/claim.h"

#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ask(struct wt_str field, struct wt_str name, struct wt_arena *arena, struct wt_str *out)
{
    static struct http_head h;
    http_head_init(&h, arena);
    if (http_head_add_id(&h, HTTP_FIELD_AUTHORIZATION, field) < 0)
        return false;
    bool found = proxy_claim_get(&h, name, out);
    if (found && (!out->len || out->len > PROXY_CLAIM_PAYLOAD_MAX))
        abort();
    struct wt_str none;
    http_head_add_id(&h, HTTP_FIELD_AUTHORIZATION, WT_STR("Basic YTpi"));
    if (proxy_claim_get(&h, name, &none))
        abort();
    return found;
}

static unsigned depth_of(const json_t *v)
{
    unsigned most = 0, one;
    size_t i;
    const char *key;
    json_t *member;
    if (!json_is_array(v) && !json_is_object(v))
        return 0;
    json_array_foreach(v, i, member) most = (one = depth_of(member)) > most ? one : most;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) most =
        (one = depth_of(member)) > most ? one : most;
    return most + 1;
}

/* What is found is what jansson alone finds, but for what is too deep. */
static void check(struct wt_str claims, struct wt_str name, struct wt_arena *arena)
{
    wt_autobuf struct wt_buf field = wt_buf_make(65536);
    wt_buf_add_str(&field, WT_STR("Bearer H."));
    wt_base64_add(&field, claims.ptr, claims.len);
    wt_buf_add_str(&field, WT_STR(".S"));
    struct wt_str v;
    bool found = ask(wt_buf_str(&field), name, arena, &v);
    json_t *doc = json_loadb(claims.ptr, claims.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *member = json_object_getn(doc, name.ptr, name.len);
    bool is_text = json_is_string(member) && json_string_length(member) > 0;
    bool fits = depth_of(doc) <= PROXY_CLAIM_DEPTH_MAX;
    if (found != ((is_text || json_is_integer(member)) && fits))
        abort();
    if (found && is_text &&
        !wt_str_eq(v, wt_str(json_string_value(member), json_string_length(member))))
        abort();
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    struct wt_str value = wt_str((const char *)data, size), out;
    if (!size)
        return 0;
    struct wt_str name = wt_str_next(&value, '\n');
    ask(value, name, &arena, &out);
    if (value.len && value.len <= PROXY_CLAIM_PAYLOAD_MAX / 4 * 3)
        check(value, name, &arena);
    return 0;
}
