/* The process log: one line an event on standard error, "time level what". Only owners of a flow
 * log; everything below returns an error. Not for access logs. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum wt_log_level { WT_LOG_ERROR, WT_LOG_WARN, WT_LOG_INFO, WT_LOG_DEBUG };

void wt_log_setup(const char *program, enum wt_log_level most); /* once, before threads */
void wt_log_set_level(enum wt_log_level most);                  /* at any time */
enum wt_log_level wt_log_get_level(void);
void wt_log(enum wt_log_level level, const char *fmt, ...) WT_PRINTF(2, 3);

#endif
