/* clang-format off */
/* The kinds as C structs: read-only views of documents, made by model_view() (model/view.h).
 *
 * All comes from kinds/KIND.def. For an object http_path_match it is
 *
 *     struct model_http_path_match {
 *         enum model_http_path_match_type type;  ENUM; 0 (…_UNSET): neither value nor default
 *         bool has_type;                         whether the document has it
 *         struct wt_str value;                   STR; {NULL, 0} where absent; terminated
 *         bool has_value;
 *     };
 *
 * BOOL is a bool, INT an int64_t, NUM a double, DUR x and TIME x an int64_t x_ms (wall time for
 * TIME), MARK a bool, OBJ a pointer that is NULL where absent, a list x an array x with n_x items,
 * ANY the json_t. has_x (has_x without _ms) tells whether the document has the field, and not as
 * null. Absent scalars hold their default; absent objects and lists are filled in by model_fill()
 * only.
 */
/* clang-format on */
#ifndef MODEL_KINDS_H
#define MODEL_KINDS_H

#include "base/str.h"

#include <jansson.h>

struct model_pair {
    struct wt_str key, value;
};

/* First pass: the enums. 0 is "not set". */
#define BEGIN(object, one_of, help)
#define END(object)
#define HEAD()
#define STR(...)
#define ENUM(...)
#define BOOL(...)
#define INT(...)
#define NUM(...)
#define DUR(...)
#define TIME(...)
#define MARK(...)
#define OBJ(...)
#define LIST(...)
#define STRS(...)
#define ENUMS(...)
#define INTS(...)
#define MAP(...)
#define ANY(...)
#define LATER(...)
#define KIND(...)
#define ENUM_BEGIN(name, prefix)                                                                   \
    enum model_##name                                                                              \
    {                                                                                              \
        MODEL_##prefix##_UNSET,
#define VALUE(prefix, constant, text, flags, help) MODEL_##prefix##_##constant,
#define ENUM_END(name)                                                                             \
    }                                                                                              \
    ;
#include "model/kinds/all.def"
#include "model/kinds/undef.h"

/* Second pass: the structs. */
#define ENUM_BEGIN(name, prefix)
#define VALUE(...)
#define ENUM_END(name)
#define KIND(...)
#define LATER(...)
#define BEGIN(object, one_of, help) struct model_##object {
#define END(object)                                                                                \
    }                                                                                              \
    ;
#define HEAD()                                                                                     \
    struct wt_str api_version, kind;                                                               \
    bool has_api_version, has_kind, has_metadata;                                                  \
    const struct model_metadata *metadata;
#define STR(c, ...)                                                                                \
    struct wt_str c;                                                                               \
    bool has_##c;
#define ENUM(c, json, name, ...)                                                                   \
    enum model_##name c;                                                                           \
    bool has_##c;
#define BOOL(c, ...) bool c, has_##c;
#define INT(c, ...)                                                                                \
    int64_t c;                                                                                     \
    bool has_##c;
#define NUM(c, ...)                                                                                \
    double c;                                                                                      \
    bool has_##c;
#define DUR(c, ...)                                                                                \
    int64_t c##_ms;                                                                                \
    bool has_##c;
#define TIME(c, ...)                                                                               \
    int64_t c##_ms;                                                                                \
    bool has_##c;
#define MARK(c, ...) bool c, has_##c;
#define OBJ(c, json, name, ...)                                                                    \
    const struct model_##name *c;                                                                  \
    bool has_##c;
#define LIST(c, json, name, ...)                                                                   \
    const struct model_##name *c;                                                                  \
    uint32_t n_##c;                                                                                \
    bool has_##c;
#define STRS(c, ...)                                                                               \
    const struct wt_str *c;                                                                        \
    uint32_t n_##c;                                                                                \
    bool has_##c;
#define ENUMS(c, json, name, ...)                                                                  \
    const enum model_##name *c;                                                                    \
    uint32_t n_##c;                                                                                \
    bool has_##c;
#define INTS(c, ...)                                                                               \
    const int64_t *c;                                                                              \
    uint32_t n_##c;                                                                                \
    bool has_##c;
#define MAP(c, ...)                                                                                \
    const struct model_pair *c;                                                                    \
    uint32_t n_##c;                                                                                \
    bool has_##c;
#define ANY(c, ...)                                                                                \
    json_t *c; /* borrowed from the document */                                                    \
    bool has_##c;
#include "model/kinds/all.def"
#include "model/kinds/undef.h"

#endif
