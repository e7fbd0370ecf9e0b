/* Has libgomp start threads, which it keeps for later: where libgomp goes with the library, they run code that is gone. */
#include "fibonacci.h"

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    int64_t sum = 0;
#pragma omp parallel for num_threads(2) reduction(+ : sum)
    for (int32_t i = 0; i < n; i++) sum += i;
    return sum - sum + fibonacci_iterative(n);
}
