# cython: language_level=3, cdivision=True
# cython: freethreading_compatible=True, auto_pickle=False, autotestdict=False
"""Functions of numbers that give the same double everywhere (csrc/host_math.h)."""

from libc.math cimport fmod


cdef extern from "host_math.h" nogil:
    double exponential(double x)
    double whole_power(double b, double n)
    double c_power "power"(double b, double x)
    double c_cospi "cospi"(double x)
    double c_sinpi "sinpi"(double x)


def exp(double x):
    """e^x; 0 below -708, infinity above 709."""
    return exponential(x)


def power(double b, double x):
    """b^x for b >= 0; next to correctly rounded for whole x >= 0."""
    if 0 <= x < 9007199254740992.0 and x == <long long>x:
        return whole_power(b, x)
    return c_power(b, x)


cdef double between(double start, double end, double t, double left) noexcept:
    # t steps after the start, `left` before the end: both given, so that no digits cancel.
    cdef double length = t + left, c = c_cospi(t / length), s
    cdef double start_part = (1 + c) / 2, end_part = (1 - c) / 2
    if t < 0.25 * length:
        s = c_sinpi(t / length / 2)
        end_part = s * s
    elif left < 0.25 * length:
        s = c_sinpi(left / length / 2)
        start_part = s * s
    return start * start_part + end * end_part


def cosine(double start, double end, double t, double length):
    """From start at t = 0 to end at t = length, and back, with period 2 length:
    start (1 + cos(pi q)) / 2 + end (1 - cos(pi q)) / 2 for q = t / length."""
    t = fmod(t, 2 * length)
    t = 2 * length - t if t > length else t
    return between(start, end, t, length - t)


def line(double start, double end, double t, double length):
    """From start at t = 0 to end at t = length, evenly."""
    return start * ((length - t) / length) + end * (t / length)


def phase(double t, tuple ends, tuple values, bint cosine):
    """From value to value: from values[i] to values[i + 1], where ends[i] comes next."""
    cdef Py_ssize_t i = 0, n = len(ends)
    cdef double begin = 0, end = 0
    while i < n:
        end = ends[i]
        if t < end:
            break
        begin = end
        i += 1
    if i == n:
        return values[n]
    cdef double first = values[i], then = values[i + 1]
    if cosine:
        return between(first, then, t - begin, end - t)
    return first * ((end - t) / (end - begin)) + then * ((t - begin) / (end - begin))
