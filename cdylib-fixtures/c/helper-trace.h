/* What the library that does not leak calls of the one that does. */
#ifndef FIXTURE_HELPER_TRACE_H
#define FIXTURE_HELPER_TRACE_H

void helper_trace_work(void);

#endif
