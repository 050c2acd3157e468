import CLinux
import Glibc
import Keeping
import LockCore
import LockVocabulary
import Posix

/// A file in memory, mapped for as long as this object lives, and in the parcel for as long.
final class SharedFile {
    let base: UnsafeMutableRawPointer
    private let file: OwnedDescriptor
    private let size: Int
    private let parcel: SocketParcel?
    /// Where it is among the guarded pages; nil if it is not guarded.
    private var guardedAt: Int32?

    var descriptor: Int32 { file.rawValue }

    /// New memory, which is zero. If there is a parcel, the next worker gets it.
    init(_ name: String, size: Int, puttingInto parcel: SocketParcel?) throws(SystemError) {
        let number = linux_make_memory(name)
        guard number >= 0 else { throw .last("memfd_create") }
        let file = OwnedDescriptor(owning: number)
        guard DescriptorLimit.leavesRoomForSessions(number, inFlight: parcel?.inFlight ?? 0) else {
            throw SystemError(code: EMFILE, call: "memfd_create")
        }
        guard linux_extend_memory(number, Int64(size)) == 0 else { throw .last("fallocate") }
        guard linux_fix_memory(number) == 0 else { throw .last("F_ADD_SEALS") }
        guard let base = linux_map_memory(number, size) else { throw .last("mmap") }
        if let parcel, case .refused(let error) = parcel.put(number) {
            linux_unmap_memory(base, size)
            throw error
        }
        self.file = file
        (self.base, self.size, self.parcel) = (base, size, parcel)
    }

    /// Memory that came out of the parcel, and stays in it; nil if it cannot be mapped. Then it is emptied, so that its client
    /// can enter no slot, and closed.
    init?(_ file: consuming OwnedDescriptor, size: Int, outOf parcel: SocketParcel) {
        var status = stat()
        guard fstat(file.rawValue, &status) == 0, Int(status.st_size) == size,
            let base = linux_map_memory(file.rawValue, size)
        else {
            linux_empty_memory(file.rawValue, Int64(size))
            parcel.remove(file.rawValue)
            return nil
        }
        self.file = file
        (self.base, self.size, self.parcel) = (base, size, parcel)
    }

    /// Has an access succeed although the client has freed the page and the kernel has no other one, as with a strict limit on
    /// memory (`vm.overcommit_memory=2`). The file must have one page.
    func guardAccesses() throws(SystemError) {
        let place = linux_guard_page(base)
        guard place >= 0 else { throw .last("mmap", "the spare page") }
        guardedAt = place
    }

    deinit {
        if let guardedAt { linux_unguard_page(guardedAt) }
        // A client may keep the file. The memory is the daemon's, and what the client sees from now on are zeros.
        linux_empty_memory(file.rawValue, Int64(size))
        linux_unmap_memory(base, size)
        parcel?.remove(file.rawValue)
    }
}

/// The memory of all slots, and the page that tells the clients whether a process serves (CSlot/README.md).
///
/// It makes both when the first session asks for slots. The server keeps the memory of a session as long as the session has
/// grants, which may be longer than its connection.
final class SlotMappings {
    private static let servingSize = 4_096

    private let parcel: SocketParcel?
    private var serving: SharedFile?
    /// A descriptor of the same page, for clients.
    private var servingForClients: OwnedDescriptor?
    /// The memory that the next output of a session hands to its client.
    private(set) var unsent: [SessionID: SharedFile] = [:]
    /// What is to be noted in the ledger.
    private(set) var unnoted: [SessionID: SharedFile] = [:]
    private(set) var hasUnnotedServing = false

    init(puttingInto parcel: SocketParcel?) { self.parcel = parcel }

    /// Memory for a session; nil if there is no room for it.
    func make(for session: SessionID) -> SlotMemory? {
        guard isServing() else { return nil }
        do throws(SystemError) {
            let file = try SharedFile("prwlock-slots", size: SlotMemory.size, puttingInto: parcel)
            try file.guardAccesses()
            unsent[session] = file
            unnoted[session] = file
            return memory(file)
        } catch {
            return nil
        }
    }

    private func memory(_ file: SharedFile) -> SlotMemory { SlotMemory(file.base, lifetime: file) }

    /// Makes the page at the first use, and says in it that this process serves.
    private func isServing() -> Bool {
        if servingForClients != nil { return true }
        do throws(SystemError) {
            try serve(SharedFile("prwlock-serving", size: Self.servingSize, puttingInto: parcel))
            hasUnnotedServing = true
            return true
        } catch {
            return false
        }
    }

    private func serve(_ page: SharedFile) throws(SystemError) {
        let number = linux_reopen_for_reading(page.descriptor)
        guard number >= 0 else { throw .last("open", "the page for clients") }
        let forClients = OwnedDescriptor(owning: number)
        guard linux_own_until_the_end(page.base) == 0 else { throw .last("pthread_mutex_lock") }
        servingForClients = consume forClients
        serving = page
    }

    // MARK: - Sending and noting

    /// The descriptors that go with the next output of a session.
    func descriptors(for session: SessionID) -> [Int32]? {
        guard let file = unsent[session], let number = servingForClients?.rawValue else { return nil }
        return [file.descriptor, number]
    }

    func noteSent(to session: SessionID) { unsent[session] = nil }

    /// Forgets what was to be sent to a session that has ended.
    func forget(_ session: SessionID) {
        unsent[session] = nil
        unnoted[session] = nil
    }

    /// Passes on what is new since the last call.
    func takeUnnoted(_ body: (SessionID, Int32) -> Void, serving noteServing: (Int32) -> Void) {
        for (session, file) in unnoted { body(session, file.descriptor) }
        unnoted.removeAll()
        if hasUnnotedServing, let serving { noteServing(serving.descriptor) }
        hasUnnotedServing = false
    }

    var hasUnnoted: Bool { hasUnnotedServing || !unnoted.isEmpty }

    // MARK: - Going on

    /// Goes on with the page of a former worker.
    func restoreServing(_ file: consuming OwnedDescriptor) {
        guard let parcel, let page = SharedFile(file, size: Self.servingSize, outOf: parcel) else { return }
        try? serve(page)
    }

    /// Goes on with the memory of a session. The client gets it again with the next output, as it may not have got it.
    func restore(_ file: consuming OwnedDescriptor, of session: SessionID, isUnsent: Bool) -> SlotMemory? {
        guard let parcel, let file = SharedFile(file, size: SlotMemory.size, outOf: parcel),
            servingForClients != nil, (try? file.guardAccesses()) != nil
        else { return nil }
        if isUnsent { unsent[session] = file }
        return memory(file)
    }
}
