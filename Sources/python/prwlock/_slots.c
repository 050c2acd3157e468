/* The module and the memory of slots: see the header. */
#include "_slots.h"

#include <sys/mman.h>
#include <unistd.h>

Module module_of;

void free_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

PyObject *make(PyTypeObject *type) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

/* Only the functions here make these objects. */
PyObject *refuse_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
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

static PyType_Spec memory_spec = {"prwlock._slots.Memory", sizeof(Memory), 0, Py_TPFLAGS_DEFAULT, memory_slots};

/* ---- The module ---- */

static PyMethodDef functions[] = {
    {"map_slots", map_slots, METH_VARARGS, NULL},
    {"new_cell", new_cell, METH_NOARGS, NULL},
    {"new_wire", new_wire, METH_VARARGS, NULL},
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
    struct {
        PyTypeObject **type;
        PyType_Spec *spec;
    } types[] = {{&module_of.memory, &memory_spec}, {&module_of.slot, &slot_spec}, {&module_of.cell, &cell_spec},
        {&module_of.wire, &wire_spec}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((*types[i].type = (PyTypeObject *)PyType_FromSpec(types[i].spec)) == NULL) return -1;
    struct {
        PyObject **name;
        const char *text;
    } names[] = {{&module_of.request, "request"}, {&module_of.fault, "fault"}, {&module_of.input, "_input"},
        {&module_of.pieces, "pieces"}, {&module_of.repeats, "repeats"}, {&module_of.reply, "reply"},
        {&module_of.rows, "_rows"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL) return -1;
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
