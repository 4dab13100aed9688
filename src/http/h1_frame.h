/* What the fields of an HTTP/1 head say about its framing, target and connection. Private to
 * src/http. */
#ifndef HTTP_H1_FRAME_H
#define HTTP_H1_FRAME_H

#include "http/h1_parse.h"

enum http_h1_fault http_h1_frame_request(struct http_head *h);
enum http_h1_fault http_h1_frame_response(struct http_head *h, enum http_method method);

#endif
