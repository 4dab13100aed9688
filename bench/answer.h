/* Reads one HTTP/1.1 answer at a time, framed by Content-Length; no socket, no allocation.
 *
 * It checks only what the benchmark needs to know that a proxy did its work: the status, the length
 * that was announced and the length that came. Anything it cannot frame is an error, never a guess.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_BYTES = 2048, ANSWER_COOKIE_BYTES = 256 };

enum answer_result {
    ANSWER_MORE, /* not complete yet */
    ANSWER_DONE, /* complete; the fields below hold until the next feed */
    ANSWER_BAD,  /* no framed HTTP/1.1 answer, or bytes after its end */
};

struct answer {
    int status;
    bool closes;                      /* Connection: close */
    uint64_t length;                  /* Content-Length */
    char cookie[ANSWER_COOKIE_BYTES]; /* "watari_id=…" of Set-Cookie, or "" */
    /* Private. */
    bool in_body;
    uint64_t body_left;
    uint32_t head_len;
    char head[ANSWER_HEAD_BYTES];
};

/* Starts over: the next byte fed is the first of an answer. */
void answer_init(struct answer *answer);

/* Takes the next bytes of the connection. After DONE the next feed starts a new answer by itself.
 */
enum answer_result answer_feed(struct answer *answer, const char *data, size_t len);

#endif
