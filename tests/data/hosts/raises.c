// A library that crashes by its own fault, in a call.
#include <signal.h>

int NAME(void) {
    return raise(SIGSEGV);
}
