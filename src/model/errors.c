#include "model/errors.h"

#include "base/mem.h"

#include <stdio.h>

static struct model_error error_make(const struct model_lines *lines, const char *file,
                                     const char *path, const char *sentence)
{
    char where[256] = "", detail[1024], text[1400];
    unsigned line = model_line_of(lines, path);
    if (file && line)
        snprintf(where, sizeof(where), "%.200s: line %u: ", file, line);
    else if (file)
        snprintf(where, sizeof(where), "%.200s: ", file);
    else if (line)
        snprintf(where, sizeof(where), "line %u: ", line);
    snprintf(detail, sizeof(detail), "%.400s%s%.600s", path, *path ? ": " : "", sentence);
    snprintf(text, sizeof(text), "%s%s", where, detail);
    return (struct model_error){.path = wt_str_dup(wt_str_z(path)),
                                .text = wt_str_dup(wt_str_z(text)),
                                .detail = wt_str_dup(wt_str_z(detail))};
}

static void error_done(struct model_error *e)
{
    wt_free(e->path);
    wt_free(e->text);
    wt_free(e->detail);
}

/* Bytes that belong to the character that starts here, 0 if they are not all there. */
static size_t utf8_len(const char *text)
{
    unsigned char c = (unsigned char)text[0];
    size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

void model_disarm(char *text)
{
    while (*text) {
        size_t n = utf8_len(text);
        if (n == 0 || (unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
        text += n ? n : 1;
    }
}

void model_errors_add(struct model_errors *e, bool warning, const struct model_lines *lines,
                      const char *file, const char *path, const char *fmt, va_list ap)
{
    char sentence[700];
    unsigned *n = warning ? &e->n_warnings : &e->n_errors;
    if (*n >= MODEL_ERRORS_MAX) {
        e->n_more += !warning;
        return;
    }
    vsnprintf(sentence, sizeof(sentence), fmt, ap);
    struct model_error made = error_make(lines, file, path, sentence);
    if (!made.path || !made.text || !made.detail) {
        error_done(&made);
        e->n_more++; /* without memory the check still fails */
        return;
    }
    model_disarm(made.text);
    model_disarm(made.detail);
    (warning ? e->warnings : e->errors)[(*n)++] = made;
}

void model_errors_done(struct model_errors *e)
{
    for (unsigned i = 0; i < e->n_errors; i++)
        error_done(&e->errors[i]);
    for (unsigned i = 0; i < e->n_warnings; i++)
        error_done(&e->warnings[i]);
    *e = (struct model_errors){0};
}

static char *join(const struct model_errors *e, const char *between, char *out, size_t size)
{
    size_t at = 0;
    if (size)
        out[0] = 0;
    for (unsigned i = 0; i < e->n_errors && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? between : "", e->errors[i].text);
    if (e->n_more && at < size)
        snprintf(out + at, size - at, "%s%s%u more", e->n_errors ? between : "",
                 e->n_errors ? "and " : "", e->n_more);
    return out;
}

char *model_errors_text(const struct model_errors *e, char *out, size_t size)
{
    return join(e, "\n", out, size);
}

char *model_errors_sentence(const struct model_errors *e, char *out, size_t size)
{
    return join(e, "; ", out, size);
}
