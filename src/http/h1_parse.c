#include "http/h1_parse.h"

#include "http/h1_frame.h"
#include "http/internal.h"

const struct http_h1_limits http_h1_default_limits = {8 * 1024, 32 * 1024, 100};

enum { MAX_EMPTY_LINES = 2 };

static const struct http_h1_fault_info faults[HTTP_H1_FAULT_COUNT] = {
#define HTTP_H1_FAULT(id, status, close, text) {status, close, #id, text},
    HTTP_H1_FAULTS(HTTP_H1_FAULT)
#undef HTTP_H1_FAULT
};

const struct http_h1_fault_info *http_h1_fault_info(enum http_h1_fault fault)
{
    return &faults[(unsigned)fault < HTTP_H1_FAULT_COUNT ? fault : 0];
}

static int fail(enum http_h1_fault *out, enum http_h1_fault fault)
{
    *out = fault;
    return fault == HTTP_H1_FAULT_NO_MEMORY ? WT_ENOMEM : WT_EPROTO;
}

/* Expects CRLF at *pos. */
static inline int take_crlf(struct wt_str in, size_t *pos, enum http_h1_fault *fault)
{
    if (*pos >= in.len)
        return WT_EAGAIN;
    if (in.ptr[*pos] != '\r')
        return fail(fault, HTTP_H1_FAULT_BARE_LINE_END);
    if (*pos + 1 >= in.len)
        return WT_EAGAIN;
    if (in.ptr[*pos + 1] != '\n')
        return fail(fault, HTTP_H1_FAULT_BARE_LINE_END);
    *pos += 2;
    return 0;
}

static inline size_t skip_class(struct wt_str in, size_t pos, enum http_class class)
{
    while (pos < in.len && http_is((unsigned char)in.ptr[pos], class))
        pos++;
    return pos;
}

/* The end of a field's value: the first control that is no tab. */
static inline size_t skip_value(struct wt_str in, size_t pos)
{
    while (pos + 8 <= in.len) {
        uint64_t found = http_controls(in.ptr + pos);
        if (!found) {
            pos += 8;
            continue;
        }
        pos += http_first(found);
        if (in.ptr[pos] != '\t')
            return pos;
        pos++;
    }
    return skip_class(in, pos, HTTP_CLASS_VALUE);
}

/* Where the next colon is, or in.len. */
static inline size_t find_colon(struct wt_str in, size_t pos)
{
    for (; pos + 8 <= in.len; pos += 8) {
        uint64_t w;
        memcpy(&w, in.ptr + pos, 8);
        uint64_t found = http_zeros(w ^ (HTTP_ONES * ':'));
        if (found)
            return pos + http_first(found);
    }
    while (pos < in.len && in.ptr[pos] != ':')
        pos++;
    return pos;
}

/* "x_forwarded_for" becomes "x-forwarded-for" in a CGI-like origin: two names for one (HAProxy and
 * Envoy edge guides). Known names are short. */
static bool is_alias(struct wt_str name)
{
    char dashed[32];
    if (name.len > sizeof dashed)
        return false;
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
    return http_field_lookup(wt_str(dashed, name.len)) != HTTP_FIELD_OTHER;
}

static enum http_h1_fault bad_name(struct wt_str in, size_t start, size_t pos)
{
    char c = in.ptr[pos];
    if (pos == start && (c == ' ' || c == '\t'))
        return HTTP_H1_FAULT_FIELD_FOLD;
    if (c == ' ' || c == '\t')
        return HTTP_H1_FAULT_FIELD_NAME_SPACE;
    return c == '\n' && pos == start ? HTTP_H1_FAULT_BARE_LINE_END : HTTP_H1_FAULT_FIELD_NAME;
}

static int parse_other_name(struct wt_str in, size_t *pos, struct http_head *head,
                            struct wt_str *out, enum http_h1_fault *fault)
{
    size_t start = *pos, at = start;
    unsigned seen = 0;
    for (; at < in.len; at++) {
        unsigned class = http_class[(unsigned char)in.ptr[at]];
        if (!(class & HTTP_CLASS_TOKEN))
            break;
        seen |= class;
    }
    if (at == in.len)
        return WT_EAGAIN;
    if (in.ptr[at] != ':' || at == start)
        return fail(fault, bad_name(in, start, at));
    *out = wt_str(in.ptr + start, at - start);
    if (seen & HTTP_CLASS_UNDERSCORE) {
        if (is_alias(*out))
            return fail(fault, HTTP_H1_FAULT_FIELD_ALIAS);
        head->underscored = true;
    }
    *pos = at + 1;
    return 0;
}

/* What stands before the colon is compared with the name that it can only be; equal to a known one,
 * it needs no look at each byte. */
