/* A bare host of extension modules, the second witness of the drivers `python` and `python-fresh`: host_python MODULE.so CYCLES [fresh]. Python's
 * importlib imports the module, and keeps the library. It declares what it uses; link it with libpython3.11.so.1.0. */
#include "host.h"

enum { INTERPRETER = 1, FINALIZE = 6 };

typedef struct object Object;
void Py_InitializeEx(int);
int Py_FinalizeEx(void);
int PyRun_SimpleStringFlags(const char *, void *);
Object *PyImport_AddModule(const char *);
Object *PyObject_GetAttrString(Object *, const char *);
Object *PyObject_CallNoArgs(Object *);
long PyLong_AsLong(Object *);
void Py_DecRef(Object *);

/* Steps are those of the driver: 2 is the init function and what it creates, 4 the execution. */
static const char *define =
    "import gc, sys, importlib.util, importlib.machinery, traceback\n"
    "def run(name, path):\n"
    "    step = 2\n"
    "    try:\n"
    "        loader = importlib.machinery.ExtensionFileLoader(name, path)\n"
    "        spec = importlib.util.spec_from_file_location(name, path, loader=loader)\n"
    "        module = importlib.util.module_from_spec(spec)\n"
    "        step = 4\n"
    "        sys.modules[name] = module\n"
    "        loader.exec_module(module)\n"
    "        sys.modules.pop(name, None)\n"
    "        return 0\n"
    "    except BaseException:\n"
    "        traceback.print_exc()\n"
    "        return step\n"
    "def cycle():\n"
    "    step = run(NAME, FILE)\n"
    "    gc.collect()\n"
    "    sys._clear_type_cache()\n"
    "    return step\n";

/* Dictionaries in which keys come and go grow once, after as many keys as they have room for, and would do so in the middle of a soak. */
static const char *used =
    "for number in range(50000): sys.intern('host-%d' % number)\n"
    "for number in range(5000): sys.modules['host_%d' % number] = sys; del sys.modules['host_%d' % number]\n"
    "for base in object, Exception, OSError, ValueError, tuple:\n"
    "    for number in range(2000): type('host', (base,), {}); number % 500 or gc.collect()\n";

static int fresh;
static char names[8192];

static int begin(void)
{
    Py_InitializeEx(0);
    return PyRun_SimpleStringFlags(define, NULL) || PyRun_SimpleStringFlags(names, NULL);
}

/* The module's full name: its path below the folder of modules, without the suffix, or else the name of its function. */
static void name_module(void *plugin, const char *path)
{
    const char *folders[] = {"/dist-packages/", "/site-packages/", "/lib-dynload/"}, *symbol = exported(plugin, "PyInit_", "", "");
    char name[4096];
    snprintf(name, sizeof name, "%s", symbol ? symbol + 7 : "");
    for (int folder = 0; folder < 3; folder++)
        if (strstr(path, folders[folder]) != NULL) {
            snprintf(name, sizeof name, "%s", strstr(path, folders[folder]) + strlen(folders[folder]));
            char *file = strrchr(name, '/') ? strrchr(name, '/') : name;
            file[strcspn(file, ".")] = 0;
            for (char *at = name; *at != 0; at++)
                if (*at == '/')
                    *at = '.';
        }
    snprintf(names, sizeof names, "NAME, FILE = '%s', '%s'\n", name, path);
}

static const char *path;

static int cycle(void *plugin)
{
    if (names[0] == 0) {
        name_module(plugin, path);
        if (!fresh && PyRun_SimpleStringFlags(names, NULL) != 0)
            return INTERPRETER;
    }
    if (fresh && begin() != 0)
        return INTERPRETER;
    static Object *function;
    /* That of a kept interpreter once: each look-up by a text makes a name that the cache keeps. */
    if (function == NULL)
        function = PyObject_GetAttrString(PyImport_AddModule("__main__"), "cycle");
    Object *result = PyObject_CallNoArgs(function);
    if (result == NULL)
        return INTERPRETER;
    if (fresh) {
        Py_DecRef(function);
        function = NULL;
    }
    int failed = (int)PyLong_AsLong(result);
    Py_DecRef(result);
    return fresh && Py_FinalizeEx() != 0 && failed == 0 ? FINALIZE : failed;
}

int main(int count, char **arguments)
{
    path = arguments[count > 1];
    fresh = count > 3 && strcmp(arguments[3], "fresh") == 0;
    setenv("PYTHONMALLOC", "malloc", 1);
    if (!fresh && (begin() != 0 || PyRun_SimpleStringFlags(used, NULL) != 0))
        return 3;
    return soak(count, arguments, cycle);
}
