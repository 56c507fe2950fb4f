"""Short vectors as values in compiled loops: 8 numbers that one instruction treats at once.

What this does: gives kernels (:mod:`hippflow.compiling`) vectors that stay in registers, which
leaving it to LLVM to find loops that it can vectorise does not promise. On processors without
512-bit registers LLVM makes two or four of each. Sums are fused multiply-adds everywhere, so that
every processor computes the same bits.

What it does not: check indices, or do anything outside of compiled code.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

#: Numbers in a vector, and rows that are loaded, filtered and stored together.
LANES = 8


class Vector(types.Type):
    """The type of a vector of doubles or floats."""

    def __init__(self, dtype: types.Float, lanes: int = LANES):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Vector({dtype}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is one value of LLVM's."""

    def __init__(self, manager: Any, vector: Vector):
        element = ir.FloatType() if vector.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


DOUBLES, FLOATS, HALF = Vector(types.float64), Vector(types.float32), Vector(types.float64, LANES // 2)


def _indices(numbers: Iterable[int]) -> ir.Constant:
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


def _address(context: Any, builder: ir.IRBuilder, array_type: types.Array, array: Any, index: Any, vector: Vector):
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(vector).as_pointer())


def _splat(builder: ir.IRBuilder, number: Any, lanes: int = LANES) -> Any:
    nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, _indices([0] * lanes))


