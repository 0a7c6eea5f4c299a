"""Compiled loops on the threads of an OpenMP library, none of which ever asks for the interpreter's lock.

With a callback in Python each thread would have to: it would be asleep by the time the lock comes, and a warp is over
in a millisecond. So the callback is outlined by the compiler, as it is from OpenMP's own loops in C.

Compiled code of this file is kept on disk with that of the kernels: after an edit here, touch their files.
"""

from typing import Any, no_type_check

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT, _BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
_CALLBACK = ir.FunctionType(ir.VoidType(), (_BYTES,))
_PARALLEL = ir.FunctionType(ir.VoidType(), (_CALLBACK.as_pointer(), _BYTES, ir.IntType(32), ir.IntType(32)))


@intrinsic
def run_on_team(typing: Any, parallel: Any, threads: Any, kernel: Any, work: Any, arguments: Any) -> Any:
    """Call `kernel(row, *arguments)` with every row [1, 4] of `work`, on the thread that is free; how many failed.

    For compiled code. `parallel` is the address of GNU's GOMP_parallel(function, data, threads, flags).
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, count, _, *shared = values
        data = cgutils.alloca_once(builder, ir.LiteralStructType([_INT, _INT, *(value.type for value in shared)]))
        for place, value in enumerate((_INT(0), _INT(0), *shared)):
            builder.store(value, cgutils.gep_inbounds(builder, data, 0, place))
        callback = _outlined(context, builder, data.type, (kernel, work, arguments))
        start = builder.inttoptr(address, _PARALLEL.as_pointer())
        short = ir.IntType(32)
        builder.call(start, [callback, builder.bitcast(data, _BYTES), builder.trunc(count, short), short(0)])
        return builder.load(cgutils.gep_inbounds(builder, data, 0, 1))

    return types.int64(types.int64, types.int64, kernel, work, arguments), generate


def _outlined(context: Any, builder: Any, of_data: Any, kinds: tuple[Any, Any, Any]) -> ir.Function:
    """What each thread runs: take the next row, by an atomic counter, until there is none."""
    kernel, work, arguments = kinds
    row = context.compile_subroutine(builder, _call_with_row, types.void(kernel, work, types.int64, arguments))
    name = builder.module.get_unique_name("on_each_thread")
    function = ir.Function(builder.module, _CALLBACK, name)
    function.linkage = "internal"
    enter, head, body, failed, leave = (
        function.append_basic_block(n) for n in ("enter", "head", "body", "failed", "leave")
    )
    inner = ir.IRBuilder(enter)
    data = inner.bitcast(function.args[0], of_data)
    following, failures, *places = (cgutils.gep_inbounds(inner, data, 0, place) for place in range(4))
    rows, shared = (inner.load(place) for place in places)
    number = cgutils.unpack_tuple(inner, context.make_array(work)(context, inner, rows).shape)[0]
    inner.branch(head)
    inner.position_at_end(head)
    taken = inner.atomic_rmw("add", following, _INT(1), "monotonic")
    inner.cbranch(inner.icmp_signed("<", taken, number), body, leave)
    inner.position_at_end(body)
    given = (context.get_dummy_value(), rows, taken, shared)
    status, _ = context.call_internal_no_propagate(inner, row.fndesc, row.signature, given)
    inner.cbranch(status.is_error, failed, head)
    inner.position_at_end(failed)
    inner.atomic_rmw("add", failures, _INT(1), "monotonic")
    inner.branch(head)
    inner.position_at_end(leave)
    inner.ret_void()
    return function


@no_type_check
def _call_with_row(kernel, work, number, arguments):
    kernel(work[number : number + 1], *arguments)
