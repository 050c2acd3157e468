/* Cached grants, and what a client has cached of one lock: see the header. */
#include "_slots.h"

/* The number of the running thread, from 1. No other thread of the process gets it again, unlike `get_ident`. */
static __thread uint64_t own_number;
static uint64_t last_number;

static uint64_t this_thread(void) {
    if (own_number == 0) own_number = ++last_number;
    return own_number;
}

/* ---- Places ---- */

/* Frees a place, and returns what it had, which is to be dropped. */
static Place empty_place(Place *place) {
    Place old = *place;
    *place = (Place){0};
    if (old.slot != NULL) old.slot->cell = NULL;
    return old;
}

/* The finalizer of a live grant releases it at the daemon. So this may run Python code, and comes last. */
static void drop(Place old) {
    Py_XDECREF(old.slot);
    Py_XDECREF(old.thread);
    Py_XDECREF(old.live);
    if (!old.is_lent) Py_XDECREF(old.grant);
}

static void clear_place(Place *place) { drop(empty_place(place)); }

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

/* Marks a grant as ended. A list of one element is emptied without memory. */
static void end_grant(PyObject *live) {
    if (PyList_SetSlice(live, 0, PyList_Size(live), NULL) != 0) PyErr_Clear();
}

/* Ends a hold, if that is one swap. */
static int leave(Slot *slot, PyObject *live) {
    if (!is_live(live) || !prwlock_entry_leave(slot->memory->pages, slot->entry)) return 0;
    end_grant(live);
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

PyType_Spec slot_spec = {"prwlock._slots.Slot", sizeof(Slot), 0, Py_TPFLAGS_DEFAULT, slot_slots};

/* ---- Cell ---- */

PyObject *new_cell(PyObject *module, PyObject *nothing) {
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
    Place old[MOST];
    for (int index = 0; index < MOST; index++) old[index] = empty_place(&cell->places[index]);
    for (int index = 0; index < MOST; index++) drop(old[index]);
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
    Place old = empty_place(place);
    Py_INCREF(slot);
    Py_INCREF(thread);
    *place = (Place){.slot = (Slot *)slot, .number = number, .thread = thread, .is_write = is_write};
    ((Slot *)slot)->cell = cell;
    drop(old);
    Py_RETURN_NONE;
}

/*
 * Makes the grant of a place live and the last one in `grants`, and takes the lock. Returns 1; 0 if the daemon has to be
 * asked; -1 after an error.
 *
 * What needs memory comes before the swap, so no hold is left that no grant stands for.
 */
static int hold(Place *place, PyObject *grants) {
    if (PyList_Append(place->live, Py_True) != 0) return -1;
    if (PyDict_SetItem(grants, place->grant, module_of.one) != 0) {
        end_grant(place->live);
        return -1;
    }
    void *pages = place->slot->memory->pages;
    uint64_t entry = place->slot->entry;
    int is_entered = prwlock_entry_enter(pages, entry);
    if (is_entered && prwlock_pages_are_served(pages)) {
        place->is_lent = 1;
        Py_DECREF(place->grant);
        return 1;
    }
    if (PyDict_DelItem(grants, place->grant) != 0) PyErr_Clear();
    /* If this step back fails, another process serves by now and waits for a release: the finalizer of the grant. */
    if (!is_entered || prwlock_entry_step_back(pages, entry)) end_grant(place->live);
    return 0;
}

/*
 * Takes the lock under the cached grant of this thread.
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
    int outcome = place->is_write == is_write && has_grant(place) ? hold(place, grants) : 0;
    if (outcome < 0) return NULL;
    if (outcome > 0) Py_RETURN_TRUE;
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

PyType_Spec cell_spec = {"prwlock._slots.Cell", sizeof(Cell), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, cell_slots};