static inline int parse_name(struct wt_str in, size_t *pos, struct http_head *head,
                             struct wt_str *out, enum http_field_id *out_id,
                             enum http_h1_fault *fault)
{
    size_t colon = find_colon(in, *pos);
    *out = wt_str(in.ptr + *pos, colon - *pos);
    *out_id = colon < in.len ? http_field_lookup(*out) : HTTP_FIELD_OTHER;
    if (*out_id == HTTP_FIELD_OTHER)
        return parse_other_name(in, pos, head, out, fault);
    *pos = colon + 1;
    return 0;
}

static inline int parse_value(struct wt_str in, size_t *pos, struct wt_str *out,
                              enum http_h1_fault *fault)
{
    size_t start = *pos;
    while (start < in.len && (in.ptr[start] == ' ' || in.ptr[start] == '\t'))
        start++;
    size_t end = skip_value(in, start);
    *pos = end;
    if (end < in.len && in.ptr[end] != '\r' && in.ptr[end] != '\n')
        return fail(fault, HTTP_H1_FAULT_FIELD_VALUE);
    int r = take_crlf(in, pos, fault);
    if (r < 0)
        return r;
    while (end > start && (in.ptr[end - 1] == ' ' || in.ptr[end - 1] == '\t'))
        end--;
    *out = wt_str(in.ptr + start, end - start);
    return 0;
}

int http_h1_parse_fields(struct wt_str in, size_t *pos, uint32_t max_fields, struct http_head *head,
                         enum http_h1_fault *fault)
{
    uint32_t n = 0;
    for (;;) {
        if (*pos >= in.len)
            return WT_EAGAIN;
        if (in.ptr[*pos] == '\r')
            return take_crlf(in, pos, fault);
        struct wt_str name, value;
        enum http_field_id id;
        int r = parse_name(in, pos, head, &name, &id, fault);
        if (r == 0)
            r = parse_value(in, pos, &value, fault);
        if (r < 0)
            return r;
        if (n++ == max_fields || head->n_fields >= HTTP_HEAD_MAX_FIELDS)
            return fail(fault, HTTP_H1_FAULT_TOO_MANY_FIELDS);
        if (!http_head_push(head, name, value, id))
            return fail(fault, HTTP_H1_FAULT_NO_MEMORY);
    }
}

/* "HTTP/1.x" at *pos. 2.0 and up is 505; what is no version at all is a bad line. */
static int parse_version(struct wt_str in, size_t *pos, uint8_t *out_minor,
                         enum http_h1_fault bad_line, enum http_h1_fault *fault)
{
    static const char want[] = "HTTP/";
    if (in.len - *pos >= 8 && memcmp(in.ptr + *pos, "HTTP/1.1", 8) == 0) { /* nearly always */
        *out_minor = 1;
        *pos += 8;
        return 0;
    }
    for (size_t i = 0; i < 8; i++) {
        if (*pos + i >= in.len)
            return WT_EAGAIN;
        char c = in.ptr[*pos + i];
        if (i < 5 ? c != want[i] : i == 6 ? c != '.' : c < '0' || c > '9')
            return fail(fault, bad_line);
    }
    if (in.ptr[*pos + 5] != '1')
        return fail(fault, HTTP_H1_FAULT_VERSION);
    /* A higher minor version is to be read as the highest one known (RFC 9110 §2.5). */
    *out_minor = in.ptr[*pos + 7] == '0' ? 0 : 1;
    *pos += 8;
    return 0;
}

static int request_line(struct wt_str in, size_t *pos, struct http_head *h,
                        enum http_h1_fault *fault)
{
    size_t start = *pos;
    size_t at = skip_class(in, start, HTTP_CLASS_TOKEN);
    if (at == in.len)
        return WT_EAGAIN;
    if (in.ptr[at] != ' ' || at == start)
        return fail(fault, HTTP_H1_FAULT_METHOD);
    h->method_text = wt_str(in.ptr + start, at - start);
    h->method = http_method_lookup(h->method_text);
    start = ++at;
    at = skip_class(in, at, HTTP_CLASS_TARGET);
    if (at == in.len)
        return WT_EAGAIN;
    if (in.ptr[at] != ' ' || at == start)
        return fail(fault, in.ptr[at] == '\r' || in.ptr[at] == '\n' ? HTTP_H1_FAULT_REQUEST_LINE
                                                                    : HTTP_H1_FAULT_TARGET);
    h->target = wt_str(in.ptr + start, at - start);
    *pos = at + 1;
    int r = parse_version(in, pos, &h->minor, HTTP_H1_FAULT_REQUEST_LINE, fault);
    return r < 0 ? r : take_crlf(in, pos, fault);
}

static int status_line(struct wt_str in, size_t *pos, struct http_head *h,
                       enum http_h1_fault *fault)
{
    int r = parse_version(in, pos, &h->minor, HTTP_H1_FAULT_STATUS_LINE, fault);
    if (r < 0)
        return r;
    unsigned status = 0;
    for (size_t i = 0; i < 4; i++) {
        if (*pos + i >= in.len)
            return WT_EAGAIN;
        char c = in.ptr[*pos + i];
        if (i == 0 ? c != ' ' : c < '0' || c > '9')
            return fail(fault, HTTP_H1_FAULT_STATUS_LINE);
        status = i ? status * 10 + (unsigned)(c - '0') : 0;
    }
    *pos += 4;
    if (*pos == in.len)
        return WT_EAGAIN;
    if (status < 100 || status > 599 || (in.ptr[*pos] != ' ' && in.ptr[*pos] != '\r'))
        return fail(fault, HTTP_H1_FAULT_STATUS_LINE);
    h->status = (uint16_t)status;
    return parse_value(in, pos, &h->reason, fault);
}

