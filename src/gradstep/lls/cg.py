r"""Least-squares solutions of a system, along conjugate directions.

Each vector z takes steps along directions d, each conjugate to all before it:
:math:`d_i^\top A^\top A d_j = 0`. The gradient :math:`A^\top (t - A z)`,
computed afresh from all rows, gives the next direction, and the best step along it is
taken. So errors do not add up, and about as many steps as there are different singular
values reach the solution. In exact arithmetic directions are conjugate by themselves to
those before the last; in floating-point arithmetic they are made so again, as otherwise
a large condition takes many times as many steps.

A vector is done by the criteria of LSQR: its gradient is small,
:math:`|A^\top r| \le \text{tol} |A| |r|`, or its residual is, :math:`|r| \le \text{tol}
(|t| + |N z|)` with the norms N of columns. Either means that z solves exactly a system
that differs from the given one by a share of tol.

Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952;
Paige and Saunders, "LSQR", ACM TOMS 8, 1982; for conjugation again, Simon, "The Lanczos
algorithm with partial reorthogonalization", Math. Comp. 42, 1984.
"""

import math

import numpy as np

from gradstep import _lls
from gradstep.lls.system import Point, Sums, System
from gradstep.structure import Array

_EPS = float(np.finfo(np.float64).eps)

# What rounding leaves of gradients and residuals, relative to their terms.
ATTAINABLE = 8 * _EPS

# A last step that moved A z by no more of its size confirms the criteria.
_CONFIRMS = 64 * _EPS

# A gradient of which less is new, conjugate to earlier directions, has nothing new.
_NOTHING_NEW = 16 * _EPS

# After a step that changed nothing, gradients of which less is new are the errors of
# earlier steps, which their directions cannot mend.
_STALE = 0.1

# How often a vector may begin with new directions before that has halved its ratio.
_RENEWALS = 5

# A step that makes a residual longer than this, beside before, is taken back.
_GROWS = 1 + 1e-6

# A residual this small beside what it was computed from becomes that of a new base.
_REBASE = 1 / 4

# Bytes of all directions that are kept.
_MEMORY = 1 << 26


class Directions:
    """Directions p with |A p| = 1, and their images A'A p: the last ones that fit."""

    def __init__(self, features: int, capacity: int) -> None:
        self._capacity, self._count, self._next = max(2, capacity), 0, 0
        room = min(4, self._capacity)
        self._directions = np.empty((room, features))
        self._images = np.empty((room, features))

    def __bool__(self) -> bool:
        return self._count > 0

    def clear(self) -> None:
        """Forget all of them."""
        self._count = self._next = 0

    def add(self, direction: Array, image: Array) -> None:
        """Keep one more, in the place of the oldest if there is no room."""
        room = len(self._directions)
        if self._count == room < self._capacity:
            more = min(self._capacity, 2 * room) - room
            self._directions = np.pad(self._directions, ((0, more), (0, 0)))
            self._images = np.pad(self._images, ((0, more), (0, 0)))
        self._directions[self._next], self._images[self._next] = direction, image
        self._count = min(self._count + 1, len(self._directions))
        self._next = (self._next + 1) % self._capacity

    def conjugate(self, gradient: Array) -> Array:
        """Return what of a gradient is conjugate to all of them."""
        direction = gradient.copy()
        _lls.conjugate(direction, self._directions, self._images, self._count)
        return direction

    def best_step(self, gradient: Array) -> Array:
        """Return the best step in the space that they span."""
        step = np.zeros_like(gradient)
        for direction in self._directions[: self._count]:
            step += _lls.dot(direction, gradient) * direction
        return step


class Vector:
    """How far one vector has come: its directions, its last step, and the criteria."""

    def __init__(self, directions: Directions) -> None:
        self.directions = directions
        self.done = False
        self.meets_criteria = False
        self.ratio = math.inf  # the least tol by which it would
        self.gradient_norm = self.base_norm = math.inf  # the latter of its residual
        self.rate = 0.0  # the last step is this multiple of its direction
        self.moved = math.inf  # A z in the last step
        self.new_share = 1.0  # the share of the last gradient in its direction
        self.is_stale = False
        self.least_curvature = math.inf  # the least |A d| / |d|
        self._renewals, self._ratio_before = 0, math.inf

    def renew(self) -> bool:
        """Begin with new directions; return False where that has been to no avail."""
        self.directions.clear()
        if self.ratio <= self._ratio_before / 2:
            self._renewals, self._ratio_before = 0, self.ratio
        self._renewals += 1
        return self._renewals <= _RENEWALS


