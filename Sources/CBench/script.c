#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bench_script *bench_script_create(void) {
    struct bench_script *script = calloc(1, sizeof *script);
    if (script == NULL || (script->starts = calloc(2, sizeof *script->starts)) == NULL) abort();
    return script;
}

void bench_script_free(struct bench_script *script) {
    free(script->bytes);
    free(script->starts);
    free(script->expected);
    free(script);
}

int bench_script_add(struct bench_script *script, const char *request, size_t length, char expected) {
    size_t start = script->starts[script->count];
    /* The cost of realloc does not matter: scripts are complete before a measurement begins. */
    char *bytes = realloc(script->bytes, start + length);
    if (bytes == NULL) return ENOMEM;
    script->bytes = bytes;
    size_t *starts = realloc(script->starts, (script->count + 2) * sizeof *starts);
    if (starts == NULL) return ENOMEM;
    script->starts = starts;
    char *expectations = realloc(script->expected, script->count + 1);
    if (expectations == NULL) return ENOMEM;
    script->expected = expectations;

    memcpy(bytes + start, request, length);
    starts[script->count + 1] = start + length;
    expectations[script->count] = expected;
    script->count += 1;
    return 0;
}
