/* Errors: a negative code, plus an optional sentence that callers wrap until a user can act on it.
 *
 * A function that can fail returns a code from enum wt_code (or any negative value of it) and takes
 * `struct wt_err *err` last; NULL is allowed and costs nothing. The sentence grows from the inside
 * out: wt_fail() starts it, wt_wrap() puts "where: " in front.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum wt_code {
    WT_OK = 0,
    WT_EINVAL = -1,    /* the input is wrong */
    WT_ENOMEM = -2,    /* no memory */
    WT_ENOENT = -3,    /* not found */
    WT_EEXIST = -4,    /* exists already */
    WT_ECONFLICT = -5, /* somebody else changed it first */
    WT_ETIMEOUT = -6,  /* the deadline passed */
    WT_ECANCELED = -7, /* the fiber was cancelled */
    WT_EOF = -8,       /* the peer ended in an orderly way */
    WT_ERESET = -9,    /* the peer broke the connection */
    WT_EREFUSED = -10, /* nobody listens there, or no route to it */
    WT_EPROTO = -11,   /* the peer broke the protocol */
    WT_ELIMIT = -12,   /* a bound of ours was reached */
    WT_EIO = -13,      /* the operating system failed us */
    WT_EAGAIN = -14,   /* not now */
    WT_EDENIED = -15,  /* not allowed */
};

struct wt_err {
    int code;
    char msg[512]; /* always terminated; cut with "…" where it would not fit */
};

/* A large local that is written before it is read: the compiler need not clear it first
 * (-ftrivial-auto-var-init), which for kilobytes on a hot path costs more than the work. */
#define WT_UNSET __attribute__((uninitialized))
#define WT_NODISCARD __attribute__((warn_unused_result))
#define WT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Sets the sentence and returns `code`, so that `return wt_fail(err, …);` reads well. */
int wt_fail(struct wt_err *err, int code, const char *fmt, ...) WT_PRINTF(3, 4);

/* Puts "<formatted>: " before the sentence that is there and returns `code`. */
int wt_wrap(struct wt_err *err, int code, const char *fmt, ...) WT_PRINTF(3, 4);

/* "not found", "deadline passed", …; never NULL. */
const char *wt_code_text(int code);

/* The wt_code that stands for an errno value (positive). */
int wt_code_from_errno(int errnum);

#endif
