/* The two entry points of libdispatch by which a run loop drains the main queue on the main thread. libdispatch declares
   them in private/private.h, and not in its public headers.

   Foundation's CFRunLoop, and with it RunLoop, uses both on Linux and elsewhere, and every Swift toolchain ships a
   libdispatch and a Foundation that match. If libdispatch dropped them, a read source on the epoll set could replace them:
   its handler on a queue of its own would hand each event to the main thread, which costs one more thread switch. */

#ifndef MAIN_QUEUE_H
#define MAIN_QUEUE_H

/* An eventfd that is readable while the main queue has work. libdispatch writes to it, and the caller that drains the queue
   must read it first. The first call makes it. */
extern int _dispatch_get_main_queue_handle_4CF(void);

/* Carries out the work that the main queue has now. Only the main thread may call this. New work waits for the next call. A
   call within a call does nothing. */
extern void _dispatch_main_queue_callback_4CF(void *unused);

#endif
