/* An extension module of Python, of multi-phase initialisation. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP
 * is init, create, exec, collect or finalize (the last two are the module's m_free). It declares what it uses of Python 3.11. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

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

STEP(init)
STEP(create)
STEP(exec)
STEP(collect)
STEP(finalize)

/* What a function of Python's says that fails. */
static int failed(int wrong)
{
    if (wrong)
        PyErr_SetString(PyExc_ImportError, "the fixture fails");
    return wrong ? -1 : 0;
}

static PyObject *create_module(PyObject *spec, Def *def)
{
    (void)spec;
    (void)def;
    return failed(wrong_create()) == 0 ? PyModule_New("python") : NULL;
}

static int exec_module(PyObject *module)
{
    (void)module;
    return failed(wrong_exec());
}

static void free_module(void *module)
{
    (void)module;
    wrong_collect();
    wrong_finalize();
}

static Slot slots_created[] = {{1, (void *)create_module}, {2, (void *)exec_module}, {0, NULL}};
static Slot slots[] = {{2, (void *)exec_module}, {0, NULL}};
static Def def = {.head = {1, NULL}, .name = "python", .size = 0, .free = free_module};

PyObject *PyInit_python(void)
{
    if (failed(wrong_init()) != 0)
        return NULL;
    const char *fixture = getenv("FIXTURE");
    /* A module that its own function creates has no m_free. */
    def.slots = fixture != NULL && strstr(fixture, "-create") != NULL ? slots_created : slots;
    return PyModuleDef_Init(&def);
}
