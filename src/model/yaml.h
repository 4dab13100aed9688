/* YAML (and so JSON) files into documents, with the line of every field.
 *
 * Bounded: 8 MiB, depth 32, 1,000,000 nodes aliases included (CVE-2019-11253: a few lines of
 * aliases can stand for billions of nodes). Duplicate keys, merge keys (<<) and tags other than the
 * core ones are refused. Plain scalars are typed as in YAML 1.2's core schema: `on`, `yes`, `0777`
 * keep their text or decimal value.
 */
#ifndef MODEL_YAML_H
#define MODEL_YAML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

struct model_lines; /* path -> line of one document */

struct model_doc {
    json_t *json;              /* owned by the list */
    struct model_lines *lines; /* owned by the list */
    const char *file;          /* as given to the parser, or NULL; owned by the list */
    unsigned line;             /* where the document starts, from 1 */
};

struct model_docs {
    struct model_doc *items;
    size_t n;
    char *file;
};

/* Empty documents are left out; a List (kind: List, items: […]) stands for its items. The sentence
 * of an error starts with "FILE: line N: " (without "FILE: " if file is NULL). */
int model_yaml_parse(struct wt_str text, const char *file, struct model_docs *out,
                     struct wt_err *err) WT_NODISCARD;
int model_yaml_read(const char *path, struct model_docs *out, struct wt_err *err) WT_NODISCARD;
void model_docs_done(struct model_docs *docs);

/* The line of a path ("spec.steps[2].setWeight"), or of its nearest parent; 0 if lines is NULL. */
unsigned model_line_of(const struct model_lines *lines, const char *path);

/* Writes a document as YAML, keys in their order. */
int model_yaml_write(const json_t *doc, struct wt_buf *out);

#endif