def _fma(builder: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, rounded once."""
    function_type = ir.FunctionType(z.type, [z.type] * 3)
    name = f"llvm.fma.v{z.type.count}f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), [x, y, z])


def _loader(vector: Vector) -> Callable:
    def codegen(context, builder, signature, args):
        address = _address(context, builder, signature.args[0], *args, vector)
        return builder.load(address, align=vector.dtype.bitwidth // 8)

    return codegen


@intrinsic
def load(typing, array, index):
    """Return the 8 doubles of an array from an index on."""
    return DOUBLES(array, types.intp), _loader(DOUBLES)


@intrinsic
def load_half(typing, array, index):
    """Return the 4 doubles of an array from an index on."""
    return HALF(array, types.intp), _loader(HALF)


@intrinsic
def splat(typing, number):
    """Return a vector of one double, 8 times."""

    def codegen(context, builder, signature, args):
        return _splat(builder, *args)

    return DOUBLES(types.float64), codegen


@intrinsic
def lower(typing, x):
    """Return the first 4 of 8 doubles."""

    def codegen(context, builder, signature, args):
        return builder.shuffle_vector(args[0], args[0], _indices(range(LANES // 2)))

    return HALF(x), codegen


@intrinsic
def slide(typing, x, y):
    """Return a vector without its first number, and with the first of another one at its end."""

    def codegen(context, builder, signature, args):
        end = builder.shuffle_vector(args[1], args[1], _indices([0] * x.lanes))
        return builder.shuffle_vector(args[0], end, _indices(range(1, x.lanes + 1)))

    return x(x, y), codegen


@intrinsic
def first(typing, x):
    """Return the first number of a vector."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(args[0], ir.Constant(ir.IntType(32), 0))

    return x.dtype(x), codegen


@intrinsic
def fma(typing, x, y, z):
    """Return x * y + z, rounded once."""

    def codegen(context, builder, signature, args):
        return _fma(builder, *args)

    return x(x, x, x), codegen


def _rows_at(context: Any, builder: ir.IRBuilder, array_type: types.Array, array: Any, index: Any, step: Any, vector):
    """Return the addresses of 8 vectors in an array, `step` numbers apart."""
    places = [builder.add(index, builder.mul(step, ir.Constant(step.type, k))) for k in range(LANES)]
    return [_address(context, builder, array_type, array, place, vector) for place in places]


@intrinsic
def load_rows(typing, array, index, step):
    """Return 8 vectors, each the 8 numbers of an array from `index` + k * `step` on."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        addresses = _rows_at(context, builder, array, *args, vector)
        rows = [builder.load(address, align=array.dtype.bitwidth // 8) for address in addresses]
        return context.make_tuple(builder, signature.return_type, rows)

    return types.UniTuple(vector, LANES)(array, types.intp, types.intp), codegen


@intrinsic
def load_stretches(typing, head, array, index, step, behind):
    """Return as :func:`load_rows` does, but vectors that begin less than `behind` after the first from `head`.

    The array begins `behind` numbers after the head.
    """
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        start = builder.sub(args[2], args[4])
        early = _rows_at(context, builder, head, args[0], args[2], args[3], vector)
        late = _rows_at(context, builder, array, args[1], start, args[3], vector)
        rows = []
        for k in range(LANES):
            place = builder.mul(args[3], ir.Constant(args[3].type, k))
            address = builder.select(builder.icmp_signed("<", place, args[4]), early[k], late[k])
            rows.append(builder.load(address, align=array.dtype.bitwidth // 8))
        return context.make_tuple(builder, signature.return_type, rows)

    return types.UniTuple(vector, LANES)(head, array, types.intp, types.intp, types.intp), codegen


@intrinsic
def store_rows(typing, array, index, step, rows):
    """Put 8 vectors into an array, each from `index` + k * `step` on."""

    def codegen(context, builder, signature, args):
        addresses = _rows_at(context, builder, array, *args[:3], rows.dtype)
        for row, address in zip(cgutils.unpack_tuple(builder, args[3]), addresses, strict=True):
            builder.store(row, address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows), codegen


@intrinsic
def widen(typing, rows):
    """Return 8 vectors as vectors of doubles."""

    def codegen(context, builder, signature, args):
        some = cgutils.unpack_tuple(builder, args[0])
        if rows.dtype != DOUBLES:
            some = [builder.fpext(row, context.get_value_type(DOUBLES)) for row in some]
        return context.make_tuple(builder, signature.return_type, some)

    return types.UniTuple(DOUBLES, LANES)(rows), codegen


@intrinsic
def narrow(typing, rows):
    """Return 8 vectors of doubles as vectors of floats."""

    def codegen(context, builder, signature, args):
        some = [builder.fptrunc(row, context.get_value_type(FLOATS)) for row in cgutils.unpack_tuple(builder, args[0])]
        return context.make_tuple(builder, signature.return_type, some)

    return types.UniTuple(FLOATS, LANES)(rows), codegen


@intrinsic
def transpose(typing, rows):
    """Turn 8 vectors of 8 into the 8 of their first, second, ... numbers."""

    def codegen(context, builder, signature, args):
        some = cgutils.unpack_tuple(builder, args[0])
        for step in (1, 2, 4):
            # Of each pair of rows `step` apart, squares of that size off the diagonal change places.
            low = _indices(i + LANES - step if i & step else i for i in range(LANES))
            high = _indices(i + LANES if i & step else i + step for i in range(LANES))
            for k in range(LANES):
                if not k & step:
                    pair = some[k], some[k + step]
                    some[k], some[k + step] = builder.shuffle_vector(*pair, low), builder.shuffle_vector(*pair, high)
        return context.make_tuple(builder, signature.return_type, some)

    return rows(rows), codegen


@intrinsic
def recur(typing, old, new, results, b, a):
    """Run a recursive filter over 8 rows.

    Its numerator has no odd coefficients and is the same, or the same but for the sign, from its end: pairs of
    rows are added before they are multiplied, in units of the processor that are idle otherwise.

    Parameters
    ----------
    old, new, results : tuples of 8 vectors of doubles
        The 8 rows before, these, and the results of those before.
    b : tuple of float
        Coefficients 0, 2, 4, ... of the numerator, up to the middle; without the first if that is 1.
    a : tuple of float
        Coefficients 1, 2, ... of the denominator, at most 8, whose first is 1.

    Returns
    -------
    tuple of 8 vectors of doubles
    """
    order = a.count
    pairs = order // 4 + 1
    if order > LANES or order % 2 or b.count not in (pairs - 1, pairs):
        raise TypeError(f"expected 2, 4, 6 or 8 coefficients and half of as many, found {order} and {b.count}")

    def codegen(context, builder, signature, args):
        x = [*cgutils.unpack_tuple(builder, args[0]), *cgutils.unpack_tuple(builder, args[1])]
        y = cgutils.unpack_tuple(builder, args[2])
        numerator = [_splat(builder, number) for number in cgutils.unpack_tuple(builder, args[3])]
        feedback = [_splat(builder, builder.fneg(number)) for number in cgutils.unpack_tuple(builder, args[4])]
        combine = builder.fsub if order // 2 % 2 else builder.fadd
        for row in range(LANES, 2 * LANES):
            total = None if b.count == pairs else combine(x[row], x[row - order])
            for k, factor in zip(reversed(range(pairs)), reversed(numerator), strict=False):
                pair = x[row - 2 * k], x[row - order + 2 * k]
                term = pair[0] if 4 * k == order else combine(*pair)
                total = builder.fmul(factor, term) if total is None else _fma(builder, factor, term, total)
            for k in reversed(range(1, order + 1)):  # the latest result comes last: nothing else waits for it
                total = _fma(builder, feedback[k - 1], y[row - k], total)
            y.append(total)
        return context.make_tuple(builder, signature.return_type, y[LANES:])

    return results(old, new, results, b, a), codegen
