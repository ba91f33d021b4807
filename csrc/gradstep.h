/* gradstep.h: steps from C or Cython code, without Python and without the GIL.
 *
 *     const gradstep_api *gs = gradstep_import();    // with the GIL; NULL: raised
 *     gs_plan plan;
 *     if (!gs->plan_init(&plan, tensors, groups)) no memory;
 *     for each tensor: segment.kernel = gs->find("adam", "f64"), segment.p, .n, .state,
 *         group; norm = gs->find("norm", "f64") if a group clips
 *     for each group: hyper in the order of kernel->hyper; grad_scale is 1
 *     if (!gs->plan_reserve(&plan)) no memory;
 *     in each step: segment.g and moving = true, of those that have a gradient;
 *     gs->plan_step(&plan, NULL);
 *     gs->plan_free(&plan);
 *
 * All arrays are without gaps, of the kernel's type and in one order of elements;
 * what a step writes overlaps nothing else; norm and plan_reserve are not optional.
 * Nobody checks that here. States begin as gradstep.functional.init makes them,
 * mostly zero. plan_step may be called from any thread, for one plan from one at a
 * time. gradstep_import is here if Python.h was included before. */
#ifndef GRADSTEP_H
#define GRADSTEP_H

#include "plan.h"

/* Changes whenever a struct or a function of these headers does. */
enum { GRADSTEP_API = 4 };

typedef struct gradstep_api {
    int version;
    /* The rule's kernel for a type, "f32" or "f64"; NULL if there is none. */
    const gs_kernel *(*find)(const char *rule, const char *dtype);
    bool (*plan_init)(gs_plan *plan, size_t tensors, size_t groups);
    bool (*plan_reserve)(gs_plan *plan);
    gs_report (*plan_step)(gs_plan *plan, const gs_scaling *scaling);
    gs_report (*plan_measure)(gs_plan *plan, const gs_scaling *scaling);
    void (*plan_free)(gs_plan *plan);
} gradstep_api;

#ifdef Py_PYTHON_H
/* NULL, and an exception, if gradstep is not there or is not that of this header. */
static inline const gradstep_api *gradstep_import(void)
{
    const gradstep_api *api =
        (const gradstep_api *)PyCapsule_Import("gradstep._core.c_api", 0);
    if (api && api->version != GRADSTEP_API) {
        PyErr_Format(PyExc_ImportError,
                     "built for version %d of gradstep's C interface, found %d; "
                     "build it again",
                     GRADSTEP_API, api->version);
        return NULL;
    }
    return api;
}
#endif

#endif
