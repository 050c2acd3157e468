import LockCore
import LockServer
import LockVocabulary
import Testing

/// If several answers fit a request, the first one in the order of `protocol.md` is given.
@Suite("Which answer, where several fit") struct RefusalOrderTests {
    @Test("a fault in the line, then its tag, then what the rules deny, then the rest") func beforeTheRest()
        throws
    {
        let room = Room()
        let names = PolicyNames(user: { _ in nil }, group: { _ in nil })
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #t WRITE jobs
            b> #t WRITE jobs wait=5
            b< #t ERROR bad-duration a duration is a whole number and ms, s, m or h, or 0, or forever; at most 876000h
            b> #t WRITE jobs
            b< #t ERROR tag-in-use a request with this tag is still open
            """)
        room.server.setPolicy(try Policy(parsing: "deny everyone read,write,look,revoke *", names))
        room.play(
            """
            b> #t WRITE jobs
            b< #t ERROR tag-in-use a request with this tag is still open
            b> WRITE jobs wait=0
            b< DENIED jobs write reason=not-permitted
            a> READ jobs
            a< DENIED jobs read reason=not-permitted
            a> UPGRADE jobs
            a< DENIED jobs write reason=not-permitted
            b> UPGRADE none
            b< DENIED none write reason=not-permitted
            b> VALIDATE none token=1
            b< DENIED none look reason=not-permitted
            b> REVOKE none token=1
            b< DENIED none revoke reason=not-permitted
            a> DOWNGRADE jobs to=update
            a< GRANTED jobs update token=1
            a> RENEW jobs lease=1h
            a< RENEWED jobs token=1 lease=3600000ms
            b> CANCEL #t
            b< #t CANCELLED jobs write
            b< CANCELLED jobs write
            drain
            a< ! DRAIN
            b< ! DRAIN
            b> READ jobs
            b< DENIED jobs read reason=not-permitted
            a> RELEASE jobs
            a< RELEASED jobs token=1
            """)
    }

    @Test(
        "limits, then what can be had, then the owner's own grant, then BUSY, then what to wait would bring")
    func limits() {
        let room = Room {
            $0.limits.rules.sessionGrants = 2
            $0.limits.rules.sessionWaiters = 0
            $0.limits.rules.locks = 2
        }
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            a> READ jobs wait=0
            a< DEADLOCK jobs read cycle=1:jobs
            a> READ jobs
            a< DEADLOCK jobs read cycle=1:jobs
            b> READ jobs wait=0
            b< BUSY jobs read held-by=1/write
            b> READ jobs
            b< ERROR limit-waiters lock=jobs mode=read too many requests wait
            a> READ mail
            a< GRANTED mail read token=2
            a> READ jobs wait=0
            a< ERROR limit-grants lock=jobs mode=read too many grants are held
            a> READ post wait=0
            a< ERROR limit-grants lock=post mode=read too many grants are held
            b> READ post wait=0
            b< ERROR limit-locks lock=post mode=read there are as many locks as the daemon takes
            b> READ mail
            b< GRANTED mail read token=3
            """)
    }

    @Test("of the session's limit on waiting requests and a circle, the limit is told first")
    func limitBeforeCircle() {
        let room = Room { $0.limits.rules.sessionWaiters = 1 }
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> WRITE mail
            b< GRANTED mail write token=2
            c> WRITE post
            c< GRANTED post write token=3
            a> #m WRITE mail
            b> #p WRITE post owner=t
            b> WRITE jobs
            b< ERROR limit-waiters lock=jobs mode=write too many requests wait
            b> CANCEL #p
            b< #p CANCELLED post write
            b< CANCELLED post write
            b> WRITE jobs
            b< DEADLOCK jobs write cycle=2:jobs>1:mail
            """)
    }
}
