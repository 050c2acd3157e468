/* What a run loop needs to drain the main queue on the main thread itself: two entry points of libdispatch that its public
   headers do not declare (private/private.h does).

   CFRunLoop of Foundation is built on these two, on Linux as elsewhere, so they are as stable as Foundation's use of them:
   every Swift toolchain ships a libdispatch and a Foundation that fit. Should they go, sources and work of the main queue
   would move to a serial queue that hands each event over: it appends the event to a list and writes to an eventfd that
   the loop has in its epoll set. The rest of the daemon would not change; each event would cost one more thread switch. */

#ifndef MAIN_QUEUE_H
#define MAIN_QUEUE_H

/* An eventfd that is readable while the main queue has work. Libdispatch writes to it, and whoever drains the queue reads
   it. The first call makes it. */
extern int _dispatch_get_main_queue_handle_4CF(void);

/* Carries out the work that the main queue has now, on the main thread. Work that is added meanwhile waits for the next
   call. Within itself it does nothing. */
extern void _dispatch_main_queue_callback_4CF(void *unused);

#endif
