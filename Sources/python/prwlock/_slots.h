/*
 * The extension of the client for threads: the steps that are too quick for Python. `_cached.py` says how they are used, and
 * CSlot/README.md what the words of the slots mean.
 *
 * Each function is one call of C. No signal handler and no other thread comes between its steps: they need the global lock
 * of the interpreter, and only Python code or a round trip gives that up. Python code runs where the last reference to a
 * grant goes: a live grant has a finalizer, which may use the same cell. So references are dropped last, when the places
 * and slots are whole again. A grant has no hash and no comparison of its own, so a dictionary of grants runs no Python code.
 *
 *   _slots.c     Memory   the slots of one session, and the page that says whether a daemon serves; the module
 *   _cells.c     Slot     one cached grant; each `Grant` under it refers to it
 *                Cell     what a client has cached of one lock: a slot for each thread, and the grant that is its next hold
 *   _exchange.c  Wire     a connection: a request and its reply in one call
 *
 * A slot does not own its cell, and no slot owns a grant, so there are no cycles of references.
 */
#ifndef PRWLOCK_PYTHON_SLOTS_H
#define PRWLOCK_PYTHON_SLOTS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "The steps need the global lock of the interpreter."
#endif

#include "prwlock_cached.h"

enum {
    /* The most threads that have one lock cached. */
    MOST = 8,
    PAGE = PRWLOCK_CACHED_PAGE,
};

typedef struct {
    PyTypeObject *memory, *slot, *cell, *wire;
    PyObject *one;
    /* Names of attributes. */
    PyObject *request, *fault, *input, *pieces, *repeats, *reply, *rows;
} Module;

extern Module module_of;

typedef struct {
    PyObject_HEAD
    void *pages;
} Memory;

typedef struct Cell Cell;

typedef struct {
    PyObject_HEAD
    Memory *memory;
    uint64_t entry;
    /* The cell that has this slot, as long as it does. */
    Cell *cell;
} Slot;

typedef struct {
    /* NULL: the place is free. */
    Slot *slot;
    /* The owner: the number of the thread, and its `Thread`. */
    uint64_t number;
    PyObject *thread;
    int is_write;
    /* The `Grant` of the next hold, and its list `_live`; NULL before there is one. */
    PyObject *grant, *live;
    /*
     * The grant is held, and only a dictionary of grants owns it: so it ends if that goes. It may be gone, so `grant` is only
     * good to be compared.
     */
    int is_lent;
} Place;

struct Cell {
    PyObject_HEAD
    Place places[MOST];
    uint32_t next;
};

/* What the types share. */
PyObject *make(PyTypeObject *type);
void free_object(PyObject *self);
PyObject *refuse_new(PyTypeObject *type, PyObject *arguments, PyObject *named);

extern PyType_Spec slot_spec, cell_spec, wire_spec;

PyObject *new_cell(PyObject *module, PyObject *nothing);
PyObject *new_wire(PyObject *module, PyObject *arguments);

#endif
