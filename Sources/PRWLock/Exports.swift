// The interface of this module uses these types, so an import of this module imports them too.
@_exported public import LockVocabulary
@_exported public import struct LockWire.Cycle
@_exported public import enum LockWire.ErrorCode
@_exported public import struct LockWire.HeldBy
@_exported public import enum LockWire.Notice
@_exported public import enum LockWire.Row
@_exported public import enum Rendezvous.RendezvousError
