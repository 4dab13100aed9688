#include "http/h1_body.h"

#include "http/internal.h"

enum state { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILERS, DONE };

void http_h1_body_init(struct http_h1_body *b, const struct http_head *head,
                       struct http_head *trailers)
{
    *b = (struct http_h1_body){.framing = head->framing, .trailers = trailers, .state = SIZE};
    if (head->framing == HTTP_FRAMING_LENGTH)
        b->left = head->length;
    if (head->framing == HTTP_FRAMING_NONE ||
        (head->framing == HTTP_FRAMING_LENGTH && head->length == 0))
        b->state = DONE;
}

static int fail(struct http_h1_body *b, enum http_h1_fault fault)
{
    b->fault = fault;
    return fault == HTTP_H1_FAULT_NO_MEMORY            ? WT_ENOMEM
           : fault == HTTP_H1_FAULT_TRAILERS_TOO_LARGE ? WT_ELIMIT
                                                       : WT_EPROTO;
}

/* Digits only, at most 16, and INT64_MAX at most: no sign, no 0x, no blanks (CVE-2025-22871). */
static int on_size(struct http_h1_body *b, char c)
{
    int digit = http_hex((unsigned char)c);
    if (digit >= 0) {
        if (b->digits++ >= 16 || b->left > (uint64_t)INT64_MAX >> 4)
            return fail(b, HTTP_H1_FAULT_CHUNK_SIZE);
        b->left = b->left << 4 | (unsigned)digit;
        return 0;
    }
    if (b->digits == 0 || (c != '\r' && c != ';'))
        return fail(b, HTTP_H1_FAULT_CHUNK_SIZE);
    b->state = c == ';' ? EXTENSION : SIZE_LF;
    return 0;
}

/* A bare LF in an extension ends the line for some readers and not for others (CVE-2025-55315). */
static int on_extension(struct http_h1_body *b, char c)
{
    if (c == '\r') {
        b->state = SIZE_LF;
        return 0;
    }
    if (!http_is((unsigned char)c, HTTP_CLASS_VALUE) ||
        ++b->extension_bytes > HTTP_H1_MAX_EXTENSION_BYTES)
        return fail(b, HTTP_H1_FAULT_CHUNK_EXTENSION);
    return 0;
}

static int on_framing(struct http_h1_body *b, char c)
{
    switch (b->state) {
    case SIZE:
        return on_size(b, c);
    case EXTENSION:
        return on_extension(b, c);
    case SIZE_LF:
        b->state = b->left ? DATA : TRAILERS;
        return c == '\n' ? 0 : fail(b, HTTP_H1_FAULT_CHUNK_SIZE);
    case DATA_CR:
        b->state = DATA_LF;
        return c == '\r' ? 0 : fail(b, HTTP_H1_FAULT_CHUNK_END);
    default: /* DATA_LF */
        b->state = SIZE;
        b->digits = 0;
        return c == '\n' ? 0 : fail(b, HTTP_H1_FAULT_CHUNK_END);
    }
}

/* RFC 9110 §6.5.1: framing, routing and credentials may not come late. */
static bool may_trail(const struct http_field *f)
{
    return f->id == HTTP_FIELD_OTHER || f->id >= HTTP_FIELD_CACHE_CONTROL;
}

static int keep_trailers(struct http_h1_body *b, const struct http_head *found)
{
    for (uint32_t i = 0; b->trailers && i < found->n_fields; i++) {
        const struct http_field *f = &found->fields[i];
        if (!may_trail(f))
            continue;
        struct wt_str name = wt_arena_str(b->trailers->arena, f->name);
        struct wt_str value = wt_arena_str(b->trailers->arena, f->value);
        if (!name.ptr || !value.ptr || http_head_add(b->trailers, name, value) < 0)
            return fail(b, HTTP_H1_FAULT_NO_MEMORY);
    }
    b->state = DONE;
    return HTTP_H1_BODY_END;
}

/* The section is read as a whole: it is short, and most often just an empty line. */
static int on_trailers(struct http_h1_body *b, struct wt_str in, size_t *consumed)
{
    struct wt_arena none = wt_arena_make(0);
    struct http_head found; /* up to its inline capacity: no memory is needed */
    _Static_assert((int)HTTP_H1_MAX_TRAILERS <= (int)HTTP_HEAD_INLINE_FIELDS,
                   "trailers fit inline");
    http_head_init(&found, &none);
    size_t pos = 0;
    struct wt_str part = wt_str_sub(in, 0, HTTP_H1_MAX_TRAILER_BYTES);
    enum http_h1_fault fault = HTTP_H1_FAULT_NONE;
    int r = http_h1_parse_fields(part, &pos, HTTP_H1_MAX_TRAILERS, &found, &fault);
    if (r == WT_EAGAIN && part.len == HTTP_H1_MAX_TRAILER_BYTES)
        return fail(b, HTTP_H1_FAULT_TRAILERS_TOO_LARGE);
    if (r == WT_EAGAIN)
        return r;
    if (r < 0)
        return fail(b, fault);
    *consumed += pos;
    return keep_trailers(b, &found);
}

static int give_data(struct http_h1_body *b, struct wt_str rest, struct wt_str *out,
                     size_t *consumed)
{
    size_t n = rest.len;
    if (b->framing != HTTP_FRAMING_UNTIL_CLOSE) {
        n = b->left < n ? (size_t)b->left : n;
        b->left -= n;
        if (b->left == 0)
            b->state = b->framing == HTTP_FRAMING_CHUNKED ? DATA_CR : DONE;
    }
    b->total += n;
    *consumed += n;
    *out = wt_str(rest.ptr, n);
    return HTTP_H1_BODY_DATA;
}

int http_h1_body_read(struct http_h1_body *b, struct wt_str in, struct wt_str *out_data,
                      size_t *out_consumed)
{
    size_t pos = 0;
    int r = WT_EAGAIN;
    *out_data = wt_str(NULL, 0);
    *out_consumed = 0;
    if (b->fault)
        return fail(b, b->fault);
    if (b->state == DONE)
        return HTTP_H1_BODY_END;
    if (b->framing != HTTP_FRAMING_CHUNKED)
        return in.len ? give_data(b, in, out_data, out_consumed) : WT_EAGAIN;
    while (pos < in.len) {
        struct wt_str rest = wt_str_sub(in, pos, in.len);
        if (b->state == DATA || b->state == TRAILERS) {
            r = b->state == DATA ? give_data(b, rest, out_data, &pos) : on_trailers(b, rest, &pos);
            break;
        }
        int bad = on_framing(b, in.ptr[pos]);
        if (bad < 0)
            return bad;
        pos++;
    }
    *out_consumed = pos;
    return r;
}

int http_h1_body_eof(struct http_h1_body *b)
{
    if (b->state != DONE && (b->framing != HTTP_FRAMING_UNTIL_CLOSE || b->fault))
        return b->fault ? fail(b, b->fault) : fail(b, HTTP_H1_FAULT_TRUNCATED);
    b->state = DONE;
    return HTTP_H1_BODY_END;
}

bool http_h1_body_done(const struct http_h1_body *b)
{
    return b->state == DONE;
}
