// The module LockCore.
