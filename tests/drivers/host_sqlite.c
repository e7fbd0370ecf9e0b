/* A bare host of SQLite extensions: host_sqlite EXTENSION CYCLES [ENTRY]. Needs sqlite3.h. cc -O1 -g host_sqlite.c -lsqlite3 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

static char *calls(sqlite3 *db)
{
    sqlite3_stmt *list;
    char *text = NULL;
    sqlite3_prepare_v2(db,
        "SELECT group_concat(call, char(10)) FROM (SELECT DISTINCT 'SELECT \"' || replace(name, '\"', '\"\"') || '\"()' AS call"
        " FROM pragma_function_list WHERE NOT builtin AND narg IN (0, -1) AND lower(name) <> 'pause' ORDER BY 1)", -1, &list, NULL);
    if (sqlite3_step(list) == SQLITE_ROW && sqlite3_column_text(list, 0))
        text = strdup((const char *)sqlite3_column_text(list, 0));
    sqlite3_finalize(list);
    return text;
}

/* sqlite3_load_extension opens the file, as any host's user would; sqlite3_close closes it. */
static int cycle(const char *path, const char *entry)
{
    sqlite3 *db;
    sqlite3_stmt *call;
    char *error = NULL, *before, *after, *line, *save;
    if (sqlite3_open(":memory:", &db) || sqlite3_enable_load_extension(db, 1))
        return 1;
    before = calls(db);
    if (sqlite3_load_extension(db, path, entry, &error) != SQLITE_OK)
        return fprintf(stderr, "init: %s\n", error), 1;
    after = calls(db);
    for (line = after ? strtok_r(after, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
        if (before && strstr(before, line))
            continue;
        int result = sqlite3_prepare_v2(db, line, -1, &call, NULL);
        if (result == SQLITE_OK)
            for (int rows = 0; rows < 16 && (result = sqlite3_step(call)) == SQLITE_ROW; rows++)
                ;
        sqlite3_finalize(call);
        if (getenv("SAY"))
            fprintf(stderr, "%s: %d\n", line, result);
        if (result == SQLITE_NOMEM || result == SQLITE_INTERNAL || result == SQLITE_CORRUPT || result == SQLITE_MISUSE)
            return fprintf(stderr, "%s: %d\n", line, result), 1;
    }
    free(before);
    free(after);
    if (sqlite3_close(db) != SQLITE_OK)
        return fprintf(stderr, "close\n"), 1;
    return 0;
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    long cycles = atol(words[2]), middle = 0;
    for (long i = 0; i < cycles; i++) {
        if (i == cycles / 2)
            middle = heap();
        if (cycle(words[1], count > 3 ? words[3] : NULL))
            return 1;
    }
    printf("%.1f per cycle\n", (double)((long)(heap()) - middle) / (cycles - cycles / 2));
    return 0;
}
