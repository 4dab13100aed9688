#include "model/pattern.h"

#include <arpa/inet.h>

enum char_class { LOWER = 1, UPPER = 2, DIGIT = 4, TOKEN = 8 };

static unsigned class_of(char c)
{
    if (c >= 'a' && c <= 'z')
        return LOWER | TOKEN;
    if (c >= 'A' && c <= 'Z')
        return UPPER | TOKEN;
    if (c >= '0' && c <= '9')
        return DIGIT | TOKEN;
    return c && strchr("!#$%&'*+-.^_`|~", c) ? TOKEN : 0; /* RFC 9110 §5.6.2 */
}

static bool is_text(struct wt_str s)
{
    return wt_str_find(s, '\0') == s.len;
}

/* RFC 1123 label in lower case, as Kubernetes has it. */
static bool is_label(struct wt_str s)
{
    if (s.len == 0 || s.len > 63)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool dash = s.ptr[i] == '-' && i > 0 && i + 1 < s.len;
        if (!dash && !(class_of(s.ptr[i]) & (LOWER | DIGIT)))
            return false;
    }
    return true;
}

static bool is_subdomain(struct wt_str s)
{
    if (s.len == 0 || s.len > 253)
        return false;
    while (s.ptr) {
        if (!is_label(wt_str_next(&s, '.')))
            return false;
    }
    return true;
}

/* The Gateway API excludes addresses: a last label of digits only makes one (WHATWG URL, "ends in a
 * number"). */
static bool is_hostname(struct wt_str s)
{
    if (!is_subdomain(s))
        return false;
    size_t digits = 0;
    while (digits < s.len && class_of(s.ptr[s.len - 1 - digits]) & DIGIT)
        digits++;
    return digits == 0 || (digits < s.len && s.ptr[s.len - 1 - digits] != '.');
}

static bool is_wildcard_hostname(struct wt_str s)
{
    return is_hostname(wt_str_starts(s, WT_STR("*.")) ? wt_str_sub(s, 2, s.len) : s);
}

static bool is_group(struct wt_str s)
{
    return s.len == 0 || is_subdomain(s);
}

static bool is_kind_name(struct wt_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool dash = s.ptr[i] == '-' && i > 0 && i + 1 < s.len;
        if (!dash && !(class_of(s.ptr[i]) & (i ? LOWER | UPPER | DIGIT : LOWER | UPPER)))
            return false;
    }
    return s.len > 0;
}

/* "prefix.example/Name", the prefix is optional. */
static bool is_qualified_name(struct wt_str s)
{
    size_t slash = wt_str_find(s, '/');
    struct wt_str name = s;
    if (slash < s.len) {
        if (!is_subdomain(wt_str_sub(s, 0, slash)))
            return false;
        name = wt_str_sub(s, slash + 1, s.len);
    }
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        bool inner = i > 0 && i + 1 < name.len && name.ptr[i] && strchr("-_./", name.ptr[i]);
        if (!inner && !(class_of(name.ptr[i]) & (LOWER | UPPER | DIGIT)))
            return false;
    }
    return true;
}

static bool is_token(struct wt_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!(class_of(s.ptr[i]) & TOKEN))
            return false;
    }
    return s.len > 0;
}

/* RFC 9110 §5.5: no control bytes, or a value could end its field and begin another. */
static bool is_field_value(struct wt_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return s.len == 0 || wt_str_trim(s).len == s.len;
}

static bool contains(struct wt_str s, const char *part)
{
    return memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

static bool is_target_path(struct wt_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return s.len == 0 || s.ptr[0] == '/';
}

/* The Gateway API's rules for Exact and PathPrefix: what a normalised request path can never hold
 * is a mistake. */
static bool is_match_path(struct wt_str s)
{
    static const char *const never[] = {"//", "/./", "/../", "%2f", "%2F", "?"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (contains(s, never[i]))
            return false;
    }
    return s.len > 0 && is_target_path(s) && !wt_str_ends(s, WT_STR("/.")) &&
           !wt_str_ends(s, WT_STR("/.."));
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* How many bytes at `i` are one of RFC 3986 §3.3 (a pchar, with its whole escape, or '/'); 0: they
 * are none. NUL is none either: no path may hold it, however written. */
static size_t path_byte(struct wt_str s, size_t i, char *out)
{
    char c = s.ptr[i];
    *out = c;
    if (c == '%' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
        *out = (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2]));
        return *out ? 3 : 0;
    }
    return c && (class_of(c) & (LOWER | UPPER | DIGIT) || strchr("/-._~!$&'()*+,;=:@", c)) ? 1 : 0;
}

