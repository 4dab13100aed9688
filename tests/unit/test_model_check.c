#include "model_help.h"

#define REQUEST(changes)                                                                           \
    ROUTE "  rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {" changes    \
          "}}]}]\n"
#define RESPONSE(changes)                                                                          \
    ROUTE "  rules: [{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {" changes  \
          "}}]}]\n"
#define MODIFIER(side, at)                                                                         \
    "x.yaml: line 5: spec.rules[0].filters[0]." side "HeaderModifier." at ": "
#define HOST_ONLY                                                                                  \
    "Host can be set in a request, by requestHeaderModifier.set or urlRewrite.hostname, and "      \
    "nothing else"
#define NO_HOST                                                                                    \
    " is no value for Host; set a host name (lower case, no address), with :PORT or without, "     \
    "here or by urlRewrite.hostname"

/* Documents with one mistake each, and the sentence that tells it. NULL: right. */
static const struct {
    const char *text, *sentence;
} cases[] = {
    /* Kinds and metadata. */
    {"[1]", "x.yaml: line 1: expected an object with apiVersion, kind and metadata"},
    {"a: 1", "x.yaml: line 1: kind: is missing, or not a string"},
    {"kind: Migraton",
     "x.yaml: line 1: kind: \"Migraton\" is unknown; did you mean \"Migration\"?"},
    {"kind: httproute",
     "x.yaml: line 1: kind: \"httproute\" is unknown; did you mean \"HTTPRoute\"?"},
    {"kind: Frobnicator", "x.yaml: line 1: kind: \"Frobnicator\" is unknown"},
    {"\nkind: GRPCRoute", "x.yaml: line 2: kind: GRPCRoute is not supported yet"},
    {"kind: Backend",
     "x.yaml: line 1: apiVersion: is missing; Backend has \"watari.dev/v1alpha1\""},
    {"apiVersion: v1\nkind: Backend",
     "x.yaml: line 1: apiVersion: \"v1\" is wrong for Backend; use \"watari.dev/v1alpha1\""},
    {"apiVersion: watari.dev/v1alpha1\nkind: Backend\nspec: {endpoints: [{address: 127.0.0.1, "
     "port: 1}]}",
     "x.yaml: line 1: metadata: is missing"},
    {"apiVersion: watari.dev/v1alpha1\nkind: Backend\nmetadata: {name: Old_1}\n"
     "spec: {endpoints: [{address: 127.0.0.1, port: 1}]}",
     "x.yaml: line 3: metadata.name: \"Old_1\" is not a name (lower case letters, digits, inner "
     "'-' "
     "and '.')"},
    {"apiVersion: watari.dev/v1alpha1\nkind: Backend\nmetadata: {name: a, labels: {x: 1}}\n"
     "spec: {endpoints: [{address: 127.0.0.1, port: 1}]}",
     "x.yaml: line 3: metadata.labels[x]: expected a string, not the number 1; put it in quotes"},
    {"apiVersion: watari.dev/v1alpha1\nkind: Backend\nmetadata: {name: a, creationTimestamp: "
     "null}\n"
     "spec: {endpoints: [{address: 127.0.0.1, port: 1}]}",
     NULL},
    /* Backend. */
    {BACKEND "  endpoints: [{address: 10.0.0.1, port: 80}]\n", NULL},
    {BACKEND "  endpoints: []\n", "x.yaml: line 5: spec.endpoints: has 0 items; at least 1"},
    {BACKEND "  endpoints: {}\n",
     "x.yaml: line 5: spec.endpoints: expected a list of objects, not an object"},
    {BACKEND "  {}\n", "x.yaml: line 4: spec: needs exactly one of endpoints,dns,file"},
    {BACKEND "  dns: {hostname: a.b, port: 1}\n  file: {path: /a}\n",
     "x.yaml: line 4: spec: has dns and file; needs exactly one of endpoints,dns,file"},
    {BACKEND "  endpoints:\n  - {address: 10.0.0.1, port: 80}\n  - {address: 10.0.0.1, port: 80}\n",
     "x.yaml: line 7: spec.endpoints[1]: \"10.0.0.1 80\" is there twice (address,port)"},
    {BACKEND "  endpoints:\n  - {address: 10.0.0.1, port: 80}\n  - {address: 10.0.0.1, port: 81}\n",
     NULL},
    {BACKEND "  endpoints: [{address: old.example, port: 80}]\n",
     "x.yaml: line 5: spec.endpoints[0].address: \"old.example\" is not an IPv4 or IPv6 address"},
    {BACKEND "  endpoints: [{address: 127.0.0.1, port: 80.5}]\n",
     "x.yaml: line 5: spec.endpoints[0].port: expected a whole number, not the number 80.5"},
    {BACKEND "  dns: {hostname: a.b, port: 1, refresh: 10}\n",
     "x.yaml: line 5: spec.dns.refresh: expected a duration such as 1m30s, not the number 10"},
    {BACKEND "  dns: {hostname: a.b, port: 1, refresh: 1ms}\n",
     "x.yaml: line 5: spec.dns.refresh: 1ms is below 100ms"},
    {BACKEND "  dns: {hostname: a.b, port: 1, resolvers: ['[::1]:53', '1.1.1.1:53']}\n", NULL},
    {BACKEND "  dns: {hostname: a.b, port: 1, resolvers: ['::1:53']}\n",
     "x.yaml: line 5: spec.dns.resolvers[0]: \"::1:53\" is not ADDRESS:PORT ([ADDRESS]:PORT for "
     "IPv6)"},
    {BACKEND "  service: {name: x}\n", "x.yaml: line 5: spec.service: is not supported yet"},
    /* Migration. */
    {MIGRATION "  steps: [{setWeight: 1}]\n", NULL},
    {MIGRATION "  steps: [{setWeight: 300}]\n",
     "x.yaml: line 9: spec.steps[0].setWeight: 300 is over 100"},
    {MIGRATION "  steps: [{setWeight: 0.001}]\n",
     "x.yaml: line 9: spec.steps[0].setWeight: 0.001 is below 0.002"},
    {MIGRATION "  steps: [{setWeight: '5'}]\n",
     "x.yaml: line 9: spec.steps[0].setWeight: expected a number, not \"5\""},
    {MIGRATION "  stps: [{setWeight: 1}]\n", "x.yaml: line 4: spec.steps: is missing"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  gaurd: {}\n",
     "x.yaml: line 10: spec.gaurd: unknown field; did you mean \"guard\"?"},
    {MIGRATION "  steps: [{setweight: 1}]\n",
     "x.yaml: line 9: spec.steps[0].setweight: unknown field; did you mean \"setWeight\"?"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  zzz: {}\n",
     "x.yaml: line 10: spec.zzz: unknown field"},
    {MIGRATION "  steps: [{setWeight: 1, pause: {}}]\n",
     "x.yaml: line 9: spec.steps[0]: has setWeight and pause; needs exactly one of "
     "setWeight,pause,retire,finish,setMirror"},
    {MIGRATION "  steps: [{setWeight: 10}, {setWeight: 5}]\n",
     "x.yaml: line 9: spec.steps[1].setWeight: 5 is less than 10 of an earlier step; weights must "
     "not fall"},
    {MIGRATION "  steps: [{setWeight: 50}, {retire: {}}]\n",
     "x.yaml: line 9: spec.steps[1]: retire needs setWeight: 100 before it"},
    {MIGRATION "  steps: [{setWeight: 100}, {retire: {}}, {finish: {}}]\n", NULL},
    {MIGRATION "  steps: [{setWeight: 100}, {finish: {}}, {pause: {}}]\n",
     "x.yaml: line 9: spec.steps[2]: comes after finish, which ends the migration"},
    {MIGRATION "  steps: [{setWeight: 100}, {retire: {}}, {retire: {}}]\n",
     "x.yaml: line 9: spec.steps[2]: retire is there twice"},
    {MIGRATION "  steps: [{pause: {duration: 1.5h}}]\n",
     "x.yaml: line 9: spec.steps[0].pause.duration: \"1.5h\" is not a duration such as 1h, 1m30s "
     "or 500ms"},
    {MIGRATION "  steps: [{finish: false}]\n",
     "x.yaml: line 9: spec.steps[0].finish: expected {} or true, not false"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  userKey: {cookie: a, header: b}\n",
     "x.yaml: line 10: spec.userKey: has cookie and header; needs exactly one of "
     "cookie,header,claim,clientAddress"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  userKey: {clientAddress: {}}\n", NULL},
    {MIGRATION "  steps: [{setWeight: 1}]\n  userKey: {clientAddress: true}\n", NULL},
    {MIGRATION "  steps: [{setWeight: 1}]\n  userKey: {claim: 'https://x.example/id'}\n", NULL},
    {MIGRATION "  steps: [{setWeight: 1}]\n  userKey: {claim: ''}\n",
     "x.yaml: line 10: spec.userKey.claim: must not be empty"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  guard: {alpha: 0}\n",
     "x.yaml: line 10: spec.guard.alpha: 0 is below 1e-06"},
    {MIGRATION "  steps: [{setWeight: 1}]\n  guard: {onTrip: Stop}\n",
     "x.yaml: line 10: spec.guard.onTrip: \"Stop\" is none of Rollback, Pause"},
    {"apiVersion: watari.dev/v1alpha1\nkind: Migration\nmetadata: {name: m}\nspec:\n"
     "  routeRefs: [{kind: HTTPRoute, name: r}]\n  from: {name: a}\n  to: {name: a}\n"
     "  state: Separate\n  steps: [{setWeight: 1}]\n",
     "x.yaml: line 7: spec.to: is the same as from"},
    {"apiVersion: watari.dev/v1alpha1\nkind: Migration\nmetadata: {name: m}\nspec:\n"
     "  routeRefs: [{kind: TCPRoute, name: r}]\n  from: {name: a}\n  to: {name: b}\n"
     "  state: Separate\n  steps: [{setWeight: 1}]\n",
     "x.yaml: line 5: spec.routeRefs[0]: TCPRoute of group gateway.networking.k8s.io is not "
     "supported "
     "yet; use kind HTTPRoute of group gateway.networking.k8s.io"},
    {MIGRATION "  steps: [{setWeight: 1}]\nstatus: {request: {id: a, verb: setWeight}}\n",
     "x.yaml: line 10: status.request: verb setWeight needs weight"},
    /* HTTPRoute. */
    {ROUTE "  {}\n", NULL},
    {ROUTE "  hostnames: ['*.example.com', a.example]\n", NULL},
    {ROUTE "  hostnames: ['*']\n", "x.yaml: line 5: spec.hostnames[0]: \"*\" is not a host name or "
                                   "*.NAME (lower case, no address)"},
    {ROUTE "  hostnames: [10.0.0.1]\n",
     "x.yaml: line 5: spec.hostnames[0]: \"10.0.0.1\" is not a host name or *.NAME (lower case, no "
     "address)"},
    {ROUTE "  rules: [{matches: [{path: {value: foo}}]}]\n",
     "x.yaml: line 5: spec.rules[0].matches[0].path.value: \"foo\" is not a path to match (starts "
     "with "
     "'/', no '//', '/./', '/../', '%2F', '?', '#' or spaces)"},
    {ROUTE "  rules: [{matches: [{path: {value: /a/..}}]}]\n",
     "x.yaml: line 5: spec.rules[0].matches[0].path.value: \"/a/..\" is not a path to match "
     "(starts "
     "with '/', no '//', '/./', '/../', '%2F', '?', '#' or spaces)"},
    {ROUTE "  rules: [{matches: [{path: {type: RegularExpression, value: /}}]}]\n",
     "x.yaml: line 5: spec.rules[0].matches[0].path.type: RegularExpression is not supported yet"},
    {ROUTE "  rules: [{matches: [{headers: [{name: a, value: x}, {name: a, value: y}]}]}]\n",
     "x.yaml: line 5: spec.rules[0].matches[0].headers[1]: \"a\" is there twice (name)"},
    {ROUTE "  rules: [{matches: [{method: get}]}]\n",
     "x.yaml: line 5: spec.rules[0].matches[0].method: \"get\" is none of GET, HEAD, POST, PUT, "
     "DELETE, "
     "CONNECT, OPTIONS, TRACE, PATCH"},
    {ROUTE "  rules: [{retry: {}}]\n", "x.yaml: line 5: spec.rules[0].retry: is not supported yet"},
    {ROUTE "  rules: [{backendRefs: [{name: s, port: 80}]}]\n",
     "x.yaml: line 5: spec.rules[0].backendRefs[0]: Service is not supported yet; use kind Backend "
     "of "
     "group watari.dev"},
    {ROUTE
     "  rules: [{backendRefs: [{group: watari.dev, kind: Backend, name: s, weight: 1000001}]}]\n",
     "x.yaml: line 5: spec.rules[0].backendRefs[0].weight: 1000001 is over 1000000"},
    {ROUTE "  rules: [{filters: [{type: URLRewrite}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0]: type URLRewrite needs urlRewrite"},
    {ROUTE "  rules: [{filters: [{type: URLRewrite, urlRewrite: {hostname: a.b}, requestRedirect: "
           "{}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0]: type URLRewrite excludes requestRedirect"},
    {ROUTE "  rules: [{filters: [{type: RequestMirror}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0].type: RequestMirror is not supported yet"},
    {ROUTE "  rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 305}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0].requestRedirect.statusCode: 305 is none of 301, "
     "302, 303, "
     "307, 308"},
    {ROUTE "  rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}, {type: "
           "URLRewrite, urlRewrite: {hostname: a.b}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters: RequestRedirect and URLRewrite exclude each other"},
    {ROUTE "  rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, "
           "urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0].urlRewrite.path: ReplacePrefixMatch needs a rule "
     "with "
     "exactly one match, of type PathPrefix"},
    {ROUTE "  rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath,\n"
           "    replaceFullPath: '/b?x=1'}}}]}]\n",
     "x.yaml: line 6: spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: \"/b?x=1\" is not "
     "a "
     "path to put in (starts with '/', no '?', '#', '/./', '/../' or what else no path holds but "
     "as %XX)"},
    {ROUTE "  rules: [{timeouts: {request: 1s, backendRequest: 2s}}]\n",
     "x.yaml: line 5: spec.rules[0].timeouts.backendRequest: is longer than request"},
    {ROUTE "  rules: [{timeouts: {request: 0s, backendRequest: 2s}}]\n", NULL},
    {ROUTE
     "  rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: "
     "'a b', value: x}]}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0].requestHeaderModifier.set[0].name: \"a b\" is not a "
     "name "
     "that HTTP allows (letters, digits, '-' and the like)"},
    {ROUTE
     "  rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: "
     "a, value: \"x\\r\\ny: z\"}]}}]}]\n",
     "x.yaml: line 5: spec.rules[0].filters[0].requestHeaderModifier.set[0].value: \"x??y: z\" is "
     "not a "
     "field value (no control characters, no space at its ends)"},
    {REQUEST("set: [{name: Host, value: in.example}]"), NULL},
    {REQUEST("set: [{name: hOST, value: 'in.example:8080'}]"), NULL},
    {REQUEST("set: [{name: Host, value: 10.0.0.1}]"),
     MODIFIER("request", "set[0].name") "\"10.0.0.1\"" NO_HOST},
    {REQUEST("set: [{name: x, value: a}, {name: Host, value: 'a.b:'}]"),
     MODIFIER("request", "set[1].name") "\"a.b:\"" NO_HOST},
    {REQUEST("set: [{name: Host, value: 'a.b:65536'}]"),
     MODIFIER("request", "set[0].name") "\"a.b:65536\"" NO_HOST},
    {REQUEST("set: [{name: Host, value: 'a.b:0'}]"),
     MODIFIER("request", "set[0].name") "\"a.b:0\"" NO_HOST},
    {REQUEST("add: [{name: host, value: a.b}]"), MODIFIER("request", "add[0].name") HOST_ONLY},
    {REQUEST("remove: [x, HOST]"), MODIFIER("request", "remove[1]") HOST_ONLY},
    {RESPONSE("set: [{name: Host, value: a.b}]"), MODIFIER("response", "set[0].name") HOST_ONLY},
    {ROUTE "  rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: "
           "[{name: Host, value: a.b}]}}, {type: URLRewrite, urlRewrite: {hostname: a.b}}]}]\n",
     MODIFIER("request", "set[0].name") "Host is set by urlRewrite.hostname of this rule too"},
    {ROUTE "  parentRefs: [{name: a}, {name: a, kind: Gateway}]\n",
     "x.yaml: line 5: spec.parentRefs[1]: is the same as parentRefs[0]"},
    {ROUTE "  rules: [{name: a}, {name: a}]\n",
     "x.yaml: line 5: spec.rules[1].name: is the same as that of rules[0]"},
    /* Gateway. */
    {GATEWAY "  listeners: [{name: a, port: 80, protocol: HTTP}]\n", NULL},
    {GATEWAY "  listeners: [{name: a, port: 443, protocol: HTTPS}]\n",
     "x.yaml: line 6: spec.listeners[0].protocol: HTTPS is not supported yet"},
    {GATEWAY
     "  listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]\n",
     "x.yaml: line 6: spec.listeners[1]: \"a\" is there twice (name)"},
    {GATEWAY
     "  listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]\n",
     "x.yaml: line 6: spec.listeners[1]: has the port and hostname of listeners[0]"},
    {GATEWAY "  listeners: [{name: a, port: 0, protocol: HTTP}]\n",
     "x.yaml: line 6: spec.listeners[0].port: 0 is below 1"},
    /* BackendTrafficPolicy. */
    {POLICY, NULL},
    {POLICY "  healthCheck: {active: {type: HTTP}}\n",
     "x.yaml: line 6: spec.healthCheck.active: type HTTP needs http"},
    {POLICY "  healthCheck: {active: {type: TCP, http: {path: /}}}\n",
     "x.yaml: line 6: spec.healthCheck.active: type TCP excludes http"},
    {POLICY "  healthCheck: {active: {http: {path: /, expectedStatuses: [99]}}}\n",
     "x.yaml: line 6: spec.healthCheck.active.http.expectedStatuses[0]: 99 is below 100"},
    {POLICY "  retry: {retryOn: {triggers: [connect-failure, foo]}}\n",
     "x.yaml: line 6: spec.retry.retryOn.triggers[1]: \"foo\" is none of 5xx, gateway-error, "
     "reset, "
     "reset-before-request, connect-failure, refused-stream, retriable-4xx, "
     "retriable-status-codes"},
    {POLICY "  retry: {perRetry: {backOff: {baseInterval: 1s}}}\n",
     "x.yaml: line 6: spec.retry.perRetry.backOff: baseInterval is longer than maxInterval"},
    {POLICY "  loadBalancer: {type: ConsistentHash}\n",
     "x.yaml: line 6: spec.loadBalancer.type: ConsistentHash is not supported yet"},
};

static void test_cases(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct model_docs docs = parse(cases[i].text);
        struct model_errors errors = {0};
        int r = model_check(docs.items[0].json, docs.items[0].lines, "x.yaml", &errors);
        const char *wanted = cases[i].sentence ? cases[i].sentence : "right";
        const char *got = r < 0 ? errors.errors[0].text : "right";
        if (strcmp(got, wanted) != 0) {
            print_error("case %zu:\n  got    %s\n  wanted %s\n", i, got, wanted);
            wrong++;
        }
        model_errors_done(&errors);
        model_docs_done(&docs);
    }
    assert_int_equal(wrong, 0);
}

