#include "http/internal.h"

static const struct {
    struct wt_str name;
    bool safe, idempotent;
} methods[HTTP_METHOD_COUNT] = {
    [HTTP_METHOD_OTHER] = {WT_STR_INIT(""), false, false},
    [HTTP_METHOD_GET] = {WT_STR_INIT("GET"), true, true},
    [HTTP_METHOD_HEAD] = {WT_STR_INIT("HEAD"), true, true},
    [HTTP_METHOD_POST] = {WT_STR_INIT("POST"), false, false},
    [HTTP_METHOD_PUT] = {WT_STR_INIT("PUT"), false, true},
    [HTTP_METHOD_DELETE] = {WT_STR_INIT("DELETE"), false, true},
    [HTTP_METHOD_CONNECT] = {WT_STR_INIT("CONNECT"), false, false},
    [HTTP_METHOD_OPTIONS] = {WT_STR_INIT("OPTIONS"), true, true},
    [HTTP_METHOD_TRACE] = {WT_STR_INIT("TRACE"), true, true},
    [HTTP_METHOD_PATCH] = {WT_STR_INIT("PATCH"), false, false},
};

enum http_method http_method_lookup(struct wt_str text)
{
    for (unsigned m = HTTP_METHOD_GET; m < HTTP_METHOD_COUNT; m++)
        if (wt_str_eq(methods[m].name, text))
            return (enum http_method)m;
    return HTTP_METHOD_OTHER;
}

bool http_method_safe(enum http_method m)
{
    return methods[(unsigned)m < HTTP_METHOD_COUNT ? m : 0].safe;
}

bool http_method_idempotent(enum http_method m)
{
    return methods[(unsigned)m < HTTP_METHOD_COUNT ? m : 0].idempotent;
}

static const struct {
    uint16_t status;
    const char *text;
} statuses[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_status_text(unsigned status)
{
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "";
}
