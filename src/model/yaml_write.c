#include "model/scalar.h"
#include "model/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#define DEPTH_MAX 64

struct writer {
    yaml_emitter_t emitter;
    struct wt_buf *out;
};

static int take_bytes(void *ctx, unsigned char *bytes, size_t n)
{
    struct writer *w = ctx;
    return wt_buf_add(w->out, bytes, n) == 0;
}

static int emit(struct writer *w, yaml_event_t *e)
{
    return yaml_emitter_emit(&w->emitter, e) ? 0 : WT_ENOMEM;
}

static int write_scalar(struct writer *w, struct wt_str s, bool text)
{
    yaml_event_t e;
    bool plain = !text || model_scalar_is_safe(s);
    yaml_scalar_style_t style = plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (!yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s.ptr, (int)s.len, plain,
                                      1, style))
        return WT_ENOMEM;
    return emit(w, &e);
}

/* The shortest of the two forms that reads back as the same number: 0.05, not 0.050000000000000003.
 */
static char *leaf_text(const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (!text || !json_is_real(v) || strtod(text, NULL) == json_real_value(v))
        return text;
    free(text);
    return json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

static int write_leaf(struct writer *w, const json_t *v)
{
    if (json_is_string(v))
        return write_scalar(w, wt_str(json_string_value(v), json_string_length(v)), true);
    char *text = leaf_text(v);
    if (!text)
        return WT_ENOMEM;
    int r = write_scalar(w, wt_str_z(text), false);
    free(text);
    return r;
}

static int write_value(struct writer *w, const json_t *v, unsigned depth);

static int write_members(struct writer *w, const json_t *v, unsigned depth)
{
    const char *key;
    json_t *item;
    size_t i;
    int r = 0;
    json_object_foreach((json_t *)v, key, item)
    {
        r = write_scalar(w, wt_str_z(key), true);
        if (r == 0)
            r = write_value(w, item, depth + 1);
        if (r < 0)
            return r;
    }
    json_array_foreach(v, i, item)
    {
        r = write_value(w, item, depth + 1);
        if (r < 0)
            return r;
    }
    return r;
}

static int write_value(struct writer *w, const json_t *v, unsigned depth)
{
    yaml_event_t e;
    if (!json_is_object(v) && !json_is_array(v))
        return write_leaf(w, v);
    if (depth >= DEPTH_MAX)
        return WT_ELIMIT;
    int ok =
        json_is_object(v)
            ? yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE)
            : yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
    int r = ok ? emit(w, &e) : WT_ENOMEM;
    if (r == 0)
        r = write_members(w, v, depth);
    if (r < 0)
        return r;
    ok = json_is_object(v) ? yaml_mapping_end_event_initialize(&e)
                           : yaml_sequence_end_event_initialize(&e);
    return ok ? emit(w, &e) : WT_ENOMEM;
}

static int write_document(struct writer *w, const json_t *doc)
{
    yaml_event_t e;
    int r = yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING) ? emit(w, &e) : WT_ENOMEM;
    if (r == 0)
        r = yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1) ? emit(w, &e) : WT_ENOMEM;
    if (r == 0)
        r = write_value(w, doc, 0);
    if (r == 0)
        r = yaml_document_end_event_initialize(&e, 1) ? emit(w, &e) : WT_ENOMEM;
    if (r == 0)
        r = yaml_stream_end_event_initialize(&e) ? emit(w, &e) : WT_ENOMEM;
    return r;
}

int model_yaml_write(const json_t *doc, struct wt_buf *out)
{
    struct writer w = {.out = out};
    if (!yaml_emitter_initialize(&w.emitter))
        return WT_ENOMEM;
    yaml_emitter_set_output(&w.emitter, take_bytes, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    int r = write_document(&w, doc);
    yaml_emitter_delete(&w.emitter);
    return r < 0 && wt_buf_error(out) ? wt_buf_error(out) : r;
}