/* What a filter may not touch, either way, however it is written. */
static void test_reserved_fields(void **state)
{
    static const char *const names[] = {
        "Connection", "content-length", "Keep-Alive",        "proxy-connection",
        "TE",         "trailer",        "Transfer-Encoding", "UPGRADE"};
    static const char *const changes[][2] = {
        {"set: [{name: ", ", value: x}]"}, {"add: [{name: ", ", value: x}]"}, {"remove: [", "]"}};
    static const char *const sides[] = {"Request", "Response"};
    for (size_t i = 0; i < N_OF(names) * N_OF(changes) * N_OF(sides); i++) {
        const char *name = names[i % N_OF(names)], *const *change =
                                                       changes[i / N_OF(names) % N_OF(changes)];
        bool response = i / N_OF(names) / N_OF(changes);
        char text[500], wanted[100];
        snprintf(text, sizeof(text),
                 ROUTE
                 "  rules: [{filters: [{type: %sHeaderModifier, %sHeaderModifier: {%s%s%s}}]}]",
                 sides[response], response ? "response" : "request", change[0], name, change[1]);
        snprintf(wanted, sizeof(wanted), "[0]%s: \"%s\" frames messages or belongs",
                 change[1][0] == ']' ? "" : ".name", name);
        struct model_docs docs = parse(text);
        struct model_errors errors = {0};
        assert_int_equal(model_check(docs.items[0].json, NULL, NULL, &errors), WT_EINVAL);
        if (errors.n_errors != 1 || !strstr(errors.errors[0].text, wanted))
            fail_msg("%s: %zu: %s", text, (size_t)errors.n_errors, errors.errors[0].text);
        model_errors_done(&errors);
        model_docs_done(&docs);
    }
}

