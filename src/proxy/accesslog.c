#include "proxy/accesslog.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define FORMAT_OPS_MAX 128
#define FORMAT_TEXT_MAX 8192

/* How a value is read from an entry. */
enum shape {
    SHAPE_STR,    /* struct wt_str */
    SHAPE_U64,    /* uint64_t */
    SHAPE_U32,    /* uint32_t */
    SHAPE_I32,    /* int32_t, negative: none */
    SHAPE_STATUS, /* uint16_t */
    SHAPE_MS,     /* int64_t microseconds, printed in milliseconds; negative: none */
    SHAPE_TIME,   /* int64_t wall milliseconds */
    SHAPE_FLAGS,  /* uint32_t */
    SHAPE_FLAGS_LONG,
    SHAPE_PROTOCOL,
    SHAPE_HOST, /* struct wt_str, without the port */
};

/* The most a value of a fixed shape can take; strings may shrink to their quotes or "null". */
#define VALUE_BYTES_MIN 26
#define FLAGS_BYTES_MAX 640

struct operator_row {
    const char *name; /* with its argument, in capitals; "REQ(:METHOD)" */
    enum shape shape;
    size_t offset, offset_else; /* `offset_else` is used where the first string is absent */
};

#define OP(name, shape, field)                                                                     \
    {                                                                                              \
        name, SHAPE_##shape, offsetof(struct proxy_log_entry, field),                              \
            offsetof(struct proxy_log_entry, field)                                                \
    }

static const struct operator_row operators[] = {
    OP("START_TIME", TIME, start_wall_ms),
    OP("REQ(:METHOD)", STR, method),
    OP("REQ(:PATH)", STR, path),
    OP("REQ(:AUTHORITY)", STR, authority),
    OP("REQ(:SCHEME)", STR, scheme),
    OP("REQ(HOST)", STR, authority),
    OP("REQ(X-ENVOY-ORIGINAL-PATH)", STR, original_path),
    {"REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", SHAPE_STR, offsetof(struct proxy_log_entry, original_path),
     offsetof(struct proxy_log_entry, path)},
    OP("REQ(X-FORWARDED-FOR)", STR, forwarded_for),
    OP("REQ(USER-AGENT)", STR, user_agent),
    OP("REQ(X-REQUEST-ID)", STR, request_id),
    OP("REQ(REFERER)", STR, referer),
    OP("REQ(TRACEPARENT)", STR, traceparent),
    OP("RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)", MS, upstream_time_us),
    OP("RESP(LOCATION)", STR, location),
    OP("RESP(CONTENT-TYPE)", STR, content_type),
    OP("PROTOCOL", PROTOCOL, http_major),
    OP("RESPONSE_CODE", STATUS, status),
    OP("RESPONSE_FLAGS", FLAGS, flags),
    OP("RESPONSE_FLAGS_LONG", FLAGS_LONG, flags),
    OP("BYTES_RECEIVED", U64, bytes_received),
    OP("BYTES_SENT", U64, bytes_sent),
    OP("DURATION", MS, duration_us),
    OP("REQUEST_DURATION", MS, request_duration_us),
    OP("RESPONSE_DURATION", MS, response_duration_us),
    OP("UPSTREAM_HOST", STR, upstream_host),
    OP("UPSTREAM_CLUSTER", STR, backend),
    OP("UPSTREAM_REQUEST_ATTEMPT_COUNT", U32, attempts),
    OP("ROUTE_NAME", STR, route),
    OP("DOWNSTREAM_REMOTE_ADDRESS", STR, remote_address),
    OP("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", HOST, remote_address),
    OP("DOWNSTREAM_LOCAL_ADDRESS", STR, local_address),
    OP("CONNECTION_ID", U64, connection_id),
    OP("WATARI(SLOT)", I32, slot),
    OP("WATARI(MIGRATION)", STR, migration),
    OP("WATARI(SIDE)", STR, side),
    OP("WATARI(STEP)", I32, step),
    OP("WATARI(EPOCH)", I32, epoch),
    OP("WATARI(SNAPSHOT)", U64, snapshot),
};

#define N_OPERATORS (sizeof operators / sizeof operators[0])

static const struct {
    struct wt_str text, long_text;
} flag_names[PROXY_LOG_FLAG_COUNT] = {
#define F(constant, text, long_text) {WT_STR_INIT(text), WT_STR_INIT(long_text)},
    PROXY_LOG_FLAGS(F)
#undef F
};

