// The module LockWire.
