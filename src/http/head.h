/* The head of a request or a response, free of protocol versions.
 *
 * Strings point into the bytes that were parsed or into the arena; both must outlive the head. A
 * head is never copied by assignment (fields may point into itself): http_head_copy() does that.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    HTTP_HEAD_INLINE_FIELDS = 32,
    HTTP_HEAD_MAX_FIELDS = 256, /* parsers stop far below; the rest is for fields that we add */
};

enum http_field_id {
    HTTP_FIELD_OTHER,
#define HTTP_FIELD(id, name) HTTP_FIELD_##id,
#include "http/field.def"
#undef HTTP_FIELD
    HTTP_FIELD_COUNT
};
_Static_assert(HTTP_FIELD_COUNT <= 64, "http_head.present has a bit for each");

enum http_method {
    HTTP_METHOD_OTHER,
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_CONNECT,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_TRACE,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_COUNT
};

enum http_framing {
    HTTP_FRAMING_NONE,        /* no body */
    HTTP_FRAMING_LENGTH,      /* exactly `length` bytes */
    HTTP_FRAMING_CHUNKED,     /* of unknown length, its end is marked */
    HTTP_FRAMING_UNTIL_CLOSE, /* responses only */
};

struct http_field {
    struct wt_str name, value; /* the value without blanks at its ends */
    uint8_t id;                /* enum http_field_id */
    uint32_t seal; /* of name and value as they were found fit; 0, or another string put in their
                      place: the writer judges them */
};

struct http_head {
    struct wt_arena *arena; /* for fields that are added; never NULL */

    /* Requests. The writer sends method_text, path, query and authority; `target` is for logs. */
    enum http_method method;
    struct wt_str method_text;
    struct wt_str target;    /* as received */
    struct wt_str scheme;    /* of an absolute target, else empty */
    struct wt_str authority; /* host[:port]; empty only on HTTP/1.0 without Host */
    struct wt_str path;      /* normalised (http/uri.h); "*" for OPTIONS *, empty for CONNECT */
    struct wt_str query;     /* without '?' */
    bool has_query;          /* "/a?" has an empty one */

    /* Responses. */
    uint16_t status;
    struct wt_str reason;

    uint8_t minor; /* HTTP/1.minor as received */
    enum http_framing framing;
    uint64_t length; /* with HTTP_FRAMING_LENGTH */

    bool keep_alive;      /* the connection may serve another exchange */
    bool expect_continue; /* the client waits for 100 */
    bool upgrade;         /* Connection: upgrade with an Upgrade field; in a response: status 101 */
    bool has_te_trailers; /* the client takes trailers */
    bool underscored;     /* as received it has a name with '_' that is none of field.def */

    /* Bit `id` is clear only when no field has that id: what is absent costs nothing to look for.
     * Who changes fields[] by hand adds bits; a bit too many is harmless. */
    uint64_t present;

    struct http_field *fields;
    uint32_t n_fields, cap_fields;
    struct http_field inlined[HTTP_HEAD_INLINE_FIELDS];
};

/* An empty head: HTTP/1.1, no body, keep_alive. `arena` outlives it. */
void http_head_init(struct http_head *h, struct wt_arena *arena);

/* `to` is initialised anew with `arena`; fields are copied, the strings are shared. WT_ENOMEM. */
int http_head_copy(struct http_head *to, const struct http_head *from,
                   struct wt_arena *arena) WT_NODISCARD;

/* The same, strings copied into the arena too, so that the parsed bytes may go. */
int http_head_clone(struct http_head *to, const struct http_head *from,
                    struct wt_arena *arena) WT_NODISCARD;

/* The first field of that name; *out is untouched and the result false when there is none. */
bool http_head_get(const struct http_head *h, enum http_field_id id, struct wt_str *out);
bool http_head_get_name(const struct http_head *h, struct wt_str name, struct wt_str *out);

/* The next field with that id after `prev` (NULL: from the start), or NULL. */
const struct http_field *http_head_next(const struct http_head *h, enum http_field_id id,
                                        const struct http_field *prev);

/* Fields are h->fields[0 … n_fields). Strings are kept as they are, not copied.
 * WT_EINVAL: not a name, or a value with CR, LF, NUL or another control; WT_ELIMIT; WT_ENOMEM. */
int http_head_add(struct http_head *h, struct wt_str name, struct wt_str value);
int http_head_set(struct http_head *h, struct wt_str name, struct wt_str value); /* replaces all */

/* The same with a known field. */
int http_head_add_id(struct http_head *h, enum http_field_id id, struct wt_str value);
int http_head_set_id(struct http_head *h, enum http_field_id id, struct wt_str value);

/* Removes all fields of that name; how many there were. Order of the others is kept. */
unsigned http_head_remove(struct http_head *h, enum http_field_id id);
unsigned http_head_remove_name(struct http_head *h, struct wt_str name);

enum http_field_id http_field_lookup(struct wt_str name); /* any case */
struct wt_str http_field_name(enum http_field_id id);     /* lower case; "" for OTHER */
bool http_field_name_valid(struct wt_str name);           /* a token (RFC 9110 §5.6.2) */
bool http_field_value_valid(struct wt_str value);         /* no control but tab */

/* Whether a comma list (RFC 9110 §5.6.1) holds that element, any case. */
bool http_list_has(struct wt_str list, struct wt_str element);

enum http_method http_method_lookup(struct wt_str text); /* case matters */
bool http_method_safe(enum http_method m);               /* RFC 9110 §9.2.1 */
bool http_method_idempotent(enum http_method m);         /* RFC 9110 §9.2.2 */

const char *http_status_text(unsigned status); /* "" when unknown */

#endif
