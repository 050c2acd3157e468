// The module LockServer.
