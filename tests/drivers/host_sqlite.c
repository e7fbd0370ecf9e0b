/* A bare host of SQLite extensions, the second witness of the driver `sqlite`: host_sqlite EXTENSION CYCLES. sqlite3_load_extension opens the file
 * once more, as any host's user would, and sqlite3_close closes it. It declares what it uses; link it with libsqlite3.so.0. */
#include "host.h"

enum { OK = 0, ROW = 100, INIT = 1, FUNCTION, CLOSE };

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open(const char *, sqlite3 **);
int sqlite3_close(sqlite3 *);
int sqlite3_enable_load_extension(sqlite3 *, int);
int sqlite3_load_extension(sqlite3 *, const char *, const char *, char **);
int sqlite3_prepare_v2(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
int sqlite3_step(sqlite3_stmt *);
const char *sqlite3_column_text(sqlite3_stmt *, int);
int sqlite3_finalize(sqlite3_stmt *);

static const char *path;

static char *calls(sqlite3 *db)
{
    sqlite3_stmt *list;
    char *text = NULL;
    sqlite3_prepare_v2(db,
        "SELECT group_concat(call, char(10)) FROM (SELECT DISTINCT 'SELECT \"' || replace(name, '\"', '\"\"') || '\"()' AS call"
        " FROM pragma_function_list WHERE NOT builtin AND narg IN (0, -1) AND lower(name) <> 'pause' ORDER BY 1)", -1, &list, NULL);
    if (sqlite3_step(list) == ROW && sqlite3_column_text(list, 0))
        text = strdup(sqlite3_column_text(list, 0));
    sqlite3_finalize(list);
    return text;
}

/* Whether a text has this line. */
static int has(const char *text, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = text; at != NULL && (at = strstr(at, line)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == 0))
            return 1;
    return 0;
}

static int cycle(void *plugin)
{
    sqlite3 *db;
    sqlite3_stmt *call;
    char *error = NULL, *before, *after, *save;
    if (sqlite3_open(":memory:", &db) || sqlite3_enable_load_extension(db, 1))
        return INIT;
    before = calls(db);
    if (sqlite3_load_extension(db, path, exported(plugin, "sqlite3_", "_init", ""), &error) != OK) {
        fprintf(stderr, "%s\n", error);
        return INIT;
    }
    after = calls(db);
    for (char *line = after ? strtok_r(after, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        if (has(before, line))
            continue;
        int result = sqlite3_prepare_v2(db, line, -1, &call, NULL);
        if (result == OK)
            for (int rows = 0; rows < 16 && (result = sqlite3_step(call)) == ROW; rows++)
                ;
        sqlite3_finalize(call);
        result &= 0xff;
        /* Internal, out of memory, corrupt, misuse. */
        if (result == 2 || result == 7 || result == 11 || result == 21)
            return FUNCTION;
    }
    free(before);
    free(after);
    return sqlite3_close(db) == OK ? 0 : CLOSE;
}

int main(int count, char **arguments)
{
    path = arguments[count > 1];
    return soak(count, arguments, cycle);
}
