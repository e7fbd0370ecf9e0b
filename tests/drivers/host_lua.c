/* A bare host of Lua modules: host_lua MODULE.so CYCLES "luaopen_a luaopen_b" [kept]. It makes the calls of `require` in a state of each
 * cycle's own, or with `kept` in one that lives on. It declares what it uses of Lua; link it with the library of the module's version:
 * cc -O1 -g host_lua.c -o host_lua /usr/lib/x86_64-linux-gnu/liblua5.4.so.0 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

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

static int call(lua_State *L, int arguments, int results)
{
    int failed = lua_pcallk ? lua_pcallk(L, arguments, results, 0, 0, NULL) : lua_pcall(L, arguments, results, 0);
    if (failed) {
        fprintf(stderr, "%s\n", lua_tolstring(L, -1, NULL));
        exit(1);
    }
    return failed;
}

/* Calls the module, and puts everything that the registry leads to in two steps back to what it was. */
static const char *forget =
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
    "    for k in next, of do if was[k] == nil then rawset(of, k, nil) end end\n"
    "    for k, v in next, was do rawset(of, k, v) end\n"
    "  end\n"
    "end\n";

int main(int count, char **arguments)
{
    if (count < 4)
        return 2;
    long cycles = atol(arguments[2]);
    int kept = count > 4;
    lua_State *L = NULL;
    size_t middle = 0;
    for (long cycle = 0; cycle < cycles; cycle++) {
        if (cycle == cycles / 2)
            middle = heap();
        void *module = dlopen(arguments[1], RTLD_NOW);
        if (module == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        if (L == NULL) {
            L = luaL_newstate();
            luaL_openlibs(L);
            if (luaL_loadstring(L, forget) != 0)
                return 2;
            call(L, 0, 1);
        }
        char names[4096], *rest = names;
        snprintf(names, sizeof names, "%s", arguments[3]);
        for (char *name; (name = strsep(&rest, " ")) != NULL;) {
            lua_CFunction open = (lua_CFunction)dlsym(module, name);
            if (open == NULL || strncmp(name, "luaopen_", 8) != 0)
                return 2;
            for (char *at = name += 8; *at != 0; at++)
                if (*at == '_')
                    *at = '.';
            if (kept)
                lua_pushvalue(L, 1);
            lua_pushcclosure(L, open, 0);
            lua_pushstring(L, name);
            lua_pushstring(L, arguments[1]);
            call(L, kept ? 3 : 2, 0);
        }
        if (kept) {
            lua_gc(L, 2, 0);
            lua_gc(L, 2, 0);
        } else {
            lua_close(L);
            L = NULL;
        }
        dlclose(module);
    }
    printf("%.2f\n", (double)(long)(heap() - middle) / (double)(cycles - cycles / 2));
    return 0;
}
