#include "model/scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool one_of(struct wt_str s, const char *const words[])
{
    for (size_t i = 0; words[i]; i++) {
        if (wt_str_eq(s, wt_str_z(words[i])))
            return true;
    }
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};
static const char *const endless_words[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                            "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                            ".NaN",  ".NAN",  NULL};

static size_t digits(struct wt_str s, size_t i)
{
    size_t n = 0;
    while (i + n < s.len && s.ptr[i + n] >= '0' && s.ptr[i + n] <= '9')
        n++;
    return n;
}

/* 0 no number, 1 a whole number, 2 one with fraction or exponent. */
static int decimal_form(struct wt_str s)
{
    size_t i = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+');
    size_t whole = digits(s, i), fraction = 0;
    bool point = i + whole < s.len && s.ptr[i + whole] == '.';
    i += whole;
    if (point) {
        fraction = digits(s, i + 1);
        i += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (i == s.len)
        return point ? 2 : 1;
    if (s.ptr[i] != 'e' && s.ptr[i] != 'E')
        return 0;
    i++;
    i += i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+');
    size_t exponent = digits(s, i);
    return exponent && i + exponent == s.len ? 2 : 0;
}

/* 0o17 and 0x1f; 0 for neither. */
static int radix_of(struct wt_str s)
{
    if (s.len < 3 || s.ptr[0] != '0' || (s.ptr[1] != 'o' && s.ptr[1] != 'x'))
        return 0;
    const char *allowed = s.ptr[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
    for (size_t i = 2; i < s.len; i++) {
        if (!s.ptr[i] || !strchr(allowed, s.ptr[i]))
            return 0;
    }
    return s.ptr[1] == 'o' ? 8 : 16;
}

static int number(struct wt_str s, int form, int radix, json_t **out, struct wt_err *err)
{
    char text[400];
    if (s.len >= sizeof(text))
        return wt_fail(err, WT_EINVAL, "a number of %zu digits", s.len);
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    errno = 0;
    if (form == 1 || radix) {
        long long v = strtoll(radix ? text + 2 : text, NULL, radix ? radix : 10);
        if (errno == 0) {
            *out = json_integer(v);
            return *out ? 0 : wt_fail(err, WT_ENOMEM, "no memory");
        }
        if (radix)
            return wt_fail(err, WT_EINVAL, "the number %.60s is too large", text);
    }
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return wt_fail(err, WT_EINVAL, "the number %.60s is too large", text);
    *out = json_real(v);
    return *out ? 0 : wt_fail(err, WT_ENOMEM, "no memory");
}

int model_scalar_plain(struct wt_str s, json_t **out, struct wt_err *err)
{
    int form = decimal_form(s), radix = radix_of(s);
    if (form || radix)
        return number(s, form, radix, out, err);
    if (one_of(s, endless_words))
        return wt_fail(err, WT_EINVAL, "%.*s is no number that JSON can hold", WT_ARG(s));
    json_t *v = one_of(s, null_words)    ? json_null()
                : one_of(s, true_words)  ? json_true()
                : one_of(s, false_words) ? json_false()
                                         : json_stringn(s.ptr, s.len);
    if (!v)
        return wt_fail(err, WT_EINVAL, "a string is not UTF-8");
    *out = v;
    return 0;
}

bool model_scalar_is_safe(struct wt_str s)
{
    static const char *const words_of_1_1[] = {"y",   "Y",   "yes", "Yes", "YES", "n",  "N",
                                               "no",  "No",  "NO",  "on",  "On",  "ON", "off",
                                               "Off", "OFF", "=",   "<<",  NULL};
    if (decimal_form(s) || radix_of(s) || one_of(s, null_words) || one_of(s, true_words) ||
        one_of(s, false_words) || one_of(s, endless_words) || one_of(s, words_of_1_1))
        return false;
    /* 1_000, 0777, 12:30:45, 2026-11-21: numbers and times of YAML 1.1 start so */
    return !(s.ptr[0] >= '0' && s.ptr[0] <= '9') && !strchr("+-.", s.ptr[0]);
}
