/* What the tests of src/model share: YAML text to one document. */
#ifndef TESTS_MODEL_HELP_H
#define TESTS_MODEL_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/check.h"
#include "model/yaml.h"

static inline struct model_docs parse(const char *text)
{
    struct model_docs docs;
    struct wt_err err = {0};
    if (model_yaml_parse(wt_str_z(text), "x.yaml", &docs, &err) < 0)
        fail_msg("%s", err.msg);
    return docs;
}

/* The first document, filled; the caller owns it. */
static inline json_t *parse_one(const char *text)
{
    struct model_docs docs = parse(text);
    struct model_errors errors = {0};
    assert_true(docs.n >= 1);
    if (model_check(docs.items[0].json, docs.items[0].lines, "x.yaml", &errors) < 0)
        fail_msg("%s", errors.errors[0].text);
    json_t *doc = json_incref(docs.items[0].json);
    assert_int_equal(model_fill(doc), 0);
    model_errors_done(&errors);
    model_docs_done(&docs);
    return doc;
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

#define MIGRATION                                                                                  \
    "apiVersion: watari.dev/v1alpha1\n"                                                            \
    "kind: Migration\n"                                                                            \
    "metadata: {name: m}\n"                                                                        \
    "spec:\n"                                                                                      \
    "  routeRefs: [{kind: HTTPRoute, name: r}]\n"                                                  \
    "  from: {name: old}\n"                                                                        \
    "  to: {name: new}\n"                                                                          \
    "  state: Shared\n"
#define ROUTE                                                                                      \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                   \
    "kind: HTTPRoute\n"                                                                            \
    "metadata: {name: r}\n"                                                                        \
    "spec:\n"
#define GATEWAY                                                                                    \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                   \
    "kind: Gateway\n"                                                                              \
    "metadata: {name: g}\n"                                                                        \
    "spec:\n"                                                                                      \
    "  gatewayClassName: watari\n"
#define BACKEND                                                                                    \
    "apiVersion: watari.dev/v1alpha1\n"                                                            \
    "kind: Backend\n"                                                                              \
    "metadata: {name: b}\n"                                                                        \
    "spec:\n"
#define POLICY                                                                                     \
    "apiVersion: watari.dev/v1alpha1\n"                                                            \
    "kind: BackendTrafficPolicy\n"                                                                 \
    "metadata: {name: p}\n"                                                                        \
    "spec:\n"                                                                                      \
    "  targetRefs: [{group: watari.dev, kind: Backend, name: b}]\n"

#endif
