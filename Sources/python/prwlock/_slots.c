/*
 * Cached grants of the client for threads: the steps that are too quick for Python. `_cached.py` says how they are used, and
 * CSlot/README.md what the words mean.
 *
 * Each function is one call of C that runs no Python code, unless it drops the last reference to a grant that is still
 * live. So no signal handler and no other thread comes between its steps: they need the global lock of the interpreter.
 *
 *   Memory   the slots of one session, and the page that says who serves
 *   Slot     one cached grant; each `Grant` under it refers to it
 *   Cell     what a client has cached of one lock: a slot for each thread, and the grant that is its next hold
 *
 * A slot does not own its cell, and no slot owns a grant, so there are no cycles of references.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#ifdef Py_GIL_DISABLED
#error "The steps below need the global lock of the interpreter."
#endif

#include <sys/mman.h>
#include <unistd.h>

#include "prwlock_cached.h"

enum {
    /* The most threads that have one lock cached. */
    MOST = 8,
    PAGE = PRWLOCK_CACHED_PAGE,
};

/* The number of the running thread, from 1. No other thread of the process gets it again, unlike `get_ident`. */
static __thread uint64_t own_number;
static uint64_t last_number;

static uint64_t this_thread(void) {
    if (own_number == 0) own_number = ++last_number;
    return own_number;
}

typedef struct {
    PyTypeObject *memory, *slot, *cell;
    PyObject *request, *one;
} Module;

static Module module_of;

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

static void free_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *make(PyTypeObject *type) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

/* Only the functions here make these objects. */
static PyObject *refuse_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    (void)type;
    (void)arguments;
    (void)named;
    PyErr_SetString(PyExc_TypeError, "it is made by the session");
    return NULL;
}

/* ---- Memory ---- */

static int map_file(int file, int access, char *place) {
    return lseek(file, 0, SEEK_END) >= PAGE
        && mmap(place, PAGE, access, MAP_SHARED | MAP_FIXED, file, 0) == place
        && madvise(place, PAGE, MADV_DONTFORK) == 0;
}

/* map_slots(slots, serving): the memory of a session, from the two descriptors of the daemon; None if it cannot be had. */
static PyObject *map_slots(PyObject *module, PyObject *arguments) {
    int slots, serving;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "ii", &slots, &serving)) return NULL;
    char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) Py_RETURN_NONE;
    if (madvise(pages, PAGE, MADV_WIPEONFORK) != 0 || !map_file(slots, PROT_READ | PROT_WRITE, pages + PAGE)
        || !map_file(serving, PROT_READ, pages + 2 * PAGE)) {
        munmap(pages, 3 * PAGE);
        Py_RETURN_NONE;
    }
    *(uint32_t *)pages = 1;
    Memory *memory = (Memory *)make(module_of.memory);
    if (memory == NULL) {
        munmap(pages, 3 * PAGE);
        return NULL;
    }
    memory->pages = pages;
    return (PyObject *)memory;
}

static void memory_dealloc(PyObject *self) {
    void *pages = ((Memory *)self)->pages;
    /* In a forked child, other memory may stand where the slots are in its parent. */
    munmap(pages, prwlock_pages_are_ours(pages) ? 3 * PAGE : PAGE);
    free_object(self);
}

/* end(): from now on nothing is entered or left. Each hold ends by the socket, or finds that the session has ended. */
static PyObject *memory_end(PyObject *self, PyObject *nothing) {
    char *pages = ((Memory *)self)->pages;
    (void)nothing;
    if (prwlock_pages_are_ours(pages))
        for (uint32_t index = 0; index < PRWLOCK_CACHED_SLOTS; index++)
            (void)__atomic_fetch_or(prwlock_slot_word(pages + PAGE, index), PRWLOCK_SLOT_WANTED, __ATOMIC_ACQ_REL);
    Py_RETURN_NONE;
}

