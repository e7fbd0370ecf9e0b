/* A library that others need, and that calls a function of theirs where they have one. */
#include <stdint.h>

__attribute__((weak)) int64_t fixture_hook(int64_t value);

static int64_t last;

__attribute__((visibility("default"))) void helper_bound_back(void) {
    if (fixture_hook) last = fixture_hook(last + 1);
}
