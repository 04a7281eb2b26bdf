/* The Python face of extract.c, by the limited API. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdlib.h>
#include <string.h>

#include "extract.h"

static PyObject *array_of(const void *from, size_t size) {
    return PyByteArray_FromStringAndSize(size ? from : "", (Py_ssize_t)size);
}

/* The strings or bytes of a piece; equal ones beside one another are one object. */
static PyObject *texts_of(const piece *p, const char *block) {
    PyObject *list = PyList_New((Py_ssize_t)p->rows), *last = NULL;
    uint32_t before[2] = {0, 0};
    for (size_t i = 0; list && i < p->rows; i++) {
        uint32_t span[2];
        memcpy(span, p->values + 8 * i, 8);
        if (last && span[1] == before[1] && !memcmp(block + span[0], block + before[0], span[1])) Py_INCREF(last);
        else if (p->tag == TEXT) last = PyUnicode_DecodeUTF8(block + span[0], span[1], "surrogateescape");
        else last = PyBytes_FromStringAndSize(block + span[0], span[1]);
        if (!last || PyList_SetItem(list, (Py_ssize_t)i, last)) Py_CLEAR(list);
        memcpy(before, span, sizeof span);
    }
    return list;
}

static int add_piece(PyObject *list, const column *one, const piece *p, const char *block) {
    PyObject *values = p->tag == TEXT || p->tag == BYTES ? texts_of(p, block) : array_of(p->values, p->rows * p->width);
    PyObject *rows = array_of(p->row, p->rows * sizeof *p->row);
    PyObject *places = array_of(p->place, p->rows * sizeof *p->place);
    PyObject *name = PyUnicode_DecodeUTF8((const char *)one->name, one->size, "surrogateescape"), *entry = NULL;
    if (values && rows && places && name)
        entry = Py_BuildValue("(OCkOOO)", name, p->tag, (unsigned long)p->count, rows, places, values);
    int failed = !entry || PyList_Append(list, entry);
    Py_XDECREF(entry);
    Py_XDECREF(name);
    Py_XDECREF(places);
    Py_XDECREF(rows);
    Py_XDECREF(values);
    return failed;
}

static PyObject *result_of(const extraction *out, const char *block) {
    PyObject *list = PyList_New(0), *left = array_of(out->left, out->lefts * sizeof *out->left), *result = NULL;
    int failed = !list || !left;
    for (uint32_t i = 0; i < out->count; i++)
        for (const piece *p = out->columns[i].pieces; p && !failed; p = p->next)
            failed = add_piece(list, &out->columns[i], p, block);
    if (!failed) result = PyTuple_Pack(2, list, left);
    Py_XDECREF(list);
    Py_XDECREF(left);
    return result;
}

/* The names of a tuple of bytes objects, which stay its own. */
static bytes *names_of(PyObject *tuple, size_t *count) {
    *count = (size_t)PyTuple_Size(tuple);
    bytes *names = calloc(*count + 1, sizeof *names);
    if (!names) return (bytes *)PyErr_NoMemory();
    for (size_t i = 0; i < *count; i++) {
        char *begin;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, (Py_ssize_t)i), &begin, &size)) {
            free(names);
            return NULL;
        }
        names[i] = (bytes){(const uint8_t *)begin, (size_t)size};
    }
    return names;
}

static PyObject *py_extract(PyObject *module, PyObject *args) {
    Py_buffer block, offset, length;
    PyObject *wanted, *result = NULL;
    bytes *names = NULL;
    size_t count = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*O", &block, &offset, &length, &wanted)) return NULL;
    if (offset.len != length.len || offset.len % 8 || (wanted != Py_None && !PyTuple_Check(wanted)))
        PyErr_SetString(PyExc_TypeError, "extract(block, offset: int64, length: int64, wanted: tuple of bytes, or None)");
    else if (wanted == Py_None || (names = names_of(wanted, &count))) {
        extraction out;
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = extract(block.buf, (size_t)block.len, offset.buf, length.buf, (size_t)offset.len / 8, names, count,
                         &out);
        Py_END_ALLOW_THREADS
        result = failed ? PyErr_NoMemory() : result_of(&out, block.buf);
        extraction_free(&out);
        free(names);
    }
    PyBuffer_Release(&block);
    PyBuffer_Release(&offset);
    PyBuffer_Release(&length);
    return result;
}

static PyMethodDef methods[] = {
    {"extract", py_extract, METH_VARARGS,
     "extract(block, offset, length, wanted)\n--\n\n"
     "The columns of the frames that begin at *offset* of *block*, and the numbers of those that were not taken.\n\n"
     "Each column comes in pieces (name, tag, count, rows, places, values), one for each type of value."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "trainlog_speed", "Native parts of trainlog.", 0, methods, slots,
                                 NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_trainlog_speed(void) { return PyModuleDef_Init(&definition); }
