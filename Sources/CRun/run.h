/* What the files of this module share. */

#ifndef RUN_H
#define RUN_H

#include "CRun.h"

/* Connects to the daemon that a client uses. Returns a socket that does not block, or -1 if Swift has to look. */
int run_connect(const char *named);

#endif