/* Strictness of a right document: filled in, it is still right, and filling again changes nothing.
 */
static void test_fill_is_right_and_idempotent(void **state)
{
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (cases[i].sentence)
            continue;
        json_t *doc = parse_one(cases[i].text), *again = json_deep_copy(doc);
        struct model_errors errors = {0};
        assert_int_equal(model_check(doc, NULL, NULL, &errors), 0);
        assert_int_equal(model_fill(again), 0);
        assert_true(json_equal(doc, again));
        model_errors_done(&errors);
        json_decref(again);
        json_decref(doc);
    }
}

static void test_many_errors(void **state)
{
    char text[4000] = MIGRATION "  steps:\n", all[8000];
    for (int i = 0; i < 30; i++)
        strcat(text, "  - {setWeight: 101}\n");
    struct model_docs docs = parse(text);
    struct model_errors errors = {0};
    assert_int_equal(model_check(docs.items[0].json, NULL, NULL, &errors), WT_EINVAL);
    assert_int_equal(errors.n_errors, MODEL_ERRORS_MAX);
    assert_int_equal(errors.n_more, 30 - MODEL_ERRORS_MAX);
    assert_string_equal(errors.errors[2].detail, "spec.steps[2].setWeight: 101 is over 100");
    assert_string_equal(errors.errors[2].path, "spec.steps[2].setWeight");
    model_errors_text(&errors, all, sizeof(all));
    assert_non_null(strstr(all, "\nand 10 more"));
    model_errors_text(&errors, all, 10);
    assert_int_equal(strlen(all), 9);
    model_errors_done(&errors);
    model_docs_done(&docs);
}

