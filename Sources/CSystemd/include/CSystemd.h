/* The functions of libsystemd that the daemon uses. CSystemd.c loads the library at the first call of one of them. */

#ifndef CSYSTEMD_H
#define CSYSTEMD_H

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#endif