struct op {
    struct wt_str before; /* what stands before the value; into `text` */
    enum shape shape;
    bool quoted;          /* JSON: a string, between quotes */
    struct wt_str absent; /* what stands for no value */
    const struct operator_row *row;
    size_t cut;  /* at most so many bytes of the value; 0: all */
    size_t rest; /* bytes that what is behind this value needs at the least */
};

struct proxy_log_format {
    struct op ops[FORMAT_OPS_MAX + 1]; /* of the last only `before` counts: the line's end */
    size_t n_ops;
    size_t min;
    bool json;
    struct wt_buf text; /* what the literals point into; complete before they are set */
};

/* While `text` still grows only the lengths of the literals are noted. */
struct builder {
    struct proxy_log_format *f;
    bool inside_json_string;
};

const char proxy_log_default_text[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

static const struct proxy_log_json_key default_json[] = {
    {"start_time", "%START_TIME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
    {"attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"},
    {"route_name", "%ROUTE_NAME%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"migration", "%WATARI(migration)%"},
    {"side", "%WATARI(side)%"},
    {"slot", "%WATARI(slot)%"},
    {"step", "%WATARI(step)%"},
    {"epoch", "%WATARI(epoch)%"},
};

/* ---- escaping ---- */

static const char hex_digits[] = "0123456789abcdef";

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Whether none of eight bytes is a control byte, quote, backslash, 0x7f or above: the classic "has
 * zero byte" and "has less" tests, which may be wrong only in the direction that costs a second
 * look. */
static bool plain8(uint64_t x)
{
    uint64_t quote = x ^ (ONES * '"'), slash = x ^ (ONES * '\\'), del = x ^ (ONES * 0x7f);
    uint64_t bad = x | (x - ONES * 0x20) | (quote - ONES) | (slash - ONES) | (del - ONES);
    return (bad & HIGHS) == 0;
}

/* The same for sixteen, exactly; bytes above 0x7f are negative. */
static bool plain16(const char *p)
{
    signed char v __attribute__((vector_size(16)));
    uint64_t bad[2];
    memcpy(&v, p, 16);
    const __auto_type found = (v < 0x20) | (v == 0x7f) | (v == '"') | (v == '\\');
    memcpy(bad, &found, 16);
    return !(bad[0] | bad[1]);
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static uint64_t load8(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t load4(const char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Whether the string needs no escape at all, as nearly every one; the last look may meet some bytes
 * once more. */
static bool all_plain(struct wt_str s)
{
    const char *p = s.ptr;
    size_t n = s.len, i = 0;
    if (n >= 16) {
        for (; i + 16 < n; i += 16)
            if (!plain16(p + i))
                return false;
        return plain16(p + n - 16);
    }
    if (n >= 8)
        return plain8(load8(p)) && plain8(load8(p + n - 8));
    if (n >= 4)
        return plain8(load4(p) | load4(p + n - 4) << 32);
    while (i < n && plain((unsigned char)p[i]))
        i++;
    return i == n;
}

static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;
    while (i + 16 <= n && plain16(p + i))
        i += 16;
    while (i < n && plain((unsigned char)p[i]))
        i++;
    return i;
}

/* Length of the UTF-8 sequence at p, 0 when it is not one (RFC 3629 §4: no surrogates, no overlong
 * forms). */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, len;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].first_low || p[0] > rows[i].first_high)
            continue;
        if (n < rows[i].len || p[1] < rows[i].second_low || p[1] > rows[i].second_high)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++) {
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        }
        return rows[i].len;
    }
    return 0;
}

/* Writes the escaped form of what is at `in` (at most 6 bytes) to `out`; *out_used says how much
 * input it was. */
