#ifndef CBENCH_SCRIPT_H
#define CBENCH_SCRIPT_H

#include "CBench.h"

/* Requests one behind the other, so that any of them in a row are one write. */
struct bench_script {
    char *bytes;
    /* Request n is the bytes from starts[n] up to starts[n + 1]. */
    size_t *starts;
    /* How the answer to request n begins. */
    char *expected;
    size_t count;
};

#endif
