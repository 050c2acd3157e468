#define _GNU_SOURCE

#include "CTestSupport.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int support_kill_at_removal(int32_t process, int socket, unsigned count, int after) {
    int status;
    if (ptrace(PTRACE_SEIZE, process, NULL, PTRACE_O_TRACESYSGOOD) != 0) return -1;
    if (ptrace(PTRACE_INTERRUPT, process, NULL, NULL) != 0) return -1;
    while (count > 0) {
        if (waitpid(process, &status, 0) < 0 || !WIFSTOPPED(status)) return -1;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info = {0};
            /* The end of a call does not tell its number, but follows the beginning. */
            static _Thread_local int is_wanted;
            ptrace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info);
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
                is_wanted = info.entry.nr == SYS_recvmmsg && (int)info.entry.args[0] == socket;
            int is_after = info.op == PTRACE_SYSCALL_INFO_EXIT;
            if (is_wanted && is_after == (after != 0) && --count == 0) break;
        }
        if (ptrace(PTRACE_SYSCALL, process, NULL, NULL) != 0) return -1;
    }
    return kill(process, SIGKILL);
}