static size_t escape_one(const char *in, size_t n, bool json, char *out, size_t *out_used)
{
    unsigned char c = (unsigned char)in[0];
    *out_used = 1;
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (!json) {
        const char text[4] = {'\\', 'x', hex_digits[c >> 4], hex_digits[c & 15]};
        memcpy(out, text, sizeof text);
        return sizeof text;
    }
    size_t sequence = c >= 0x80 ? utf8_len((const unsigned char *)in, n) : 0;
    if (sequence) {
        memcpy(out, in, sequence);
        *out_used = sequence;
        return sequence;
    }
    char text[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
    if (c >= 0x80)
        memcpy(text + 2, "fffd", 4);
    memcpy(out, text, sizeof text);
    return sizeof text;
}

/* Escapes into [out, end), whole characters only; returns the end of what was written. */
static char *add_escaped(char *out, const char *end, struct wt_str s, bool json)
{
    size_t i = 0;
    if (s.len <= (size_t)(end - out) && all_plain(s))
        return wt_put(out, s);
    while (i < s.len) {
        size_t run = plain_run(s.ptr + i, s.len - i);
        size_t room = (size_t)(end - out);
        if (run > room)
            run = room;
        out = wt_put(out, wt_str(s.ptr + i, run));
        i += run;
        if (i == s.len || out == end)
            break;
        char escaped[8] WT_UNSET;
        size_t used, len = escape_one(s.ptr + i, s.len - i, json, escaped, &used);
        if (len > (size_t)(end - out))
            break;
        memcpy(out, escaped, len);
        out += len;
        i += used;
    }
    return out;
}

/* ---- compiling ---- */

static const struct operator_row *find_operator(struct wt_str name)
{
    for (size_t i = 0; i < N_OPERATORS; i++) {
        if (wt_str_eq_nocase(name, wt_str_z(operators[i].name)))
            return &operators[i];
    }
    return NULL;
}

static int add_op(struct builder *b, struct op op, struct wt_err *err)
{
    if (b->f->n_ops == FORMAT_OPS_MAX)
        return wt_fail(err, WT_ELIMIT, "over %d operators", FORMAT_OPS_MAX);
    struct op *next = &b->f->ops[b->f->n_ops++];
    op.before = next->before;
    *next = op;
    return 0;
}

/* Goes before the next operator, behind what stands there already. */
static int add_literal(struct builder *b, struct wt_str s, struct wt_err *err)
{
    struct proxy_log_format *f = b->f;
    size_t from = f->text.len;
    if (b->inside_json_string) {
        char piece[8];
        for (size_t i = 0, used; i < s.len; i += used) {
            if (plain((unsigned char)s.ptr[i])) {
                used = 1;
                wt_buf_add_char(&f->text, s.ptr[i]);
            } else {
                size_t n = escape_one(s.ptr + i, s.len - i, true, piece, &used);
                wt_buf_add(&f->text, piece, n);
            }
        }
    } else {
        wt_buf_add_str(&f->text, s);
    }
    if (wt_buf_error(&f->text) < 0)
        return wt_fail(err, wt_buf_error(&f->text), "the text is over %d bytes", FORMAT_TEXT_MAX);
    f->ops[f->n_ops].before.len += f->text.len - from;
    return 0;
}

/* `spec` is what stands between the per cent signs: NAME, NAME(ARG), NAME(ARG):LENGTH. */
static int parse_operator(struct wt_str spec, struct op *out, struct wt_err *err)
{
    struct wt_str name = spec, digits = {NULL, 0};
    size_t close = wt_str_find(spec, ')');
    size_t from = close < spec.len ? close : 0;
    size_t colon = from + wt_str_find(wt_str_sub(spec, from, spec.len), ':');
    uint64_t cut = 0;
    if (colon < spec.len && (close < spec.len || wt_str_find(spec, '(') == spec.len)) {
        name = wt_str_sub(spec, 0, colon);
        digits = wt_str_sub(spec, colon + 1, spec.len);
        if (!wt_str_u64(digits, &cut) || cut == 0 || cut > FORMAT_TEXT_MAX)
            return wt_fail(err, WT_EINVAL, "%%%.*s%%: the length \"%.*s\" is not 1 to %d",
                           WT_ARG(spec), WT_ARG(digits), FORMAT_TEXT_MAX);
    }
    const struct operator_row *row = find_operator(name);
    if (!row)
        return wt_fail(err, WT_EINVAL, "%%%.*s%%: unknown operator", WT_ARG(spec));
    *out = (struct op){.shape = row->shape, .absent = WT_STR("-"), .row = row, .cut = (size_t)cut};
    return 0;
}

static int compile(struct builder *b, struct wt_str text, struct wt_err *err)
{
    while (text.len) {
        size_t percent = wt_str_find(text, '%');
        int r = percent ? add_literal(b, wt_str_sub(text, 0, percent), err) : 0;
        if (r < 0)
            return r;
        if (percent == text.len)
            return 0;
        text = wt_str_sub(text, percent + 1, text.len);
        size_t end = wt_str_find(text, '%');
        if (end == text.len)
            return wt_fail(err, WT_EINVAL, "a %% without its partner; write %%%% for the sign");
        struct op op = {0};
        if (end == 0)
            r = add_literal(b, WT_STR("%"), err);
        else
            r = parse_operator(wt_str_sub(text, 0, end), &op, err);
        if (r == 0 && end)
            r = add_op(b, op, err);
        if (r < 0)
            return r;
        text = wt_str_sub(text, end + 1, text.len);
    }
    return 0;
}

static size_t value_min(const struct op *op)
{
    if (op->shape == SHAPE_FLAGS || op->shape == SHAPE_FLAGS_LONG)
        return FLAGS_BYTES_MAX;
    return VALUE_BYTES_MIN;
}

static void seal(struct proxy_log_format *f)
{
    const char *at = f->text.ptr;
    for (size_t i = 0; i <= f->n_ops; i++) {
        f->ops[i].before.ptr = at;
        at += f->ops[i].before.len;
    }
    size_t rest = f->ops[f->n_ops].before.len;
    for (size_t i = f->n_ops; i-- > 0;) {
        f->ops[i].rest = rest;
        rest += f->ops[i].before.len + value_min(&f->ops[i]);
    }
    f->min = rest;
}

static struct proxy_log_format *format_alloc(bool json)
{
    struct proxy_log_format *f = wt_calloc(1, sizeof *f);
    if (f) {
        f->text = wt_buf_make(FORMAT_TEXT_MAX);
        f->json = json;
    }
    return f;
}

static int finish(struct proxy_log_format *f, int r, struct proxy_log_format **out,
                  struct wt_err *err)
{
    if (r < 0) {
        proxy_log_format_free(f);
        return wt_wrap(err, r, "access log format");
    }
    seal(f);
    *out = f;
    return 0;
}

int proxy_log_format_new_text(struct wt_str text, struct proxy_log_format **out, struct wt_err *err)
{
    struct proxy_log_format *f = format_alloc(false);
    if (!f)
        return wt_fail(err, WT_ENOMEM, "access log format: no memory");
    struct builder b = {.f = f};
    int r = compile(&b, text, err);
    if (r == 0 && !wt_str_ends(text, WT_STR("\n")))
        r = add_literal(&b, WT_STR("\n"), err);
    return finish(f, r, out, err);
}

static bool is_number(enum shape s)
{
    return s == SHAPE_U64 || s == SHAPE_U32 || s == SHAPE_I32 || s == SHAPE_STATUS || s == SHAPE_MS;
}

static int compile_json_key(struct builder *b, const struct proxy_log_json_key *key, bool first,
                            struct wt_err *err)
{
    struct proxy_log_format *f = b->f;
    int r = add_literal(b, first ? WT_STR("{\"") : WT_STR(",\""), err);
    b->inside_json_string = true;
    if (r == 0)
        r = add_literal(b, wt_str_z(key->key), err);
    b->inside_json_string = false;
    if (r == 0)
        r = add_literal(b, WT_STR("\":"), err);
    size_t len = strlen(key->text);
    bool lone = len > 2 && key->text[0] == '%' && strchr(key->text + 1, '%') == key->text + len - 1;
    if (lone && r == 0) {
        r = compile(b, wt_str(key->text, len), err);
        if (r == 0) {
            struct op *op = &f->ops[f->n_ops - 1];
            op->quoted = !is_number(op->shape);
            op->absent = WT_STR("null");
        }
        return r;
    }
    if (r == 0)
        r = add_literal(b, WT_STR("\""), err);
    b->inside_json_string = true;
    if (r == 0)
        r = compile(b, wt_str(key->text, len), err);
    b->inside_json_string = false;
    return r < 0 ? r : add_literal(b, WT_STR("\""), err);
}

int proxy_log_format_new_json(const struct proxy_log_json_key *keys, size_t n_keys,
                              struct proxy_log_format **out, struct wt_err *err)
{
    struct proxy_log_format *f = format_alloc(true);
    if (!f)
        return wt_fail(err, WT_ENOMEM, "access log format: no memory");
    struct builder b = {.f = f};
    int r = n_keys ? 0 : wt_fail(err, WT_EINVAL, "no keys");
    for (size_t i = 0; i < n_keys && r == 0; i++) {
        r = compile_json_key(&b, &keys[i], i == 0, err);
        if (r < 0)
            wt_wrap(err, r, "key \"%s\"", keys[i].key);
    }
    if (r == 0)
        r = add_literal(&b, WT_STR("}\n"), err);
    return finish(f, r, out, err);
}

int proxy_log_format_new_default_json(struct proxy_log_format **out, struct wt_err *err)
{
    return proxy_log_format_new_json(default_json, sizeof default_json / sizeof default_json[0],
                                     out, err);
}

void proxy_log_format_free(struct proxy_log_format *f)
{
    if (!f)
        return;
    wt_buf_done(&f->text);
    wt_free(f);
}

/* ---- writing ---- */

/* A date costs 60 ns and more, and thousands of lines share a second. */
static char *add_time(char *out, int64_t wall_ms, struct proxy_log_clock *clock)
{
    int64_t second = wall_ms / 1000;
    if (clock->second != second || !clock->text[0]) {
        char text[32];
        wt_time_format(second * 1000, true, text);
        memcpy(clock->text, text, sizeof clock->text);
        clock->second = second;
    }
    unsigned ms = (unsigned)(wall_ms % 1000);
    memcpy(out, clock->text, 20);
    out[20] = (char)('0' + ms / 100);
    out[21] = (char)('0' + ms / 10 % 10);
    out[22] = (char)('0' + ms % 10);
    out[23] = 'Z';
    return out + 24;
}

static char *add_flags(char *out, uint32_t flags, bool long_text)
{
    flags &= (1u << PROXY_LOG_FLAG_COUNT) - 1;
    while (flags) {
        unsigned bit = (unsigned)__builtin_ctz(flags);
        flags &= flags - 1;
        struct wt_str name = long_text ? flag_names[bit].long_text : flag_names[bit].text;
        out = wt_put(out, name);
        if (flags)
            *out++ = ',';
    }
    return out;
}

/* A string value of the entry; {NULL, 0} where the entry has none. */
static struct wt_str entry_str(const struct op *op, const struct proxy_log_entry *e)
{
    const char *base = (const char *)e;
    const struct wt_str *s = (const struct wt_str *)(const void *)(base + op->row->offset);
    if (!s->ptr)
        s = (const struct wt_str *)(const void *)(base + op->row->offset_else);
    struct wt_str v = *s;
    if (op->shape == SHAPE_HOST && v.ptr) {
        while (v.len && v.ptr[v.len - 1] != ':')
            v.len--;
        v.len = v.len ? v.len - 1 : s->len;
        if (v.len >= 2 && v.ptr[0] == '[' && v.ptr[v.len - 1] == ']')
            v = wt_str_sub(v, 1, v.len - 1);
    }
    if (op->cut && v.len > op->cut)
        v.len = op->cut;
    return v;
}

static char *add_protocol(char *out, const struct proxy_log_entry *e)
{
    out = wt_put_u64(wt_put(out, WT_STR("HTTP/")), e->http_major);
    *out++ = '.';
    return wt_put_u64(out, e->http_minor);
}

/* NULL where the entry has none. `end` leaves room for all that must still follow. */
static char *add_value(char *out, const char *end, const struct op *op,
                       const struct proxy_log_entry *e, struct proxy_log_clock *clock, bool json)
{
    const void *at = (const char *)e + op->row->offset;
    struct wt_str s;
    int64_t v;
    switch (op->shape) {
    case SHAPE_STR:
    case SHAPE_HOST:
        s = entry_str(op, e);
        return s.ptr ? add_escaped(out, end, s, json) : NULL;
    case SHAPE_U64:
        return wt_put_u64(out, *(const uint64_t *)at);
    case SHAPE_U32:
        return wt_put_u64(out, *(const uint32_t *)at);
    case SHAPE_STATUS:
        return wt_put_u64(out, *(const uint16_t *)at);
    case SHAPE_I32:
        v = *(const int32_t *)at;
        return v < 0 ? NULL : wt_put_u64(out, (uint64_t)v);
    case SHAPE_MS:
        v = *(const int64_t *)at;
        return v < 0 ? NULL : wt_put_u64(out, (uint64_t)v / 1000);
    case SHAPE_TIME:
        return add_time(out, e->start_wall_ms, clock);
    case SHAPE_FLAGS:
    case SHAPE_FLAGS_LONG:
        return e->flags ? add_flags(out, e->flags, op->shape == SHAPE_FLAGS_LONG) : NULL;
    case SHAPE_PROTOCOL:
        return e->http_major ? add_protocol(out, e) : NULL;
    }
    return NULL;
}

size_t proxy_log_write(const struct proxy_log_format *f, const struct proxy_log_entry *e,
                       struct proxy_log_clock *clock, char *out, size_t cap)
{
    if (cap < f->min)
        return 0;
    char *at = out;
    const struct op *op = f->ops, *last = f->ops + f->n_ops;
    for (; op < last; op++) {
        at = wt_put(at, op->before);
        char *value = at + op->quoted; /* the quotes come when there is something between them */
        char *end = add_value(value, out + cap - op->rest - op->quoted, op, e, clock, f->json);
        if (end && op->quoted)
            *at = *end++ = '"';
        at = end ? end : wt_put(at, op->absent);
    }
    return (size_t)(wt_put(at, last->before) - out);
}
