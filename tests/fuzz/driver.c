/* The fuzzer's two entry points: Python begins once, and every input goes to harness.pyx. */

#include <Python.h>

#include "harness_api.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    Py_InitializeEx(0);
    if (import_ext__harness() < 0) {
        PyErr_Print();
        abort();
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    judge_input(data, size);
    return 0;
}
