/* An extension module of Python, of multi-phase initialisation. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP
 * is init, create, exec, collect or finalize (the last two are the module's m_free). It declares what it uses of Python 3.11. */
#include <stdlib.h>
#include <string.h>

typedef struct { ssize_t references; void *type; } PyObject;
typedef struct { int slot; void *value; } Slot;
typedef struct {
    PyObject head;
    void *init;
    ssize_t index;
    PyObject *copy;
    const char *name, *doc;
    ssize_t size;
    void *methods;
    Slot *slots;
    void *traverse, *clear;
    void (*free)(void *);
} Def;
PyObject *PyModuleDef_Init(Def *);
PyObject *PyModule_New(const char *);
extern PyObject *PyExc_ImportError;
void PyErr_SetString(PyObject *, const char *);

static int is(const char *what)
{
    const char *fixture = getenv("FIXTURE");
    return fixture != NULL && strcmp(fixture, what) == 0;
}

static void *volatile lost;
static int *volatile nowhere;

#define STEP(step) \
    __attribute__((noinline)) static void leak_##step(void) { lost = malloc(40); } \
    __attribute__((noinline)) static void crash_##step(void) { *nowhere = 1; } \
    static int step(void) \
    { \
        if (is("leak-" #step)) \
            leak_##step(); \
        if (is("crash-" #step)) \
            crash_##step(); \
        if (!is("fail-" #step)) \
            return 0; \
        PyErr_SetString(PyExc_ImportError, "the fixture fails"); \
        return -1; \
    }

STEP(init)
STEP(create)
STEP(exec)
STEP(collect)
STEP(finalize)

static PyObject *create_module(PyObject *spec, Def *def)
{
    (void)spec;
    (void)def;
    return create() == 0 ? PyModule_New("python") : NULL;
}

static int exec_module(PyObject *module)
{
    (void)module;
    return exec();
}

static void free_module(void *module)
{
    (void)module;
    if (!is("fail-collect"))
        collect();
    if (!is("fail-finalize"))
        finalize();
}

static Slot slots_created[] = {{1, (void *)create_module}, {2, (void *)exec_module}, {0, NULL}};
static Slot slots[] = {{2, (void *)exec_module}, {0, NULL}};
static Def def = {.head = {1, NULL}, .name = "python", .size = 0, .free = free_module};

PyObject *PyInit_python(void)
{
    if (init() != 0)
        return NULL;
    const char *fixture = getenv("FIXTURE");
    /* A module that its own function creates has no m_free. */
    def.slots = fixture != NULL && strstr(fixture, "-create") != NULL ? slots_created : slots;
    return PyModuleDef_Init(&def);
}
