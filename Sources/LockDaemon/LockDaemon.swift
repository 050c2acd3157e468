// The module LockDaemon.