/* slot(index, generation): the slot of a grant; None if there is no such slot. */
static PyObject *memory_slot(PyObject *self, PyObject *arguments) {
    unsigned long long index, generation;
    if (!PyArg_ParseTuple(arguments, "KK", &index, &generation)) return NULL;
    if (index >= PRWLOCK_CACHED_SLOTS || generation == 0 || generation != prwlock_slot_generation(generation))
        Py_RETURN_NONE;
    Slot *slot = (Slot *)make(module_of.slot);
    if (slot == NULL) return NULL;
    Py_INCREF(self);
    slot->memory = (Memory *)self;
    slot->entry = prwlock_entry_of(generation, (uint32_t)index);
    slot->cell = NULL;
    return (PyObject *)slot;
}

/* ---- Places ---- */

/* The finalizer of a live grant releases it at the daemon. So this may run Python code, and comes last. */
static void clear_place(Place *place) {
    Place old = *place;
    *place = (Place){0};
    if (old.slot != NULL) old.slot->cell = NULL;
    Py_XDECREF(old.slot);
    Py_XDECREF(old.thread);
    Py_XDECREF(old.live);
    if (!old.is_lent) Py_XDECREF(old.grant);
}

static Place *place_of(Cell *cell, uint64_t number) {
    for (Place *place = cell->places; place < cell->places + MOST; place++)
        if (place->number == number) return place;
    return NULL;
}

static Place *place_with(Cell *cell, const Slot *slot) {
    for (Place *place = cell->places; place < cell->places + MOST; place++)
        if (place->slot == slot) return place;
    return NULL;
}

/* A grant that ended in another way than by `cell_leave` is not the next one: the place needs another. */
static int has_grant(const Place *place) { return place->grant != NULL && !place->is_lent; }

static int is_live(PyObject *live) { return live != NULL && PyList_Size(live) > 0; }

/* Whether the thread is between two calls: not in the middle of a request, and with none that an interrupt has left. */
static int is_between_calls(const Place *place) {
    PyObject *request = PyObject_GetAttr(place->thread, module_of.request);
    if (request == NULL) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(request);
    return request == Py_None;
}

/* ---- Slot ---- */

static void slot_dealloc(PyObject *self) {
    Py_DECREF(((Slot *)self)->memory);
    free_object(self);
}

/* Ends a hold, if that is one swap. */
static int leave(Slot *slot, PyObject *live) {
    if (!is_live(live) || !prwlock_entry_leave(slot->memory->pages, slot->entry)) return 0;
    if (PyList_SetSlice(live, 0, PyList_Size(live), NULL) == 0) return 1;
    PyErr_Clear();
    return 1;
}