/* Whether nothing new can be said: the bytes after `last_len` end no line and no limit is reached.
 * The first line's own limit counts only while that line goes on: a long head that comes byte by
 * byte must not be parsed from its start for each. */
static bool no_news(struct wt_str in, size_t last_len, const struct http_h1_limits *limits)
{
    if (!last_len || last_len > in.len || in.len >= limits->max_head_bytes ||
        memchr(in.ptr + last_len, '\n', in.len - last_len))
        return false;
    size_t from = 0; /* empty lines may come first */
    while (from < in.len && (in.ptr[from] == '\r' || in.ptr[from] == '\n'))
        from++;
    return in.len - from < limits->max_line_bytes ||
           memchr(in.ptr + from, '\n', limits->max_line_bytes);
}

static int too_large(enum http_h1_fault *fault, enum http_h1_fault which)
{
    *fault = which;
    return WT_ELIMIT;
}

/* A head is judged on its first max_head_bytes alone, so that the verdict does not depend on how
 * the bytes arrived; the same for the request line. */
static struct wt_str clip(struct wt_str in, size_t from, size_t max)
{
    return wt_str(in.ptr, in.len - from > max ? from + max : in.len);
}

static int skip_empty_lines(struct wt_str in, size_t *pos, enum http_h1_fault *fault)
{
    for (unsigned n = 0; *pos < in.len && (in.ptr[*pos] == '\r' || in.ptr[*pos] == '\n'); n++) {
        if (n == MAX_EMPTY_LINES)
            return fail(fault, HTTP_H1_FAULT_EMPTY_LINES);
        int r = take_crlf(in, pos, fault);
        if (r < 0)
            return r;
    }
    return 0;
}

static int finish_fields(struct wt_str in, size_t *pos, const struct http_h1_limits *limits,
                         struct http_head *head, enum http_h1_fault *fault)
{
    struct wt_str all = clip(in, 0, limits->max_head_bytes);
    int r = http_h1_parse_fields(all, pos, limits->max_fields, head, fault);
    if (r == WT_EAGAIN && all.len == limits->max_head_bytes)
        return too_large(fault, HTTP_H1_FAULT_HEAD_TOO_LARGE);
    return r;
}

int http_h1_parse_request(struct wt_str in, size_t last_len, const struct http_h1_limits *limits,
                          struct http_head *head, size_t *out_consumed,
                          enum http_h1_fault *out_fault)
{
    *out_fault = HTTP_H1_FAULT_NONE;
    if (in.len == 0 || no_news(in, last_len, limits))
        return WT_EAGAIN;
    size_t pos = 0;
    int r = skip_empty_lines(in, &pos, out_fault);
    if (r < 0)
        return r;
    struct wt_str line = clip(clip(in, pos, limits->max_line_bytes), 0, limits->max_head_bytes);
    size_t start = pos;
    r = request_line(line, &pos, head, out_fault);
    if (r == WT_EAGAIN && line.len - start >= limits->max_line_bytes)
        return too_large(out_fault, HTTP_H1_FAULT_URI_TOO_LONG);
    if (r == WT_EAGAIN && line.len >= limits->max_head_bytes)
        return too_large(out_fault, HTTP_H1_FAULT_HEAD_TOO_LARGE);
    if (r == 0)
        r = finish_fields(in, &pos, limits, head, out_fault);
    if (r < 0)
        return r;
    *out_consumed = pos;
    *out_fault = http_h1_frame_request(head);
    return *out_fault ? fail(out_fault, *out_fault) : 0;
}

int http_h1_parse_response(struct wt_str in, size_t last_len, enum http_method method,
                           const struct http_h1_limits *limits, struct http_head *head,
                           size_t *out_consumed, enum http_h1_fault *out_fault)
{
    *out_fault = HTTP_H1_FAULT_NONE;
    if (in.len == 0 || no_news(in, last_len, limits))
        return WT_EAGAIN;
    size_t pos = 0;
    struct wt_str all = clip(in, 0, limits->max_head_bytes);
    int r = status_line(all, &pos, head, out_fault);
    if (r == WT_EAGAIN && all.len == limits->max_head_bytes)
        return too_large(out_fault, HTTP_H1_FAULT_HEAD_TOO_LARGE);
    if (r == 0)
        r = finish_fields(in, &pos, limits, head, out_fault);
    if (r < 0)
        return r;
    *out_consumed = pos;
    *out_fault = http_h1_frame_response(head, method);
    return *out_fault ? fail(out_fault, *out_fault) : 0;
}
