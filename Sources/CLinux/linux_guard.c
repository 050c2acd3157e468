#define _GNU_SOURCE

#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* The guarded pages, NULL in a free place. The handler runs on the thread that changes them, so it sees a whole state. */
static _Atomic(void *) pages[LINUX_MOST_GUARDED];
static int used, newest_free = -1, next_free[LINUX_MOST_GUARDED];
/* The memory that takes the place of what is gone. It has its page from the beginning. */
static int spare = -1;
static struct sigaction former;

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    void *page = (void *)((uintptr_t)info->si_addr / PAGE * PAGE);
    for (int i = 0; page != NULL && i < used; i++) {
        if (pages[i] != page) continue;
        int error = errno;
        void *instead = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, spare, 0);
        errno = error;
        if (instead == page) return;
    }
    /* The access is made again, and ends the process as always. */
    sigaction(number, &former, NULL);
}

static int begin(void) {
    if (spare >= 0) return 0;
    int memory = linux_make_memory("prwlock-spare");
    if (memory < 0) return -1;
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (linux_extend_memory(memory, PAGE) != 0 || sigaction(SIGBUS, &action, &former) != 0) {
        int error = errno;
        close(memory);
        errno = error;
        return -1;
    }
    spare = memory;
    return 0;
}

int linux_guard_page(void *page) {
    if (begin() != 0) return -1;
    int place = newest_free;
    if (place >= 0) {
        newest_free = next_free[place];
    } else if (used < LINUX_MOST_GUARDED) {
        place = used++;
    } else {
        errno = ENOSPC;
        return -1;
    }
    pages[place] = page;
    return place;
}

void linux_unguard_page(int place) {
    pages[place] = NULL;
    next_free[place] = newest_free;
    newest_free = place;
}
