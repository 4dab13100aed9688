/* Numbers as decimal digits without printf, which costs ten times as much and reads the locale. */
#ifndef PROXY_DIGITS_H
#define PROXY_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PROXY_DIGITS_MAX 20

/* Writes at most PROXY_DIGITS_MAX bytes, no terminator; returns their number. */
static inline size_t proxy_digits(char *out, uint64_t n)
{
    char tmp[PROXY_DIGITS_MAX];
    size_t at = sizeof tmp;
    do {
        tmp[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(out, tmp + at, sizeof tmp - at);
    return sizeof tmp - at;
}

#endif
