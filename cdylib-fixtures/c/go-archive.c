/* Code of Go that was linked into a library of another language, which the loader unloads: Go's threads and handlers stay. */
#include "fibonacci.h"

extern int Work(void);

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n) + 0 * Work();
}