/* A name cut in the middle of a character still makes a sentence that JSON can carry. */
static void test_cut_characters(void **state)
{
    for (size_t pad = 0; pad < 4; pad++) {
        char text[400] = "kind: \"aaa";
        text[7 + pad] = 0;
        for (int i = 0; i < 60; i++)
            strcat(text, i % 2 ? "€" : "é");
        strcat(text, "\\e\"");
        struct model_docs docs = parse(text);
        struct model_errors errors = {0};
        assert_int_equal(model_check(docs.items[0].json, NULL, NULL, &errors), WT_EINVAL);
        json_t *v = json_string(errors.errors[0].text);
        assert_non_null(v);
        json_decref(v);
        model_errors_done(&errors);
        model_docs_done(&docs);
    }
}

static void test_update(void **state)
{
    json_t *a = parse_one(MIGRATION "  steps: [{setWeight: 1}]\n");
    json_t *b = json_deep_copy(a);
    struct model_errors errors = {0};
    assert_int_equal(model_check_update(a, b, &errors), 0);
    json_object_set_new(json_object_get(b, "spec"), "state", json_string("Separate"));
    assert_int_equal(model_check_update(a, b, &errors), 0);
    json_object_set_new(json_object_get(b, "spec"), "salt", json_string("x"));
    assert_int_equal(model_check_update(a, b, &errors), WT_EINVAL);
    assert_string_equal(errors.errors[0].text, "spec.salt: cannot be changed once it is created");
    model_errors_done(&errors);
    json_decref(a);
    json_decref(b);
}