/* leave(live): ends the hold of a grant; `live` is its list. If False, the daemon has to release it. */
static PyObject *slot_leave(PyObject *self, PyObject *live) {
    Slot *slot = (Slot *)self;
    if (!PyList_Check(live)) {
        PyErr_SetString(PyExc_TypeError, "`leave` takes a list");
        return NULL;
    }
    Place *place = slot->cell == NULL ? NULL : place_with(slot->cell, slot);
    if (!leave(slot, live)) {
        if (place != NULL) clear_place(place);
        Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

/* forget(): the grant goes without `leave`, so the daemon is to release it. */
static PyObject *slot_forget(PyObject *self, PyObject *nothing) {
    Slot *slot = (Slot *)self;
    (void)nothing;
    Place *place = slot->cell == NULL ? NULL : place_with(slot->cell, slot);
    if (place != NULL) clear_place(place);
    Py_RETURN_NONE;
}

/* keep(grant, live): makes an ended grant the next hold, unless there is one already or the slot has no place. */
static PyObject *slot_keep(PyObject *self, PyObject *arguments) {
    Slot *slot = (Slot *)self;
    PyObject *grant, *live;
    if (!PyArg_ParseTuple(arguments, "OO!", &grant, &PyList_Type, &live)) return NULL;
    Place *place = slot->cell == NULL ? NULL : place_with(slot->cell, slot);
    if (place != NULL && !has_grant(place)) {
        PyObject *former = place->live;
        Py_INCREF(grant);
        Py_INCREF(live);
        place->grant = grant;
        place->live = live;
        place->is_lent = 0;
        Py_XDECREF(former);
    }
    Py_RETURN_NONE;
}

/* needs_grant: whether `keep` is worth a call. */
static PyObject *slot_needs_grant(PyObject *self, void *nothing) {
    Slot *slot = (Slot *)self;
    (void)nothing;
    Place *place = slot->cell == NULL ? NULL : place_with(slot->cell, slot);
    return PyBool_FromLong(place != NULL && !has_grant(place));
}

/* ---- Cell ---- */

static PyObject *new_cell(PyObject *module, PyObject *nothing) {
    (void)module;
    (void)nothing;
    return make(module_of.cell);
}

static int cell_traverse(PyObject *self, visitproc visit, void *arg) {
    Cell *cell = (Cell *)self;
    Py_VISIT(Py_TYPE(self));
    for (Place *place = cell->places; place < cell->places + MOST; place++) {
        Py_VISIT(place->thread);
        if (!place->is_lent) Py_VISIT(place->grant);
        Py_VISIT(place->live);
    }
    return 0;
}

static int cell_clear(PyObject *self) {
    Cell *cell = (Cell *)self;
    for (Place *place = cell->places; place < cell->places + MOST; place++) clear_place(place);
    return 0;
}

static void cell_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    cell_clear(self);
    free_object(self);
}

/* clear(): forgets all that is cached. What is held is left as always. */
static PyObject *cell_forget(PyObject *self, PyObject *nothing) {
    (void)nothing;
    cell_clear(self);
    Py_RETURN_NONE;
}

/* add(slot, thread, is_write): the running thread has a cached grant, in place of the one before. */
static PyObject *cell_add(PyObject *self, PyObject *arguments) {
    Cell *cell = (Cell *)self;
    PyObject *slot, *thread;
    int is_write;
    if (!PyArg_ParseTuple(arguments, "O!Op", module_of.slot, &slot, &thread, &is_write)) return NULL;
    uint64_t number = this_thread();
    Place *place = place_of(cell, number);
    if (place == NULL) place = place_of(cell, 0);
    if (place == NULL) place = &cell->places[cell->next++ % MOST];
    clear_place(place);
    Py_INCREF(slot);
    Py_INCREF(thread);
    *place = (Place){.slot = (Slot *)slot, .number = number, .thread = thread, .is_write = is_write};
    ((Slot *)slot)->cell = cell;
    Py_RETURN_NONE;
}

/*
 * Takes the lock under the cached grant of this thread. Its grant becomes live, and the last one in `grants`.
 *
 * If this returns False, the caller asks the daemon, which ends the caching. So the place is cleared.
 */
static PyObject *enter(Cell *cell, PyObject *grants, int is_write) {
    if (!PyDict_Check(grants)) {
        PyErr_SetString(PyExc_TypeError, "the grants are a dictionary");
        return NULL;
    }
    Place *place = place_of(cell, this_thread());
    if (place == NULL || !is_between_calls(place)) Py_RETURN_FALSE;
    if (place->is_write == is_write && has_grant(place)) {
        void *pages = place->slot->memory->pages;
        uint64_t entry = place->slot->entry;
        if (prwlock_entry_enter(pages, entry)) {
            int is_served = prwlock_pages_are_served(pages);
            if (is_served || !prwlock_entry_step_back(pages, entry)) {
                /* Either it is held, or another process serves by now and waits for a release: see `clear_place`. */
                if (PyList_Append(place->live, Py_True) != 0) return NULL;
            }
            if (is_served) {
                if (PyDict_SetItem(grants, place->grant, module_of.one) != 0) return NULL;
                place->is_lent = 1;
                Py_DECREF(place->grant);
                Py_RETURN_TRUE;
            }
        }
    }
    clear_place(place);
    Py_RETURN_FALSE;
}

static PyObject *cell_enter_read(PyObject *self, PyObject *grants) { return enter((Cell *)self, grants, 0); }

static PyObject *cell_enter_write(PyObject *self, PyObject *grants) { return enter((Cell *)self, grants, 1); }

/*
 * Ends the hold of this thread, if it has one in `grants` that ends by one swap. It is its last one: a later request of the
 * same owner for the lock would have ended the caching.
 */
static PyObject *cell_leave(PyObject *self, PyObject *grants) {
    Place *place = place_of((Cell *)self, this_thread());
    if (place == NULL || !PyDict_Check(grants) || !place->is_lent || !is_live(place->live)) Py_RETURN_FALSE;
    PyObject *grant;
    Py_ssize_t position = 0;
    do {
        if (!PyDict_Next(grants, &position, &grant, NULL)) Py_RETURN_FALSE;
    } while (grant != place->grant);
    if (!is_between_calls(place) || !leave(place->slot, place->live)) Py_RETURN_FALSE;
    Py_INCREF(grant);
    place->is_lent = 0;
    if (PyDict_DelItem(grants, grant) != 0) return NULL;
    Py_RETURN_TRUE;
}

/* ---- The module ---- */

static PyMethodDef memory_methods[] = {
    {"end", memory_end, METH_NOARGS, NULL},
    {"slot", memory_slot, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot memory_slots[] = {
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, memory_dealloc},
    {Py_tp_methods, memory_methods},
    {0, NULL},
};

static PyMethodDef slot_methods[] = {
    {"forget", slot_forget, METH_NOARGS, NULL},
    {"leave", slot_leave, METH_O, NULL},
    {"keep", slot_keep, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef slot_members[] = {
    {"needs_grant", slot_needs_grant, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slot_slots[] = {
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, slot_dealloc},
    {Py_tp_methods, slot_methods},
    {Py_tp_getset, slot_members},
    {0, NULL},
};

static PyMethodDef cell_methods[] = {
    {"add", cell_add, METH_VARARGS, NULL},
    {"clear", cell_forget, METH_NOARGS, NULL},
    {"enter_read", cell_enter_read, METH_O, NULL},
    {"enter_write", cell_enter_write, METH_O, NULL},
    {"leave", cell_leave, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cell_slots[] = {
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, cell_dealloc},
    {Py_tp_traverse, cell_traverse},
    {Py_tp_clear, cell_clear},
    {Py_tp_methods, cell_methods},
    {0, NULL},
};

static PyType_Spec specs[] = {
    {"prwlock._slots.Memory", sizeof(Memory), 0, Py_TPFLAGS_DEFAULT, memory_slots},
    {"prwlock._slots.Slot", sizeof(Slot), 0, Py_TPFLAGS_DEFAULT, slot_slots},
    {"prwlock._slots.Cell", sizeof(Cell), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, cell_slots},
};

static PyMethodDef functions[] = {
    {"map_slots", map_slots, METH_VARARGS, NULL},
    {"new_cell", new_cell, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
    (void)module;
    /* Elsewhere the client asks for no slots. So `module_of` belongs to one interpreter. */
    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
        PyErr_SetString(PyExc_ImportError, "only the main interpreter has cached grants");
        return -1;
    }
    /* A module that is loaded twice has one set of types. */
    if (module_of.one != NULL) return 0;
    module_of.memory = (PyTypeObject *)PyType_FromSpec(&specs[0]);
    module_of.slot = (PyTypeObject *)PyType_FromSpec(&specs[1]);
    module_of.cell = (PyTypeObject *)PyType_FromSpec(&specs[2]);
    module_of.request = PyUnicode_InternFromString("request");
    if (module_of.memory == NULL || module_of.slot == NULL || module_of.cell == NULL || module_of.request == NULL)
        return -1;
    module_of.one = PyLong_FromLong(1);
    return module_of.one == NULL ? -1 : 0;
}

static PyModuleDef_Slot steps[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "prwlock._slots", .m_methods = functions, .m_slots = steps,
};

PyMODINIT_FUNC PyInit__slots(void) { return PyModuleDef_Init(&definition); }
