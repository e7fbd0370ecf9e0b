/* An SQLite extension with one function, fixture(). FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP. It finds SQLite's
   functions in the process, and not in the table. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

typedef struct sqlite3 sqlite3;
int sqlite3_create_function_v2(sqlite3 *, const char *, int, int, void *, void (*)(void *, int, void **), void *, void *, void (*)(void *));
int sqlite3_prepare_v2(sqlite3 *, const char *, int, void **, const char **);
void sqlite3_result_int(void *, int);
void sqlite3_result_error_nomem(void *);

STEP(init)
STEP(function)
STEP(close)

static void function(void *context, int count, void **values)
{
    (void)count, (void)values;
    if (wrong_function())
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_int(context, 1);
}

/* Called as the database is closed. */
static void destroy(void *data)
{
    (void)data;
    wrong_close();
}

int sqlite3_extension_init(sqlite3 *database, char **error, const void *table)
{
    void *left;
    (void)error, (void)table;
    if (wrong_init())
        return 1;
    /* A statement that is left lets sqlite3_close fail. */
    if (wanted("fail-close"))
        sqlite3_prepare_v2(database, "SELECT 1", -1, &left, NULL);
    return sqlite3_create_function_v2(database, "fixture", 0, 1, NULL, function, NULL, NULL, destroy);
}
