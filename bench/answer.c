#include "answer.h"

#include <string.h>
#include <strings.h>

static const char cookie_name[] = "watari_id=";

void answer_init(struct answer *answer)
{
    answer->head_len = 0;
    answer->in_body = false;
    answer->body_left = 0;
}

static bool length_read(const char *value, size_t len, uint64_t *out_length)
{
    uint64_t length = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9' || length > UINT64_MAX / 100)
            return false;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    *out_length = length;
    return len > 0;
}

static void cookie_read(struct answer *answer, const char *value, size_t len)
{
    const char *end = memchr(value, ';', len);
    size_t pair_len = end ? (size_t)(end - value) : len;
    if (pair_len >= sizeof(answer->cookie) || pair_len < sizeof(cookie_name) - 1 ||
        memcmp(value, cookie_name, sizeof(cookie_name) - 1) != 0)
        return;
    memcpy(answer->cookie, value, pair_len);
    answer->cookie[pair_len] = '\0';
}

static bool name_is(const char *name, size_t name_len, const char *wanted)
{
    return name_len == strlen(wanted) && strncasecmp(name, wanted, name_len) == 0;
}

/* One "Name: value" line without its line end. False when the answer cannot be framed. */
static bool line_read(struct answer *answer, const char *line, size_t len, bool *framed)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return false;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t value_len = len - name_len - 1;
    while (value_len > 0 && *value == ' ') {
        value++;
        value_len--;
    }
    /* The name's length decides most lines without comparing. */
    switch (name_len) {
    case 14:
        if (name_is(line, name_len, "content-length")) {
            *framed = true;
            return length_read(value, value_len, &answer->length);
        }
        return true;
    case 10:
        if (name_is(line, name_len, "set-cookie"))
            cookie_read(answer, value, value_len);
        else if (name_is(line, name_len, "connection"))
            answer->closes = value_len == 5 && strncasecmp(value, "close", 5) == 0;
        return true;
    case 17:
        return !name_is(line, name_len, "transfer-encoding");
    default:
        return true;
    }
}

/* `head` ends with the line end of its last field. */
static bool head_read(struct answer *answer, const char *head, size_t len)
{
    if (len < 14 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ')
        return false;
    answer->status = (head[9] - '0') * 100 + (head[10] - '0') * 10 + (head[11] - '0');
    answer->closes = head[7] == '0';
    answer->cookie[0] = '\0';
    answer->length = 0;
    bool framed = false;
    const char *end = head + len;
    const char *line = memchr(head, '\n', len);
    if (!line || line[-1] != '\r')
        return false;
    while (line && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next || next[-1] != '\r' ||
            !line_read(answer, line, (size_t)(next - line) - 1, &framed))
            return false;
        line = next;
    }
    return framed;
}

static enum answer_result body_feed(struct answer *answer, size_t len)
{
    if (len > answer->body_left)
        return ANSWER_BAD;
    answer->body_left -= len;
    answer->in_body = answer->body_left > 0;
    return answer->in_body ? ANSWER_MORE : ANSWER_DONE;
}

/* Finds the head's end in data[0, len); *out_used bytes belong to the head. */
static enum answer_result head_feed(struct answer *answer, const char *data, size_t len,
                                    size_t *out_used)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end)
        return ANSWER_MORE;
    *out_used = (size_t)(end - data) + 4;
    if (!head_read(answer, data, *out_used - 2))
        return ANSWER_BAD;
    answer->in_body = true;
    answer->body_left = answer->length;
    return ANSWER_DONE;
}

enum answer_result answer_feed(struct answer *answer, const char *data, size_t len)
{
    if (answer->in_body)
        return body_feed(answer, len);
    size_t used = 0;
    uint32_t had = answer->head_len;
    enum answer_result result = ANSWER_MORE;
    if (had == 0)
        result = head_feed(answer, data, len, &used);
    if (result == ANSWER_MORE) {
        size_t room = sizeof(answer->head) - had;
        size_t taken = len < room ? len : room;
        memcpy(answer->head + had, data, taken);
        answer->head_len += (uint32_t)taken;
        if (had > 0)
            result = head_feed(answer, answer->head, answer->head_len, &used);
        if (result == ANSWER_MORE)
            return answer->head_len == sizeof(answer->head) ? ANSWER_BAD : ANSWER_MORE;
        used -= had;
    }
    answer->head_len = 0;
    return result == ANSWER_BAD ? ANSWER_BAD : body_feed(answer, len - used);
}
