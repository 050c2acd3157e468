/* What Swift's Glibc module lacks: headers that it leaves out, and calls that are hidden there behind _GNU_SOURCE,
   variadic arguments or numbers newer than Debian 12's headers. Each function is one call and returns what that returns:
   -1 with errno set where it fails, unless it says otherwise.

   _GNU_SOURCE must not be defined here: Swift builds its own view of glibc without, and the two would not fit. */

#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

/* A connection from the listener's backlog, neither blocking nor inherited. */
int linux_accept(int listener);

/* Who called connect() on a socket's other end, as the kernel noted it then. */
int linux_peer_credentials(int socket, int32_t *process, uint32_t *user, uint32_t *group);

/* Its supplementary groups: at most `count` of them; returns how many, or -1 (ERANGE if there are more). */
int linux_peer_groups(int socket, uint32_t *groups, int count);

/* A descriptor of the process that called connect(), readable when it has ended (Linux 6.5). */
int linux_peer_pidfd(int socket);

/* A descriptor of a process, readable when it has ended. Never inherited. */
int linux_pidfd_open(int32_t process);

/* For where pidfd_open is refused: the reading end of a pipe, which is at its end when the process has ended, or its id
   is another's: by its start in clock ticks, or 0 where /proc does not show it. A process of its own looks every 50 ms,
   until the process has ended or the pipe is closed. Never inherited. Safe in a process with threads. */
int linux_watch_by_looking(int32_t process, uint64_t start);

/* Sends a signal to the process of such a descriptor, and never to a later one with its id. */
int linux_pidfd_send_signal(int pidfd, int signal);

/* A descriptor that names what is at the path, a link too, and can do nothing with it. Never inherited. */
int linux_open_path(const char *path);

/* Closes all descriptors from one number to another, both included. */
int linux_close_range(unsigned first, unsigned last);

/* How many bytes stand in the socket to be read. */
int linux_readable_bytes(int socket, int *count);

/* The status, as wait gives it, of a process that somebody has waited for, by a descriptor of it (Linux 6.15). */
int linux_exit_status(int pidfd, int *status);

/* On how many processors this thread may run. */
int linux_allowed_processors(void);

/* A limit of this process, by getrlimit's number for it; UINT64_MAX for none. */
int linux_limit(int resource, uint64_t *soft, uint64_t *hard);
int linux_set_limit(int resource, uint64_t soft, uint64_t hard);

/* What a process inherits from the one that starts it, and resets. Each step that is not allowed is left out. */

/* Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed. */
void linux_open_standard_descriptors(void);

/* Default action for every signal, and none blocked. */
void linux_reset_signals(void);

/* Raises every soft limit to its hard one, but for the size of core files. */
void linux_raise_limits(void);

/* The stack of threads that are started from here on: else it is the soft limit that the program was started with. */
void linux_set_thread_stack(uint64_t bytes);

/* Standard policy, nice 0, default I/O priority, memory policy and timer slack, and every processor. */
void linux_reset_scheduling(void);

int linux_nice_value(void);
int linux_scheduling_policy(void);
extern const int linux_standard_policy;

/* A file that lives in memory only, for whoever has its descriptor. */
int linux_memory_file(const char *name);

/* What posix_spawn has beyond POSIX; these return an error number. */
int linux_spawn_close_from(posix_spawn_file_actions_t *actions, int lowest);
int linux_spawn_change_directory(posix_spawn_file_actions_t *actions, const char *path);
extern const short linux_spawn_new_session;

/* Starts a program in a session of its own, as nobody's child, with directory /, umask 077, default signals, none
   blocked, and the descriptors that are named, from 0 on. Safe in a process with threads.

   The arguments and the environment end with a null pointer. Returns 0, or the error number of a fork that failed.
   That the program cannot be executed is said on its descriptor 2: nobody is left to hear of it otherwise. */
int linux_spawn_detached(
    const char *path, char *const arguments[], char *const environment[], const int descriptors[], int count);

/* Becomes nobody's child: goes on in a copy of this process, in a session of its own, with default signals and none
   blocked, directory / and umask 077, and ends the process that was called with status 0. Only for a process without
   other threads. Returns 0 in the copy, or the error number of a fork that failed. */
int linux_detach(void);

/* One message over a socket that keeps messages apart, with a descriptor if that is not negative; one that is received
   is not inherited further. Zero bytes are the end. */
int linux_send_message(int socket, const void *bytes, size_t count, int descriptor);
int linux_receive_message(int socket, void *bytes, size_t count, int *descriptor);

/* What waitid says of a child, or of any if the number is zero, without waiting: its process id, or zero if there is
   nothing to say, the code (CLD_EXITED and so on) and the exit status or signal. */
int linux_wait(int32_t process, int options, int32_t *waited, int32_t *code, int32_t *status);

/* From now on the kernel writes no core of this process. */
int linux_forbid_core_dump(void);

/* Sends a datagram of sd_notify(3) to the address in NOTIFY_SOCKET. */
int linux_notify_manager(const char *address, const char *text);

/* A socket that takes such datagrams; its address, to stand in NOTIFY_SOCKET, is written to `address`. */
int linux_notification_socket(char *address, size_t room);

/* Who sent the next datagram of such a socket; -1 if there is none. */
int linux_notification_sender(int socket, int32_t *process, uint32_t *user);

/* Takes the next datagram of such a socket, and sends it on with its descriptors; drops it if the address is NULL.
   Returns -1 if it could not be sent. For one thread only. */
int linux_relay_notification(int socket, const char *address);

/* This process's environment, a mutable global in C, which Swift does not let itself be shown; NULL in a program that
   runs with more rights than its caller, who must not choose for it. */
char **linux_environment(void);

#endif