static void test_set(void **state)
{
    struct model_docs docs =
        parse(BACKEND "  endpoints: [{address: 127.0.0.1, port: 1}]\n---\n" BACKEND
                      "  endpoints: [{address: 127.0.0.1, port: 1}]\n");
    const struct model_doc *set[] = {&docs.items[0], &docs.items[1]};
    struct model_errors errors = {0};
    assert_int_equal(model_check_set(set, 2, &errors), WT_EINVAL);
    assert_string_equal(errors.errors[0].text,
                        "x.yaml: line 9: metadata.name: Backend/default/b is "
                        "there twice, first in x.yaml line 1");
    model_errors_done(&errors);
    model_docs_done(&docs);
    docs = parse(MIGRATION "  steps: [{setWeight: 1}]\n");
    set[0] = &docs.items[0];
    assert_int_equal(model_check_set(set, 1, &errors), 0);
    assert_int_equal(errors.n_warnings, 3);
    assert_string_equal(errors.warnings[0].text,
                        "x.yaml: line 6: spec.from: there is no Backend default/old");
    model_errors_done(&errors);
    model_docs_done(&docs);
    docs =
        parse(MIGRATION "  steps: [{setWeight: 1}]\n---\n" MIGRATION "  steps: [{setWeight: 1}]\n");
    json_object_set_new(json_object_get(docs.items[1].json, "metadata"), "name", json_string("n"));
    set[0] = &docs.items[0];
    set[1] = &docs.items[1];
    assert_int_equal(model_check_set(set, 2, &errors), 0);
    assert_int_equal(errors.n_warnings, 7);
    assert_string_equal(
        errors.warnings[6].text,
        "x.yaml: line 15: spec.routeRefs[0]: Migration m moves the users of HTTPRoute r too");
    model_errors_done(&errors);
    model_docs_done(&docs);
}