class Descent:
    """Several vectors that descend in the same passes, each as if it were alone.

    Parameters
    ----------
    system : System
    start : array of shape (K, L)
        Where vectors begin.
    targets : int
        The first so many vectors are those of targets; the others have targets of 0.
    tol : float
        Of the criteria, for targets; anything below `ATTAINABLE`, as for the other
        vectors, is as much as rounding allows.
    rank_tol : float
        A direction belongs to the null space if |A d| is at most this share of what it
        would be if columns were at right angles.
    """

    def __init__(
        self,
        system: System,
        start: Array,
        *,
        targets: int,
        tol: float,
        rank_tol: float,
    ) -> None:
        self.system, self._targets = system, targets
        self.tol, self._rank_tol = tol, rank_tol
        K, L = start.shape
        # A share that is made of rounding.
        self._rounding = ATTAINABLE * math.sqrt(max(1, L)) * system.rounding
        capacity = _MEMORY // (16 * max(1, L) * max(1, K))
        self.state = [Vector(Directions(L, capacity)) for _ in range(K)]
        centre, self._target_norms = np.zeros(K), np.zeros(K)
        centre[:targets] = system.target_centre[:targets]
        self._target_norms[:targets] = system.target_norms[:targets]
        self._point = Point(start, np.zeros_like(start), centre, np.zeros(K))
        self.squares: Array = np.zeros(K)
        self.norms: Array = np.zeros(K)
        self._gradients: Array = np.zeros_like(start)
        self._evaluate()

    @property
    def vectors(self) -> Array:
        """Where they are, (K, L)."""
        return self._point.vectors

    @property
    def intercepts(self) -> tuple[Array, Array]:
        """Of the centred system, in the units of targets: two for each, (K,)."""
        return self._point.centre, self._point.offset

    @property
    def done(self) -> bool:
        """Whether no vector has anything left to do."""
        return all(vector.done for vector in self.state)

    def advance(self) -> None:
        """Take a step with each vector that is not done."""
        directions: Array = np.zeros_like(self._gradients)
        for k, vector in enumerate(self.state):
            if not vector.done:
                directions[k] = self._direction(k, vector)
        images = self._checked(self.system.images(directions))
        step = self._point.step.copy()
        for k, vector in enumerate(self.state):
            if vector.done:
                continue
            curvature = self._curvature(directions[k], images.norms[k])
            if curvature > self._rank_tol:
                step[k] += self._step(k, directions[k], images)
            elif curvature > self._rounding or not vector.directions:
                vector.done = True  # the rest of the gradient is in the null space
            elif not vector.renew():
                vector.done = True
        self._move(self._point._replace(step=step))

    def polish(self, directions: Directions) -> None:
        """Take the best steps along another vector's directions, where they help."""
        steps = np.array([directions.best_step(g) for g in self._gradients])
        self._move(self._point._replace(step=self._point.step + steps))

    def _move(self, point: Point) -> None:
        """Go to a point, but not with vectors whose residuals would grow.

        The best step along a direction makes a residual shorter, unless the direction
        is made of rounding.
        """
        before, squares, norms = self._point, self.squares, self.norms
        gradients, self._point = self._gradients, point
        self._evaluate()
        terms = np.array([self._terms(k) for k in range(len(norms))])
        stays = self.norms > _GROWS * norms + _CONFIRMS * terms
        if not stays.any():
            return
        self._point = before.where(stays, self._point)
        self.squares = np.where(stays, squares, self.squares)
        self.norms = np.where(stays, norms, self.norms)
        self._gradients = np.where(stays[:, np.newaxis], gradients, self._gradients)
        for k, vector in enumerate(self.state):
            if stays[k]:
                self._judge(k, vector)
                vector.is_stale = True

    def _direction(self, k: int, vector: Vector) -> Array:
        """Return the gradient, made conjugate to earlier directions.

        If nothing of it is new, what is left are errors of earlier steps: then the
        directions begin anew, or there is none.
        """
        gradient: Array = self._gradients[k]
        if not vector.directions:
            return gradient
        if not vector.is_stale:
            direction = vector.directions.conjugate(gradient)
            leads_down = _lls.dot(direction, gradient) > 0
            if leads_down and length(direction) > _NOTHING_NEW * length(gradient):
                return direction
        return gradient if vector.renew() else np.zeros_like(gradient)

    def _curvature(self, direction: Array, norm: float) -> float:
        """Return |A d| beside what it would be if columns were at right angles."""
        return _share(norm, length(self.system.column_norms * direction))

    def _step(self, k: int, direction: Array, images: Sums) -> Array:
        """Return the best step along a direction, and keep the direction."""
        vector, norm = self.state[k], images.norms[k]
        slope = _lls.dot(self._gradients[k], direction)
        vector.rate = slope / (norm * norm)
        vector.moved = slope / norm
        vector.new_share = length(direction) / length(self._gradients[k])
        if vector.moved > _CONFIRMS * self._terms(k):  # else it is made of rounding
            curvature = norm / length(direction)
            vector.least_curvature = min(vector.least_curvature, curvature)
        vector.directions.add(direction / norm, images.products[k] / norm)
        return np.asarray(vector.rate * direction)

    def _evaluate(self) -> None:
        """Compute all gradients, and see which vectors are done."""
        sums = self._checked(self.system.residuals(self._point, self._targets))
        self.squares, self.norms = sums.squares, sums.norms
        self._gradients = -sums.products
        # The intercept takes up the mean of residuals at once.
        offset = self._point.offset - sums.mean
        self._point = self._rebased(self._point._replace(offset=offset))
        for k, vector in enumerate(self.state):
            self._judge(k, vector)

    def _rebased(self, point: Point) -> Point:
        """Move the bases of vectors whose residuals are small beside their terms."""
        is_small = np.zeros(len(self.state), bool)
        for k, vector in enumerate(self.state):
            terms = length(self.system.column_norms * point.step[k])
            if self.norms[k] <= _REBASE * max(vector.base_norm, terms):
                is_small[k], vector.base_norm = True, self.norms[k]
        return point.rebased.where(is_small, point)

    def _judge(self, k: int, vector: Vector) -> None:
        """See whether a vector meets the criteria, or has come to rest."""
        size, norm, target = self.system.size, self.norms[k], self._target_norms[k]
        terms = self._terms(k)
        before, vector.gradient_norm = vector.gradient_norm, length(self._gradients[k])
        vector.ratio = min(
            _share(vector.gradient_norm, size * norm), _share(norm, target + terms)
        )
        rests = vector.moved <= _CONFIRMS * terms + ATTAINABLE * target
        is_unchanged = before / 2 <= vector.gradient_norm <= 2 * before
        vector.is_stale = rests and is_unchanged and vector.new_share < _STALE
        is_loose = self.tol > ATTAINABLE and k < self._targets
        if vector.ratio <= (self.tol if is_loose else ATTAINABLE * rests):
            vector.done = vector.meets_criteria = True

    def _terms(self, k: int) -> float:
        """Return |N z|, the length of A z if columns were at right angles."""
        return length(self.system.column_norms * self.vectors[k])

    def _checked(self, sums: Sums) -> Sums:
        """Return sums that are finite."""
        if not (np.isfinite(sums.norms).all() and np.isfinite(sums.products).all()):
            self.system.refuse_range()
        return sums


def _share(part: float, whole: float) -> float:
    """Return part / whole; 0 of 0 is 0."""
    return part / whole if whole else math.inf * part if part else 0.0


def length(a: Array) -> float:
    """Return the norm of a vector, with the same bits on every machine."""
    return math.sqrt(_lls.dot(a, a))
