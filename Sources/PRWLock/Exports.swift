// Whoever imports this module gets the words of its interface with it: names, modes, tokens, and what replies say.
@_exported public import LockVocabulary
@_exported public import struct LockWire.Cycle
@_exported public import enum LockWire.ErrorCode
@_exported public import struct LockWire.HeldBy
@_exported public import enum LockWire.Notice
@_exported public import enum LockWire.Row
@_exported public import enum Rendezvous.RendezvousError