#define ONE_GATEWAY(name, class, addresses, listeners)                                             \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                   \
    "kind: Gateway\n"                                                                              \
    "metadata: {name: " name "}\n"                                                                 \
    "spec: {gatewayClassName: " class ", addresses: [" addresses "], listeners: [" listeners       \
                                      "]}\n"
#define LISTENER(name, port, more) "{name: " name ", port: " port ", protocol: HTTP" more "}"

#define ONE_POLICY(name, backend)                                                                  \
    "apiVersion: watari.dev/v1alpha1\n"                                                            \
    "kind: BackendTrafficPolicy\n"                                                                 \
    "metadata: {name: " name "}\n"                                                                 \
    "spec: {targetRefs: [{group: watari.dev, kind: Backend, name: " backend "}]}\n"

/* What two documents want and only one can have. */
static void test_claims(void **state)
{
    static const struct {
        const char *docs;
        size_t n_warnings;
        const char *last; /* of them, or NULL: none of this */
    } rows[] = {
        {ONE_GATEWAY("a", "watari", "", LISTENER("x", "80", "")) "---\n" ONE_GATEWAY(
             "b", "watari", "{value: 0.0.0.0}",
             LISTENER("x", "81", "") ", " LISTENER("y", "80", "")),
         1,
         "x.yaml: line 9: spec.listeners[1]: Gateway default/a has this hostname on 0.0.0.0 port "
         "80 "
         "too; only the older one will be served"},
        {ONE_GATEWAY("a", "watari", "", LISTENER("x", "80", "")) "---\n" ONE_GATEWAY(
             "b", "watari", "", LISTENER("x", "80", ", hostname: a.b")),
         0, NULL},
        {ONE_GATEWAY("a", "watari", "", LISTENER("x", "80", "")) "---\n" ONE_GATEWAY(
             "b", "watari", "{value: 127.0.0.1}, {value: 127.0.0.1}", LISTENER("x", "80", "")),
         0, NULL},
        {ONE_POLICY("a", "old") "---\n" ONE_POLICY("b", "old"), 3,
         "x.yaml: line 9: spec.targetRefs[0]: BackendTrafficPolicy a is for Backend old too; only "
         "the older one will be in force"},
        {ONE_POLICY("a", "old") "---\n" ONE_POLICY("b", "new"), 2, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct model_docs docs = parse(rows[i].docs);
        const struct model_doc *set[] = {&docs.items[0], &docs.items[1]};
        struct model_errors errors = {0};
        assert_int_equal(docs.n, 2);
        assert_int_equal(model_check_set(set, 2, &errors), 0);
        if (errors.n_warnings != rows[i].n_warnings)
            fail_msg("row %zu: %zu warnings", i, (size_t)errors.n_warnings);
        if (rows[i].last)
            assert_string_equal(errors.warnings[errors.n_warnings - 1].text, rows[i].last);
        model_errors_done(&errors);
        model_docs_done(&docs);
    }
}

static json_t *golden(const char *path, const json_t *now)
{
    json_t *wanted = json_load_file(path, 0, NULL);
    if (!wanted) { /* a missing file is made, and the test fails once, so that people look at it */
        json_dump_file(now, path, JSON_INDENT(1));
        fail_msg("%s was missing", path);
    }
    return wanted;
}

/* The sample that users start from: right as it is, with two warnings; what it becomes is a golden
 * file. */
static void test_site(void **state)
{
    static const char *const warnings[] = {
        "spec.healthCheck.passive: accepted, not in force in this release",
        "spec.circuitBreaker: accepted, not in force in this release",
        "spec.steps[0].setMirror: accepted, not in force in this release",
    };
    struct model_docs docs;
    struct wt_err err = {0};
    struct model_errors errors = {0};
    const struct model_doc *set[16];
    json_t *all = json_array();
    if (model_yaml_read(TEST_DATA "/site.yaml", &docs, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(docs.n, 6);
    for (size_t i = 0; i < docs.n; i++) {
        set[i] = &docs.items[i];
        if (model_check(docs.items[i].json, docs.items[i].lines, "site.yaml", &errors) < 0)
            fail_msg("%s", errors.errors[0].text);
    }
    assert_int_equal(model_check_set(set, docs.n, &errors), 0);
    assert_int_equal(errors.n_warnings, N_OF(warnings));
    for (size_t i = 0; i < N_OF(warnings); i++)
        assert_string_equal(errors.warnings[i].detail, warnings[i]);
    for (size_t i = 0; i < docs.n; i++) {
        assert_int_equal(model_fill(docs.items[i].json), 0);
        json_array_append(all, docs.items[i].json);
    }
    json_t *wanted = golden(TEST_DATA "/site.filled.json", all);
    assert_true(json_equal(all, wanted));
    json_decref(wanted);
    json_decref(all);
    model_errors_done(&errors);
    model_docs_done(&docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_reserved_fields),
        cmocka_unit_test(test_fill_is_right_and_idempotent),
        cmocka_unit_test(test_many_errors),
        cmocka_unit_test(test_cut_characters),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
