/* Whether the current task is cancelled, for code that is inlined in another program.

   `Task.isCancelled` is a function of the standard library that also retains and releases the task, which costs as much as
   the two swaps of a cached grant. These are the two functions of the runtime that it calls. The compiler puts calls of
   both into programs (`Task.isCancelled` of a task value is transparent), so a runtime that lacked them could run none. */

#ifndef CURRENT_TASK_H
#define CURRENT_TASK_H

#include <stdbool.h>

/* The current task, not retained; null outside of a task. */
extern __attribute__((swiftcall)) const void *swift_task_getCurrent(void);

extern __attribute__((swiftcall)) bool swift_task_isCancelled(const void *task);

static inline bool current_task_is_cancelled(void) {
    const void *task = swift_task_getCurrent();
    return task != 0 && swift_task_isCancelled(task);
}

#endif
