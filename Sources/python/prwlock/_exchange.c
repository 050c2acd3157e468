/* A request and its reply in one call: see the header. `Connection.exchange` has the same steps in Python. */
#include "_slots.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* As in `_connection.py`. */
    READ_SIZE = 16384,
    MOST_PIECES = 200,
    MOST_LINE = 1024,
};

/* What is left to do for the caller; None if that is everything. */
enum outcome { WAIT, LOOK, END };

typedef struct {
    PyObject_HEAD
    /* -1 after `close`. */
    int descriptor;
    /*
     * The threads within `converse`, and the descriptor that the last one of them closes; -1 if there is none. Closed earlier,
     * its number could be another file's by the time a thread reads.
     */
    int users, closing;
    /* The session's own: `_open`, `_waiting`, `_queued`. */
    PyObject *open, *waiting, *queued;
} Wire;

/* new_wire(descriptor, open, waiting, queued) */
PyObject *new_wire(PyObject *module, PyObject *arguments) {
    int descriptor;
    PyObject *open, *waiting, *queued;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "iO!O!O!", &descriptor, &PyDict_Type, &open, &PyList_Type, &waiting, &PyDict_Type,
            &queued))
        return NULL;
    Wire *wire = (Wire *)make(module_of.wire);
    if (wire == NULL) return NULL;
    wire->descriptor = descriptor;
    wire->closing = -1;
    wire->open = open;
    wire->waiting = waiting;
    wire->queued = queued;
    Py_INCREF(open);
    Py_INCREF(waiting);
    Py_INCREF(queued);
    return (PyObject *)wire;
}

static int wire_traverse(PyObject *self, visitproc visit, void *arg) {
    Wire *wire = (Wire *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(wire->open);
    Py_VISIT(wire->waiting);
    Py_VISIT(wire->queued);
    return 0;
}

static void wire_dealloc(PyObject *self) {
    Wire *wire = (Wire *)self;
    PyObject_GC_UnTrack(self);
    Py_DECREF(wire->open);
    Py_DECREF(wire->waiting);
    Py_DECREF(wire->queued);
    free_object(self);
}

/* Whether an attribute is None, False or an empty list. */
static int is_empty(PyObject *object, PyObject *name) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) {
        PyErr_Clear();
        return 0;
    }
    int result = value == Py_None || value == Py_False || (PyList_Check(value) && PyList_Size(value) == 0);
    Py_DECREF(value);
    return result;
}

/* The lists of the input that a reply moves between, with references of their own. */
struct input {
    PyObject *chunks, *pieces;
};

static void release(struct input *input) {
    Py_XDECREF(input->chunks);
    Py_XDECREF(input->pieces);
}

/* Whether the usual case may come: the session lives, no thread waits, and nothing is kept to be sent or processed. */
static int is_usual(const Wire *wire, PyObject *connection, struct input *input) {
    if (PyList_Size(wire->waiting) != 0 || PyDict_Size(wire->queued) != 0) return 0;
    if (!is_empty(connection, module_of.fault) || !is_empty(connection, module_of.rows)) return 0;
    PyObject *all = PyObject_GetAttr(connection, module_of.input);
    if (all == NULL || !PyTuple_Check(all) || PyTuple_Size(all) != 3) {
        Py_XDECREF(all);
        PyErr_Clear();
        return 0;
    }
    PyObject *received = PyTuple_GetItem(all, 2), *lines = PyTuple_GetItem(all, 1);
    input->chunks = PyTuple_GetItem(all, 0);
    Py_INCREF(input->chunks);
    input->pieces = PyObject_GetAttr(received, module_of.pieces);
    int result = input->pieces != NULL && PyList_Check(input->pieces) && PyList_Check(lines) && PyList_Size(lines) == 0
        && PyList_Check(input->chunks) && PyList_Size(input->chunks) == 0 && is_empty(received, module_of.repeats);
    Py_DECREF(all);
    PyErr_Clear();
    if (!result) release(input);
    return result;
}

static PyObject *left(enum outcome outcome) { return PyLong_FromLong(outcome); }