/* What a filter puts into a request's path goes out as it is, behind what a normalised path keeps:
 * a '?' would begin a query, a dot segment, escaped or not, would lead elsewhere at the host. */
static bool is_rewrite_path(struct wt_str s)
{
    size_t len = 0, dots = 0; /* of the segment */
    if (s.len && s.ptr[0] != '/')
        return false;
    for (size_t i = 0, n; i < s.len; i += n) {
        char c;
        n = path_byte(s, i, &c);
        bool slash = n == 1 && c == '/';
        if (n == 0 || (slash && dots && dots == len && dots <= 2))
            return false;
        dots = slash ? 0 : dots + (c == '.');
        len = slash ? 0 : len + 1;
    }
    return !dots || dots != len || dots > 2;
}

static bool is_ip(struct wt_str s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    if (s.len >= sizeof(text) || !is_text(s))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_ip_port(struct wt_str s)
{
    size_t colon = s.len;
    while (colon > 0 && s.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    uint64_t port;
    struct wt_str host = wt_str_sub(s, 0, colon - 1);
    if (!wt_str_u64(wt_str_sub(s, colon, s.len), &port) || port < 1 || port > 65535)
        return false;
    bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed)
        host = wt_str_sub(host, 1, host.len - 1);
    return is_ip(host) && bracketed == (wt_str_find(host, ':') < host.len);
}

static bool is_file_path(struct wt_str s)
{
    return s.len > 0 && s.ptr[0] == '/' && is_text(s);
}

static const struct {
    bool (*match)(struct wt_str s);
    const char *text;
} patterns[] = {
    [MODEL_TEXT] = {is_text, "text without NUL"},
    [MODEL_DNS_LABEL] = {is_label, "a name (lower case letters, digits and inner '-', at most 63)"},
    [MODEL_DNS_SUBDOMAIN] = {is_subdomain,
                             "a name (lower case letters, digits, inner '-' and '.')"},
    [MODEL_HOSTNAME] = {is_hostname, "a host name (lower case, no address, no wildcard)"},
    [MODEL_WILDCARD_HOSTNAME] = {is_wildcard_hostname,
                                 "a host name or *.NAME (lower case, no address)"},
    [MODEL_GROUP] = {is_group, "an API group"},
    [MODEL_KIND_NAME] = {is_kind_name, "a kind"},
    [MODEL_QUALIFIED_NAME] = {is_qualified_name, "a qualified name (PREFIX/NAME)"},
    [MODEL_HEADER_NAME] = {is_token, "a name that HTTP allows (letters, digits, '-' and the like)"},
    [MODEL_HEADER_VALUE] = {is_field_value,
                            "a field value (no control characters, no space at its ends)"},
    [MODEL_MATCH_PATH] = {is_match_path,
                          "a path to match (starts with '/', no '//', '/./', '/../', "
                          "'%2F', '?', '#' or spaces)"},
    [MODEL_TARGET_PATH] = {is_target_path, "a path (starts with '/', no '#' or spaces)"},
    [MODEL_REWRITE_PATH] = {is_rewrite_path,
                            "a path to put in (starts with '/', no '?', '#', '/./', '/../' or what "
                            "else no path holds but as %XX)"},
    [MODEL_IP] = {is_ip, "an IPv4 or IPv6 address"},
    [MODEL_IP_PORT] = {is_ip_port, "ADDRESS:PORT ([ADDRESS]:PORT for IPv6)"},
    [MODEL_FILE_PATH] = {is_file_path, "an absolute path"},
};

bool model_pattern_match(enum model_pattern pattern, struct wt_str s)
{
    return patterns[pattern].match(s);
}

const char *model_pattern_text(enum model_pattern pattern)
{
    return patterns[pattern].text;
}
