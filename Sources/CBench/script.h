#ifndef CBENCH_SCRIPT_H
#define CBENCH_SCRIPT_H

#include "CBench.h"

/* Requests in one contiguous buffer, so that one write can send several of them. */
struct bench_script {
    char *bytes;
    /* Request n is the bytes from starts[n] up to starts[n + 1]. */
    size_t *starts;
    /* The first byte of a correct answer to request n. */
    char *expected;
    size_t count;
};

#endif
