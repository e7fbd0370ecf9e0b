/* Offers a function that the library it needs calls: the loader binds that library to this one, as libstdc++ is bound
 * to an operator delete that a program or a library defines. What stays decides what goes. */
#include "fibonacci.h"

void helper_bound_back(void);

FIXTURE_EXPORT int64_t fixture_hook(int64_t value) {
    return value;
}

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    helper_bound_back();
    return fibonacci_iterative(n);
}
