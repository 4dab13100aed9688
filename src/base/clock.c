#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const struct {
    struct wt_str suffix;
    int64_t ms;
} units[] = {
    {WT_STR_INIT("h"), 3600000},
    {WT_STR_INIT("m"), 60000},
    {WT_STR_INIT("s"), 1000},
    {WT_STR_INIT("ms"), 1},
};
enum { N_UNITS = sizeof units / sizeof units[0], MAX_DIGITS = 5 };

static size_t span(struct wt_str s, bool digits)
{
    size_t n = 0;
    while (n < s.len && (s.ptr[n] >= '0' && s.ptr[n] <= '9') == digits)
        n++;
    return n;
}

bool wt_duration_parse(struct wt_str s, int64_t *out_ms)
{
    int64_t total = 0;
    size_t unit = 0;
    if (s.len == 0)
        return false;
    while (s.len) {
        size_t digits = span(s, true);
        uint64_t v;
        if (digits > MAX_DIGITS || !wt_str_u64(wt_str_sub(s, 0, digits), &v))
            return false;
        s = wt_str_sub(s, digits, s.len);
        struct wt_str suffix = wt_str_sub(s, 0, span(s, false));
        while (unit < N_UNITS && !wt_str_eq(units[unit].suffix, suffix))
            unit++;
        if (unit == N_UNITS)
            return false;
        total += (int64_t)v * units[unit++].ms;
        s = wt_str_sub(s, suffix.len, s.len);
    }
    *out_ms = total;
    return true;
}

char *wt_duration_format(int64_t ms, char out[32])
{
    size_t n = 0;
    if (ms <= 0)
        return memcpy(out, "0s", 3);
    for (size_t i = 0; i < N_UNITS; i++) {
        int64_t v = ms / units[i].ms;
        ms %= units[i].ms;
        if (v)
            n += (size_t)snprintf(out + n, 32 - n, "%" PRId64 "%s", v, units[i].suffix.ptr);
    }
    return out;
}

static struct tm utc(int64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

char *wt_time_format(int64_t wall_ms, bool with_ms, char out[32])
{
    int64_t s = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        s--;
        ms += 1000;
    }
    struct tm tm = utc(s);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    if (with_ms)
        n += (size_t)snprintf(out + n, 32 - n, ".%03d", (int)ms);
    snprintf(out + n, 32 - n, "Z");
    return out;
}

static bool two(struct wt_str s, size_t at, int *out)
{
    uint64_t v;
    if (!wt_str_u64(wt_str_sub(s, at, at + 2), &v) || at + 2 > s.len)
        return false;
    *out = (int)v;
    return true;
}

static bool parse_zone(struct wt_str s, int *out_minutes)
{
    int h, m;
    if (s.len == 1 && (s.ptr[0] == 'Z' || s.ptr[0] == 'z')) {
        *out_minutes = 0;
        return true;
    }
    if (s.len != 6 || (s.ptr[0] != '+' && s.ptr[0] != '-') || s.ptr[3] != ':' || !two(s, 1, &h) ||
        !two(s, 4, &m) || h > 23 || m > 59)
        return false;
    *out_minutes = (h * 60 + m) * (s.ptr[0] == '-' ? -1 : 1);
    return true;
}

static bool in_range(const struct tm *tm)
{
    return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31 &&
           tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

bool wt_time_parse(struct wt_str s, int64_t *out_wall_ms)
{
    struct tm tm = {0};
    uint64_t year;
    int zone, ms = 0;
    if (s.len < 20 || !wt_str_u64(wt_str_sub(s, 0, 4), &year) || !two(s, 5, &tm.tm_mon) ||
        !two(s, 8, &tm.tm_mday) || !two(s, 11, &tm.tm_hour) || !two(s, 14, &tm.tm_min) ||
        !two(s, 17, &tm.tm_sec) || s.ptr[4] != '-' || s.ptr[7] != '-' || s.ptr[13] != ':' ||
        s.ptr[16] != ':' || (s.ptr[10] != 'T' && s.ptr[10] != 't'))
        return false;
    size_t at = 19;
    if (s.ptr[at] == '.') {
        int scale = 100;
        for (at++; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++, scale /= 10)
            ms += (s.ptr[at] - '0') * scale;
    }
    tm.tm_year = (int)year - 1900;
    tm.tm_mon--;
    if (!in_range(&tm) || !parse_zone(wt_str_sub(s, at, s.len), &zone))
        return false;
    *out_wall_ms = ((int64_t)timegm(&tm) - zone * 60) * 1000 + ms;
    return true;
}

char *wt_time_format_http(int64_t wall_s, char out[32])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = utc(wall_s);
    /* Not strftime: the names must not follow the locale. */
    snprintf(out, 32, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + tm.tm_wday * 3, tm.tm_mday,
             months + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}
