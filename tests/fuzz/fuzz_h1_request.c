/* Request heads. Byte by byte must mean what all at once means; what parses must, written and
 * parsed again, be the same request: anything else is two readers of one message. */
#include "http/forwarded.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In two pieces, cut where the last byte says. */
static void check_pieces(struct wt_str in, const struct http_head *whole, int r, size_t used,
                         enum http_h1_fault fault, struct wt_arena *arena)
{
    static struct http_head h;
    enum http_h1_fault f;
    size_t cut = in.len ? (unsigned char)in.ptr[in.len - 1] * in.len / 256 : 0, n = 0;
    http_head_init(&h, arena);
    int first =
        http_h1_parse_request(wt_str_sub(in, 0, cut), 0, &http_h1_default_limits, &h, &n, &f);
    if (first == WT_EAGAIN) {
        http_head_init(&h, arena);
        first = http_h1_parse_request(in, cut, &http_h1_default_limits, &h, &n, &f);
    }
    /* Without a new line end the second call need not look again: the verdict only comes later. */
    bool line = cut < in.len && memchr(in.ptr + cut, '\n', in.len - cut);
    if (first == WT_EAGAIN && !line)
        return;
    if (first != r || f != fault || (r == 0 && (n != used || h.n_fields != whole->n_fields)))
        abort();
}

static void check_bits(const struct http_head *h)
{
    for (uint32_t i = 0; i < h->n_fields; i++)
        if (!(h->present >> h->fields[i].id & 1) ||
            http_field_lookup(h->fields[i].name) != (enum http_field_id)h->fields[i].id)
            abort();
}

static void rewrite(struct http_head *h)
{
    struct wt_str v;
    http_strip_hop_by_hop(h);
    http_strip_forwarding(h);
    if (http_forwarded_add(h, WT_STR("192.0.2.1"), WT_STR("http")) < 0 ||
        http_head_get(h, HTTP_FIELD_CONNECTION, &v) || http_head_get(h, HTTP_FIELD_TE, &v))
        abort();
}

static void check_again(const struct http_head *h, struct wt_arena *arena)
{
    static struct http_head again;
    static const struct http_h1_limits wide = {128 * 1024, 128 * 1024, 200};
    enum http_h1_fault fault;
    size_t used;
    wt_autobuf struct wt_buf out = wt_buf_make(128 * 1024);
    if (http_h1_write_request(h, &out) < 0)
        abort();
    if (!h->authority.len) /* HTTP/1.0 without Host */
        return;
    http_head_init(&again, arena);
    if (http_h1_parse_request(wt_buf_str(&out), 0, &wide, &again, &used, &fault) < 0 ||
        used != out.len || !wt_str_eq(h->path, again.path) || !wt_str_eq(h->query, again.query) ||
        !wt_str_eq(h->authority, again.authority) || h->framing != again.framing ||
        h->length != again.length || !wt_str_eq(h->method_text, again.method_text))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h, sent;
    wt_autoarena struct wt_arena arena = wt_arena_make(1024 * 1024);
    struct wt_str in = wt_str((const char *)data, size);
    enum http_h1_fault fault;
    size_t used = 0;
    http_head_init(&h, &arena);
    int r = http_h1_parse_request(in, 0, &http_h1_default_limits, &h, &used, &fault);
    if ((r == 0 && used > size) || (r != 0 && r != WT_EAGAIN && !fault))
        abort();
    check_pieces(in, &h, r, used, fault, &arena);
    if (r < 0)
        return 0;
    check_bits(&h);
    check_again(&h, &arena);
    if (http_head_copy(&sent, &h, &arena) < 0)
        abort();
    rewrite(&sent);
    check_bits(&sent);
    check_again(&sent, &arena);
    return 0;
}
