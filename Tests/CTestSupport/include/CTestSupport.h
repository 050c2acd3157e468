/* A process that connects to a daemon and does nothing else, so that a test can have it die. It is written in C because
   between fork and exec a program with threads may do little, and Swift's runtime does more. */

#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdint.h>

/* Forks a process that connects to the socket, and hands the connection over `control`, a socket that the caller made
   with socketpair; its other end stays with the caller. It then takes orders, a byte each:
     a  connect again, and hand that connection over
     f  fork a child that keeps all connections open; the child's process id comes back
     c  close its own copy of the connection; a byte comes back
   and ends, like its child, when the caller closes its end. If `user` is not negative it is that user, with that group
   beside its own. Returns the process id, or -1. */
int32_t support_start_peer(const char *path, int control, int64_t user, int64_t group);

/* The connection that the process made; -1 if it could not. */
int support_receive_connection(int control);

/* Opens a new terminal: what is written to it comes out of the returned descriptor. Returns -1 if there is none. */
int support_open_terminal(int *terminal);

/* Limits another process: how many descriptors it may have open, how large its files may become. */
int support_limit_descriptors(int32_t process, uint64_t count);
int support_limit_file_size(int32_t process, uint64_t bytes);

/* System calls that a sandbox refuses. */
enum support_refusal {
    support_refuse_pidfd_open = 1,
    /* getsockopt with SO_PEERPIDFD, which is answered as by a kernel that does not know it. */
    support_refuse_peer_pidfd = 2,
    support_refuse_pidfd_send_signal = 4,
    support_refuse_close_range = 8,
};

/* Executes a program under a seccomp filter that answers the named calls with the error number, as container profiles,
   sandboxes and old kernels do. Its descriptors 0, 1 and 2 are those given, and it has no others. If `user` is not
   negative it is that user, which takes root. Returns the process id, or -1. */
int32_t support_spawn_refusing(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[3], unsigned refusals,
    int error, int64_t user);

/* Removes a directory and all that is in it. */
void support_remove_tree(const char *path);

#endif
