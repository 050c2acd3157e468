// The module PRWLock.
