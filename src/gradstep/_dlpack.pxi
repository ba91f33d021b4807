# Part of _torch.pyx: how tensors describe their memory to C.
#
# DLPack 1.3; dlpack.h has the same, field by field.

ctypedef struct DLTensor:
    void *data
    int32_t device_type
    int32_t device_id
    int32_t ndim
    uint8_t code
    uint8_t bits
    uint16_t lanes
    int64_t *shape
    int64_t *strides  # in elements; NULL: C order
    uint64_t byte_offset

ctypedef int (*look_fn)(void *tensor, DLTensor *out) except -1

ctypedef struct ExchangeAPI:
    uint32_t major
    uint32_t minor
    void *older
    void *allocate
    void *to_managed
    void *from_managed
    look_fn look
    void *current_stream

ON_CPU, ON_CUDA = 1, 2  # kDLCPU, kDLCUDA


cdef look_fn find_look(capsule) except? NULL:
    if capsule is None:
        return NULL
    cdef ExchangeAPI *api = <ExchangeAPI *>PyCapsule_GetPointer(
        capsule, "dlpack_exchange_api"
    )
    return api.look if api.major == 1 else NULL


cdef inline bint of_one_type(const DLTensor *a, const DLTensor *b) noexcept:
    return a.code == b.code and a.bits == b.bits and a.lanes == b.lanes


cdef inline bint alike(const DLTensor *a, const DLTensor *b) noexcept:
    """On the same device, of one shape and order of elements."""
    cdef int32_t k
    if (
        a.device_type != b.device_type
        or a.ndim != b.ndim
        or a.strides == NULL
        or b.strides == NULL
    ):
        return False
    for k in range(a.ndim):
        if a.shape[k] != b.shape[k]:
            return False
    for k in range(a.ndim):
        if a.strides[k] != b.strides[k] and a.shape[k] > 1:
            return False
    return True


cdef inline int64_t elements(const DLTensor *a) noexcept:
    cdef int64_t n = 1
    cdef int32_t k
    for k in range(a.ndim):
        n *= a.shape[k]
    return n * 2 if a.code == 5 else n  # kDLComplex: pairs of reals


cdef inline void *begin_of(const DLTensor *a) noexcept:
    return <char *>a.data + a.byte_offset
