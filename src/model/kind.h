/* The registry of kinds and the schema that all generic work stands on (check, fill, view, explain,
 * …). Everything here is constant and lives for ever. */
#ifndef MODEL_KIND_H
#define MODEL_KIND_H

#include "base/err.h"
#include "base/str.h"
#include "model/kinds.h"

enum model_type {
    MODEL_STR,
    MODEL_ENUM,
    MODEL_BOOL,
    MODEL_INT,
    MODEL_NUM,
    MODEL_DUR,  /* "1m30s" */
    MODEL_TIME, /* RFC 3339 */
    MODEL_MARK, /* {} or true */
    MODEL_OBJ,
    MODEL_LIST, /* of objects */
    MODEL_STRS,
    MODEL_ENUMS,
    MODEL_INTS,
    MODEL_MAP, /* of strings */
    MODEL_ANY,
    MODEL_NOT_YET, /* known, refused in this release */
};

enum model_flag {
    MODEL_REQUIRED = 1,
    MODEL_IMMUTABLE = 2,
    MODEL_SECRET = 4,
    MODEL_SOON = 8,   /* accepted and checked, not in force: a warning */
    MODEL_LATER = 16, /* refused: "is not supported yet" */
};

/* Named forms of strings; model/pattern.h checks them. */
enum model_pattern {
    MODEL_TEXT, /* any UTF-8 without NUL */
    MODEL_DNS_LABEL,
    MODEL_DNS_SUBDOMAIN,
    MODEL_HOSTNAME,
    MODEL_WILDCARD_HOSTNAME,
    MODEL_GROUP,
    MODEL_KIND_NAME,
    MODEL_QUALIFIED_NAME,
    MODEL_HEADER_NAME,
    MODEL_HEADER_VALUE,
    MODEL_MATCH_PATH,
    MODEL_TARGET_PATH,
    MODEL_REWRITE_PATH,
    MODEL_IP,
    MODEL_IP_PORT,
    MODEL_FILE_PATH,
};

struct model_enum_value {
    const char *text, *help;
    unsigned flags;
};

struct model_enum {
    const struct model_enum_value *values; /* values[0] is constant 1 of the C enum */
    unsigned n;
};

struct model_object;

struct model_field {
    const char *name; /* in the document */
    enum model_type type;
    unsigned flags;
    enum model_pattern pattern;
    uint32_t offset, has_offset, n_offset; /* in the view struct; n_offset of lists */
    const char *def;  /* NULL; plain for STR, ENUM, DUR, TIME; else JSON text */
    double min, max;  /* value (ms for DUR), length in bytes, or count */
    double low, high; /* values of INTS items */
    const struct model_object *(*object)(void);
    const struct model_enum *enumeration;
    const char *keys; /* LIST: what makes an item unique, "a,b"; "" nothing */
    const char *help;
};

struct model_object {
    const char *name; /* of the C struct, without model_ */
    const char *help;
    const char *one_of; /* "a,b": exactly one; "?a,b": at most one; "": no rule */
    const struct model_field *fields;
    unsigned n_fields;
    size_t view_size;
};

struct model_rule; /* model/rule.h */

struct model_kind {
    const char *name;        /* HTTPRoute */
    const char *group;       /* "" for core */
    const char *version;     /* v1 */
    const char *api_version; /* gateway.networking.k8s.io/v1 */
    const char *plural;      /* httproutes */
    const char *short_names; /* "hr,route" */
    bool namespaced;
    const struct model_object *(*object)(void);
    void (*rule)(struct model_rule *r, const json_t *doc); /* across fields; may be NULL */
    const char *help;
};

extern const struct model_kind model_kinds[];
extern const unsigned model_kinds_len;

/* By kind, plural, singular or short name, in any case, also "plural.group"; NULL if there is none.
 */
const struct model_kind *model_kind_find(struct wt_str name);

/* By exact kind and apiVersion; either may be {NULL, 0} for "any". */
const struct model_kind *model_kind_exact(struct wt_str api_version, struct wt_str kind);

/* By group, version and plural, as in a URL path. */
const struct model_kind *model_kind_resource(struct wt_str group, struct wt_str version,
                                             struct wt_str plural);

/* The kind of a document, or NULL. */
const struct model_kind *model_kind_of(const json_t *doc);

/* The nearest kind to a misspelt name, or NULL. */
const struct model_kind *model_kind_near(struct wt_str name);

/* NULL if the object has no such field. */
const struct model_field *model_field_find(const struct model_object *object, struct wt_str name);

/* Metadata of a document; "" where absent, the namespace "default" (cluster-wide kinds: "").
 * Borrowed. */
const char *model_name(const json_t *doc);
const char *model_namespace(const json_t *doc);

/* "KIND/namespace/name" ("KIND//name" for cluster-wide kinds): the key of stores and snapshots. */
char *model_key(const json_t *doc, char *out, size_t size);
#define MODEL_KEY_MAX 400

/* "str", "[]object", … for people. */
const char *model_type_text(const struct model_field *field);

/* The text of an enum constant, "" for 0 or out of range:
 * model_enum_text(&model_enum_migration_phase, MODEL_PHASE_PAUSED) is "Paused". */
const char *model_enum_text(const struct model_enum *e, int value);
int model_enum_value(const struct model_enum *e, struct wt_str text); /* 0: none of them */

#define BEGIN(object, one_of, help) const struct model_object *model_##object##_schema(void);
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
#define KIND(object, ...) extern const struct model_kind *const model_kind_##object;
#define ENUM_BEGIN(name, prefix) extern const struct model_enum model_enum_##name;
#define VALUE(...)
#define ENUM_END(name)
#include "model/kinds/all.def"
#include "model/kinds/undef.h"

#endif
