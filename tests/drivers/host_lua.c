/* A bare host of Lua modules, the second witness of the drivers `lua` and `lua-kept`: host_lua MODULE.so CYCLES [kept]. It makes the calls of
 * `require` in a state of each cycle's own, or with `kept` in one that lives on. It declares what it uses of Lua; link it with the library of the
 * module's version, such as -l:liblua5.4.so.0. */
#include "host.h"

enum { OPEN = 2 };

typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *);
lua_State *luaL_newstate(void);
void luaL_openlibs(lua_State *);
void lua_close(lua_State *);
int luaL_loadstring(lua_State *, const char *);
void lua_pushcclosure(lua_State *, lua_CFunction, int);
void lua_pushstring(lua_State *, const char *);
const char *lua_tolstring(lua_State *, int, size_t *);
void lua_pushvalue(lua_State *, int);
void lua_settop(lua_State *, int);
int lua_gc(lua_State *, int, ...);
#pragma weak lua_pcall
#pragma weak lua_pcallk
int lua_pcall(lua_State *, int, int, int);
int lua_pcallk(lua_State *, int, int, int, long, void *);

static const char *path;
static int kept;
static lua_State *L;

static int call(int arguments, int results)
{
    int failed = lua_pcallk ? lua_pcallk(L, arguments, results, 0, 0, NULL) : lua_pcall(L, arguments, results, 0);
    if (failed)
        fprintf(stderr, "%s\n", lua_tolstring(L, -1, NULL));
    return failed;
}

/* Calls the module, and puts everything that the registry leads to in two steps back to what it was. */
static const char *forget =
    "if jit then jit.off() end\n"
    "local next, rawset, type, registry = next, rawset, type, debug.getregistry()\n"
    "local loaded = package.loaded\n"
    "local function copy(of) local to = {} for k, v in next, of do to[k] = v end return to end\n"
    "return function(open, name, file)\n"
    "  local before = {[registry] = copy(registry)}\n"
    "  for _, from in next, {copy(registry), loaded} do\n"
    "    for _, v in next, from do if type(v) == 'table' and not before[v] then before[v] = copy(v) end end\n"
    "  end\n"
    "  open(name, file)\n"
    "  for of, was in next, before do\n"
    "    for k in next, of do if was[k] == nil then rawset(of, k, 0) rawset(of, k, nil) end end\n"
    "    for k, v in next, was do rawset(of, k, v) end\n"
    "  end\n"
    "end\n";

/* A state with the standard libraries; whether there is one. */
static int new_state(void)
{
    L = luaL_newstate();
    if (L != NULL)
        luaL_openlibs(L);
    return L != NULL;
}

/* The module's name: what follows `luaopen_`, where `_` stands for a dot unless the file has that name. */
static void name_module(char *name)
{
    const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t length = strlen(name);
    if (strncmp(file, name, length) != 0 || strcmp(file + length, ".so") != 0)
        for (; *name != 0; name++)
            if (*name == '_')
                *name = '.';
}

static int cycle(void *module)
{
    if (!kept && !new_state())
        return 1;
    for (const char *symbol = ""; (symbol = exported(module, "luaopen_", "", symbol)) != NULL;) {
        char name[256];
        snprintf(name, sizeof name, "%s", symbol + 8);
        name_module(name);
        if (kept)
            lua_pushvalue(L, 1);
        lua_pushcclosure(L, (lua_CFunction)dlsym(module, symbol), 0);
        lua_pushstring(L, name);
        lua_pushstring(L, path);
        if (call(kept ? 3 : 2, kept ? 0 : 1) != 0)
            return OPEN;
        lua_settop(L, kept);
    }
    if (!kept) {
        lua_close(L);
        return 0;
    }
    lua_gc(L, 2, 0);
    lua_gc(L, 2, 0);
    /* Nothing of the module's stays in the slots of the stack. */
    for (int slot = 0; slot < 16; slot++)
        lua_pushstring(L, "");
    lua_settop(L, 1);
    return 0;
}

int main(int count, char **arguments)
{
    path = arguments[count > 1];
    kept = count > 3 && strcmp(arguments[3], "kept") == 0;
    if (kept && (!new_state() || luaL_loadstring(L, forget) != 0 || call(0, 1) != 0))
        return 3;
    return soak(count, arguments, cycle);
}
