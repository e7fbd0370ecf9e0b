/* A Lua module. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP is open, close or collect (both are the
 * finalizer of what it returned). It declares what it uses of Lua: functions that 5.1 to 5.4 have alike. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

typedef struct lua_State lua_State;
void lua_createtable(lua_State *, int, int);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_setfield(lua_State *, int, const char *);
int lua_setmetatable(lua_State *, int);
void lua_pushstring(lua_State *, const char *);
int lua_error(lua_State *);
#pragma weak lua_newuserdata
#pragma weak lua_newuserdatauv
void *lua_newuserdata(lua_State *, size_t);
void *lua_newuserdatauv(lua_State *, size_t, int);

STEP(open)
STEP(close)
STEP(collect)

static int finalize(lua_State *L)
{
    (void)L;
    wrong_close();
    wrong_collect();
    return 0;
}

int luaopen_lua(lua_State *L)
{
    if (wrong_open()) {
        lua_pushstring(L, "the fixture fails");
        return lua_error(L);
    }
    if (lua_newuserdatauv != NULL)
        lua_newuserdatauv(L, 8, 1);
    else
        lua_newuserdata(L, 8);
    lua_createtable(L, 0, 1);
    lua_pushcclosure(L, finalize, 0);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return 1;
}
