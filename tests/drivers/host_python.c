/* A bare host of extension modules, which has Python's importlib import them: host_python MODULE.so CYCLES NAME [fresh]. With `-` as NAME it
 * imports nothing. It keeps the library, as Python does. It declares what it uses; link it with libpython3.11.so.1.0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

void Py_InitializeEx(int);
int Py_FinalizeEx(void);
int PyRun_SimpleString(const char *);

static const char *define =
    "import gc, sys, importlib.util, importlib.machinery\n"
    "def cycle(name, path):\n"
    "    loader = importlib.machinery.ExtensionFileLoader(name, path)\n"
    "    spec = importlib.util.spec_from_file_location(name, path, loader=loader)\n"
    "    module = importlib.util.module_from_spec(spec)\n"
    "    sys.modules[name] = module\n"
    "    loader.exec_module(module)\n"
    "    del sys.modules[name], module, spec, loader\n";

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    setenv("PYTHONMALLOC", "malloc", 1);
    long cycles = atol(arguments[2]);
    int fresh = count > 4, empty = strcmp(arguments[3], "-") == 0;
    size_t middle = 0;
    char call[8192];
    snprintf(call, sizeof call, "%sgc.collect()\n", empty ? "" : "cycle(NAME, FILE)\n");
    char names[8192];
    snprintf(names, sizeof names, "NAME, FILE = '%s', '%s'\n", arguments[3], arguments[1]);
    for (long cycle = 0; cycle < cycles; cycle++) {
        if (cycle == cycles / 2)
            middle = heap();
        if (fresh || cycle == 0) {
            Py_InitializeEx(0);
            if (PyRun_SimpleString(define) != 0 || PyRun_SimpleString(names) != 0)
                return 2;
        }
        if (PyRun_SimpleString(call) != 0)
            return 1;
        if (fresh && Py_FinalizeEx() != 0)
            return 1;
    }
    printf("%.2f\n", (double)(long)(heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}