/* Takes what was read. Returns the reply, if it is that and nothing else; otherwise it is left to the caller. */
static PyObject *take(
    const Wire *wire, const struct input *input, PyObject *request, PyObject *tag, const char *bytes, Py_ssize_t count) {
    PyObject *chunk = PyBytes_FromStringAndSize(bytes, count);
    int is_kept = chunk != NULL && PyList_Append(input->chunks, chunk) == 0;
    Py_XDECREF(chunk);
    if (!is_kept) return NULL;
    const char *first = PyBytes_AsString(tag);
    Py_ssize_t length = PyBytes_Size(tag);
    if (count <= length || memcmp(bytes, first, (size_t)length) != 0
        || memchr(bytes, '\n', (size_t)count) != bytes + count - 1 || PyList_Size(input->pieces) >= MOST_PIECES)
        return left(WAIT);
    PyObject *reply = PyBytes_FromStringAndSize(bytes, count - 1);
    if (reply == NULL) return NULL;
    /* From here on, the request has its reply, whatever fails. */
    if (PyObject_SetAttr(request, module_of.reply, reply) != 0 || PyList_Append(input->pieces, chunk) != 0
        || PyList_SetSlice(input->chunks, 0, 1, NULL) != 0) {
        Py_DECREF(reply);
        return NULL;
    }
    if (PyDict_DelItem(wire->open, tag) != 0) PyErr_Clear();
    /* Another thread waits: the caller wakes it. */
    if (PyList_Size(wire->waiting) != 1 || PyList_SetSlice(wire->waiting, 0, 1, NULL) != 0) {
        Py_DECREF(reply);
        return left(WAIT);
    }
    return reply;
}

struct text {
    const char *bytes;
    Py_ssize_t length;
};

/* A thread leaves `converse`. */
static void leave(Wire *wire) {
    wire->users--;
    if (wire->users > 0 || wire->closing < 0) return;
    close(wire->closing);
    wire->closing = -1;
}

static PyObject *converse(
    Wire *wire, const struct input *input, PyObject *request, PyObject *tag, struct text first, struct text second) {
    char bytes[READ_SIZE];
    memcpy(bytes, first.bytes, (size_t)first.length);
    memcpy(bytes + first.length, second.bytes, (size_t)second.length);
    size_t size = (size_t)(first.length + second.length + 1);
    bytes[size - 1] = '\n';
    if (PyDict_SetItem(wire->open, tag, request) != 0) return NULL;
    ssize_t count = send(wire->descriptor, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) Py_RETURN_NONE;
    if (PyList_Append(wire->waiting, request) != 0) return NULL;
    if ((size_t)count != size) return left(END);
    int error, descriptor = wire->descriptor;
    wire->users++;
    Py_BEGIN_ALLOW_THREADS
    count = recv(descriptor, bytes, sizeof bytes, 0);
    error = errno;
    Py_END_ALLOW_THREADS
    leave(wire);
    /* The end of input and errors come again. */
    if (count <= 0) return left(count < 0 && (error == EAGAIN || error == EWOULDBLOCK) ? LOOK : WAIT);
    return take(wire, input, request, tag, bytes, count);
}

/*
 * exchange(connection, request, tag, text): sends a line, waits for one line, and returns it if it is the reply.
 *
 * Otherwise it returns None if nothing was done, or a number: `WAIT` to wait in the queue, as the request is in it;
 * `LOOK` to look at the clock first; `END` to end the session first, as a part of the line was sent.
 */
static PyObject *wire_exchange(PyObject *self, PyObject *arguments) {
    Wire *wire = (Wire *)self;
    if (PyTuple_Size(arguments) != 4) {
        PyErr_SetString(PyExc_TypeError, "`exchange` takes four arguments");
        return NULL;
    }
    PyObject *connection = PyTuple_GetItem(arguments, 0), *request = PyTuple_GetItem(arguments, 1);
    PyObject *tag = PyTuple_GetItem(arguments, 2), *text = PyTuple_GetItem(arguments, 3);
    char *first, *second;
    Py_ssize_t length, more;
    if (PyBytes_AsStringAndSize(tag, &first, &length) != 0 || PyBytes_AsStringAndSize(text, &second, &more) != 0)
        return NULL;
    struct input input;
    if (wire->descriptor < 0 || length + more >= MOST_LINE || !is_usual(wire, connection, &input)) Py_RETURN_NONE;
    PyObject *result = converse(wire, &input, request, tag, (struct text){first, length}, (struct text){second, more});
    release(&input);
    return result;
}

/*
 * close(detach): takes the descriptor by that method of the socket, and closes it once no thread reads from it. The
 * caller has shut the socket down, so that no thread waits.
 */
static PyObject *wire_close(PyObject *self, PyObject *detach) {
    Wire *wire = (Wire *)self;
    PyObject *number = PyObject_CallObject(detach, NULL);
    if (number == NULL) return NULL;
    int descriptor = (int)PyLong_AsLong(number);
    Py_DECREF(number);
    if (descriptor < 0) {
        /* It was closed before. */
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    wire->descriptor = -1;
    wire->closing = descriptor;
    wire->users++;
    leave(wire);
    Py_RETURN_NONE;
}

static PyMethodDef wire_methods[] = {
    {"close", wire_close, METH_O, NULL},
    {"exchange", wire_exchange, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot wire_slots[] = {
    {Py_tp_new, refuse_new},
    {Py_tp_dealloc, wire_dealloc},
    {Py_tp_traverse, wire_traverse},
    {Py_tp_methods, wire_methods},
    {0, NULL},
};

PyType_Spec wire_spec = {
    "prwlock._slots.Wire", sizeof(Wire), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, wire_slots};
