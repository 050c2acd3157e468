#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CBench.h"
#include "attack.h"

static const struct attack *find(size_t index) {
    static const struct attack *const files[] = {line_attacks, lock_attacks, connection_attacks};
    for (size_t file = 0; file < sizeof files / sizeof *files; file++) {
        for (const struct attack *attack = files[file]; attack->name != NULL; attack++) {
            if (index-- == 0) return attack;
        }
    }
    return NULL;
}

const char *bench_attack_name(size_t index) {
    const struct attack *attack = find(index);
    return attack == NULL ? NULL : attack->name;
}

const char *bench_attack_text(size_t index) {
    return find(index)->text;
}

bool bench_attack_has(size_t index, enum bench_attack_trait trait) {
    return (find(index)->traits & trait) != 0;
}

pid_t bench_attack_start(const char *path, size_t index, uid_t user) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child != 0) return child < 0 ? -errno : child;
    if (user != 0 && (setgroups(0, NULL) != 0 || setgid(user) != 0 || setuid(user) != 0)) _exit(1);
    /* Call this after the change of user, which clears the setting. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const struct attack *attack = find(index);
    if (attack->prepare != NULL) attack->prepare(path);
    raise(SIGSTOP);
    attack->strike(path);
    _exit(0);
}

int bench_attack_await(pid_t child) {
    int status;
    if (waitpid(child, &status, WUNTRACED) != child) return errno;
    return WIFSTOPPED(status) ? 0 : ECHILD;
}

int bench_attack_strike(pid_t child) {
    return kill(child, SIGCONT) == 0 ? 0 : errno;
}

void bench_attack_end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
