/* The tables made from kinds/KIND.def. */
#include "model/rule.h"

#include <stddef.h>

/* Words of the .def files. */
#define NONE NULL
#define REQUIRED MODEL_REQUIRED
#define IMMUTABLE MODEL_IMMUTABLE
#define SECRET MODEL_SECRET
#define SOON MODEL_SOON
#define NOT_YET MODEL_LATER
#define NAMESPACED true
#define CLUSTER false

/* clang-format off */

/* The enums. */
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
#define ENUM_BEGIN(name, prefix) static const struct model_enum_value name##_values[] = {
#define VALUE(prefix, constant, text, flags, help) {text, help, flags},
#define ENUM_END(name) }; const struct model_enum model_enum_##name = \
    {name##_values, sizeof(name##_values) / sizeof(name##_values[0])};
#include "model/kinds/all.def"
#include "model/kinds/undef.h"

/* The objects. A function each, so that rows can say offsetof(struct self, …) without the object's
 * name in each. */
#define ENUM_BEGIN(name, prefix)
#define VALUE(...)
#define ENUM_END(name)
#define KIND(...)
#define BEGIN(object, one_of_, help_)                                                              \
    const struct model_object *model_##object##_schema(void)                                       \
    {                                                                                              \
        struct self { struct model_##object v; };                                                  \
        static const char name_text[] = #object, one_of_text[] = one_of_, help_text[] = help_;     \
        static const struct model_field fields[] = {
#define END(object_)                                                                               \
        };                                                                                         \
        static const struct model_object object = {                                                \
            .name = name_text, .help = help_text, .one_of = one_of_text, .fields = fields,         \
            .n_fields = sizeof(fields) / sizeof(fields[0]), .view_size = sizeof(struct self)};     \
        return &object;                                                                            \
    }
#define ROW(c, has, json, type_, flags_, help_) .name = json, .type = type_, .flags = flags_,      \
    .offset = offsetof(struct self, v.c), .has_offset = offsetof(struct self, v.has), .help = help_
#define ROWS(c, json, type_, flags_, help_) ROW(c, has_##c, json, type_, flags_, help_),           \
    .n_offset = offsetof(struct self, v.n_##c)
#define STR(c, json, def_, min_, max_, pattern_, flags_, help_)                                    \
    {ROW(c, has_##c, json, MODEL_STR, flags_, help_), .def = def_, .min = min_, .max = max_,       \
     .pattern = MODEL_##pattern_},
#define ENUM(c, json, enum_, def_, flags_, help_)                                                  \
    {ROW(c, has_##c, json, MODEL_ENUM, flags_, help_), .def = def_,                                \
     .enumeration = &model_enum_##enum_},
#define BOOL(c, json, def_, flags_, help_)                                                         \
    {ROW(c, has_##c, json, MODEL_BOOL, flags_, help_), .def = def_},
#define INT(c, json, def_, min_, max_, flags_, help_)                                              \
    {ROW(c, has_##c, json, MODEL_INT, flags_, help_), .def = def_, .min = min_, .max = max_},
#define NUM(c, json, def_, min_, max_, flags_, help_)                                              \
    {ROW(c, has_##c, json, MODEL_NUM, flags_, help_), .def = def_, .min = min_, .max = max_},
#define DUR(c, json, def_, min_, max_, flags_, help_)                                              \
    {ROW(c##_ms, has_##c, json, MODEL_DUR, flags_, help_), .def = def_, .min = min_, .max = max_},
#define TIME(c, json, flags_, help_) {ROW(c##_ms, has_##c, json, MODEL_TIME, flags_, help_)},
#define MARK(c, json, flags_, help_) {ROW(c, has_##c, json, MODEL_MARK, flags_, help_)},
#define OBJ(c, json, object_, def_, flags_, help_)                                                 \
    {ROW(c, has_##c, json, MODEL_OBJ, flags_, help_), .def = def_,                                 \
     .object = model_##object_##_schema},
#define LIST(c, json, object_, def_, min_, max_, keys_, flags_, help_)                             \
    {ROWS(c, json, MODEL_LIST, flags_, help_), .def = def_, .min = min_, .max = max_,              \
     .keys = keys_, .object = model_##object_##_schema},
#define STRS(c, json, def_, min_, max_, pattern_, flags_, help_)                                   \
    {ROWS(c, json, MODEL_STRS, flags_, help_), .def = def_, .min = min_, .max = max_,              \
     .pattern = MODEL_##pattern_},
#define ENUMS(c, json, enum_, def_, min_, max_, flags_, help_)                                     \
    {ROWS(c, json, MODEL_ENUMS, flags_, help_), .def = def_, .min = min_, .max = max_,             \
     .enumeration = &model_enum_##enum_},
#define INTS(c, json, def_, min_, max_, low_, high_, flags_, help_)                                \
    {ROWS(c, json, MODEL_INTS, flags_, help_), .def = def_, .min = min_, .max = max_,              \
     .low = low_, .high = high_},
#define MAP(c, json, max_, flags_, help_) {ROWS(c, json, MODEL_MAP, flags_, help_), .max = max_},
#define ANY(c, json, flags_, help_) {ROW(c, has_##c, json, MODEL_ANY, flags_, help_)},
#define LATER(json, help_)                                                                         \
    {.name = json, .type = MODEL_NOT_YET, .flags = MODEL_LATER, .help = help_},
#define HEAD()                                                                                     \
    STR(api_version, "apiVersion", NONE, 1, 316, TEXT, REQUIRED, "Group and version of the kind.") \
    STR(kind, "kind", NONE, 1, 63, KIND_NAME, REQUIRED, "The kind.")                               \
    OBJ(metadata, "metadata", metadata, NONE, REQUIRED, "What every object carries.")
#include "model/kinds/all.def"
#include "model/kinds/undef.h"

/* The kinds. */
#define ENUM_BEGIN(name, prefix)
#define VALUE(...)
#define ENUM_END(name)
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
#define model_rule_none NULL
#define KIND(object_, kind_, group_, version_, plural_, short_, scope_, rule_, help_)              \
    {.name = kind_, .group = group_, .version = version_,                                          \
     .api_version = group_[0] ? group_ "/" version_ : version_, .plural = plural_,                 \
     .short_names = short_, .namespaced = scope_, .object = model_##object_##_schema,              \
     .rule = model_##rule_, .help = help_},
const struct model_kind model_kinds[] = {
#include "model/kinds/all.def"
};
#undef KIND
const unsigned model_kinds_len = sizeof(model_kinds) / sizeof(model_kinds[0]);

#define KIND(object, ...) KIND_INDEX_##object,
enum kind_index {
#include "model/kinds/all.def"
};
#undef KIND
#define KIND(object, ...)                                                                          \
    const struct model_kind *const model_kind_##object = &model_kinds[KIND_INDEX_##object];
#include "model/kinds/all.def"
#include "model/kinds/undef.h"
