#include "proxy/claim.h"

#include "base/text.h"

#include <jansson.h>

/* RFC 6750 §2.1; a scheme has no case (RFC 9110 §11.1). Of two fields (§11.6.2 knows one) the
 * service may take either. */
static bool find_token(const struct http_head *request, struct wt_str *out)
{
    const struct http_field *f = http_head_next(request, HTTP_FIELD_AUTHORIZATION, NULL);
    if (!f || http_head_next(request, HTTP_FIELD_AUTHORIZATION, f))
        return false;
    size_t end = wt_str_find(f->value, ' ');
    *out = wt_str_trim(wt_str_sub(f->value, end, f->value.len));
    return wt_str_eq_nocase(wt_str_sub(f->value, 0, end), WT_STR("Bearer"));
}

/* The middle one of exactly three parts (RFC 7515 §7.1); an encrypted token has five. The last is
 * empty in one without a signature (RFC 7519 §6). */
static bool find_payload(struct wt_str token, struct wt_str *out)
{
    struct wt_str header = wt_str_next(&token, '.');
    *out = wt_str_next(&token, '.');
    return header.len && out->len && out->len <= PROXY_CLAIM_PAYLOAD_MAX && token.ptr &&
           wt_str_find(token, '.') == token.len;
}

/* jansson recurses as deep as the text goes, to 2,048 levels, and a fiber's stack is small. Up to
 * the first error in the text both see the same strings, and jansson stops there. */
static bool is_deep(struct wt_str json)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            i += c == '\\';
        else if ((c == '{' || c == '[') && ++depth > PROXY_CLAIM_DEPTH_MAX)
            return true;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

static struct wt_str text_of(const json_t *v, struct wt_arena *arena)
{
    if (json_is_string(v))
        return wt_arena_str(arena, wt_str(json_string_value(v), json_string_length(v)));
    if (json_is_integer(v))
        return wt_str_z(wt_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(v)));
    return wt_str(NULL, 0);
}

bool proxy_claim_get(const struct http_head *request, struct wt_str name, struct wt_str *out)
{
    struct wt_str token, payload;
    wt_autobuf struct wt_buf json = wt_buf_make(PROXY_CLAIM_PAYLOAD_MAX);
    if (!find_token(request, &token) || !find_payload(token, &payload) ||
        wt_base64_decode(&json, payload) < 0 || is_deep(wt_buf_str(&json)))
        return false;
    /* Of two claims of a name the service may take either (RFC 7519 §4). */
    json_t *claims = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    struct wt_str value = text_of(json_object_getn(claims, name.ptr, name.len), request->arena);
    json_decref(claims);
    if (!value.len)
        return false;
    *out = value;
    return true;
}
