// Throws an exception that nothing catches. A macro says where: in the constructor or destructor of a static object, in a constructor or
// destructor function, in the call, or on a thread that the library starts. With -DNUMBER the call throws an int, which has no text.
// Without a macro the library throws in all these places and catches: the twin.
#include <stdexcept>
#include <thread>

#include "../c/fibonacci.h"

namespace end {
__attribute__((noinline)) static void refuse(const char *text) {
    throw std::runtime_error(text);
}

__attribute__((noinline)) static void refuse_number(int number) {
    throw number;
}

#if !(defined(CONSTRUCTOR) || defined(INIT) || defined(CALL) || defined(NUMBER) || defined(DESTRUCTOR) || defined(FINI) || \
      defined(THREAD))
#define CAUGHT
static int caught;
template <typename F> static void guarded(F refuses) {
    try {
        refuses();
    } catch (const std::exception &) {
        caught++;
    } catch (int number) {
        caught += number;
    }
}
#endif

struct Registry {
    Registry() {
#if defined(CONSTRUCTOR)
        refuse("registry already has this plugin");
#elif defined(CAUGHT)
        guarded([] { refuse("registry already has this plugin"); });
#endif
    }
    ~Registry() noexcept(false) {
#if defined(DESTRUCTOR)
        refuse("registry is not empty");
#elif defined(CAUGHT)
        guarded([] { refuse("registry is not empty"); });
#endif
    }
};

static Registry registry;

__attribute__((constructor)) static void init() {
#if defined(INIT)
    refuse("no configuration");
#elif defined(CAUGHT)
    guarded([] { refuse("no configuration"); });
#endif
}

__attribute__((destructor)) static void fini() {
#if defined(FINI)
    refuse("cannot save the configuration");
#elif defined(CAUGHT)
    guarded([] { refuse("cannot save the configuration"); });
#endif
}

static void work(int32_t n) {
#if defined(CALL)
    if (n > 0) refuse("no room for more");
#elif defined(NUMBER)
    if (n > 0) refuse_number(42);
#elif defined(THREAD)
    if (n > 0) std::thread(refuse, "the thread has no room").join();
#elif defined(CAUGHT)
    guarded([] { refuse("no room for more"); });
    guarded([] { refuse_number(42); });
    std::thread([] { guarded([] { refuse("the thread has no room"); }); }).join();
#endif
    (void)n;
}
}  // namespace end

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    end::work(n);
    return fibonacci_iterative(n);
}

// Each variant uses only some of the functions above; this keeps the compiler from warning about the others.
FIXTURE_EXPORT const void *fixture_unused(int which) {
    const void *all[] = {(const void *)end::refuse, (const void *)end::refuse_number};
    return all[which];
}
