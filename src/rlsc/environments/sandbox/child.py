"""What runs inside the sandbox: one program, its calls, and an encoder of what they return.

Executed by path, or as text in a WebAssembly interpreter, without rlsc and without site-packages:
it imports of the standard library only what costs nothing. A request (`marshal`, in hexadecimal)
comes by stdin or as an argument; out go lines of ASCII, `ready` first, then one a call:

    MILLISECONDS ok CANONICAL | error CLASS | memory | output | not_literal

with the CPU time of the process so far in front of each.

Nothing here is a boundary. A program can reach all of it and write its own lines, and gains nothing
that it could not have returned: what is written is data *claimed* to be the value of `f`.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from _json import encode_basestring_ascii as quoted  # `json` would import `re`: 30 ms in wasm

try:
    import resource
except ImportError:  # wasm: its host sets the limits
    resource = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEPTH, NODES, CHARACTERS, DIGITS = 20, 2000, 1000, 300
PRINTED = 1_000_000
"""Characters that a program may print, all calls together; they are thrown away."""


class NotLiteral(Exception):
    """A value of another type, or deeper than `DEPTH`."""


class TooLong(Exception):
    """A value of more than `NODES` nodes or `CHARACTERS` characters, or a longer int."""


def saved_scalars() -> tuple[tuple[type, ...], Callable[[Any, type], str]]:
    """The types of one node, and `encode(value, type)` for them."""
    size, text, quote = len, repr, quoted
    boolean, integer, real, string, raw = bool, int, float, str, bytes
    most, characters, too_long = 10**DIGITS, CHARACTERS, TooLong

    def scalar(value: Any, is_a: type) -> str:
        if is_a is boolean:
            return "true" if value else "false"
        if is_a is integer:
            if not -most < value < most:
                raise too_long
            return text(value)
        if is_a is real:
            return '{"f":"' + text(value) + '"}'
        if size(value) > characters:
            raise too_long
        return quote(value) if is_a is string else '{"b":"' + value.hex() + '"}'

    return (boolean, integer, real, string, raw), scalar


def saved_encoder() -> Callable[[object], str]:
    """`encode(value)`: canonical text, tagged JSON. Raises `NotLiteral` and `TooLong`.

    What it calls are its own references, so that a program that replaces `len` or `sorted` does not
    change what another writes. None, bools, ints, strings and lists are JSON's; the others are
    `{"f": "0.1"}` float, `{"b": "00ff"}` bytes, `{"t": […]}` tuple, `{"s": […]}` set, `{"z": […]}`
    frozenset, `{"d": [[key, value], …]}` dict. Members of sets, and pairs, are in the order of
    their encoding.
    """
    kind, size, text, order, mapping, pairs_of = type, len, repr, sorted, dict, dict.items
    deepest, nodes, characters = DEPTH, NODES, CHARACTERS
    whole: dict[type, tuple[str, str]] = {list: ("", "")}
    whole |= {tuple: ('{"t":', "}"), set: ('{"s":', "}"), frozenset: ('{"z":', "}")}
    unordered = (set, frozenset)
    not_literal, too_long = NotLiteral, TooLong
    scalars, scalar = saved_scalars()

    def node(value: Any, depth: int, left: list[int]) -> str:
        left[0] -= 1
        if left[0] < 0:
            raise too_long
        if value is None:
            return "null"
        is_a = kind(value)
        if is_a in scalars:
            return scalar(value, is_a)
        if depth >= deepest or not (is_a in whole or is_a is mapping):
            raise not_literal
        if size(value) > left[0]:
            raise too_long
        if is_a is mapping:
            pairs = [
                "[" + node(key, depth + 1, left) + "," + node(item, depth + 1, left) + "]"
                for key, item in pairs_of(value)
            ]
            return '{"d":[' + ",".join(order(pairs)) + "]}"
        members = [node(item, depth + 1, left) for item in value]
        if is_a in unordered:
            members = order(members)
        before, after = whole[is_a]
        return before + "[" + ",".join(members) + "]" + after

    def encode(value: object) -> str:
        encoded = node(value, 0, [nodes])
        if size(text(value)) > characters:
            raise too_long
        return encoded

    return encode


class Sink:
    """Takes the place of stdout and stderr: what is printed is counted and thrown away."""

    encoding, errors, closed = "utf-8", "replace", False

    def __init__(self) -> None:
        self.left = PRINTED

    def write(self, text: str) -> int:
        self.left -= len(text)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def limited(limits: tuple[float, int]) -> None:
    """Set the limits of this process, soft and hard alike: nothing raises them again.

    `limits`: CPU seconds, megabytes. RLIMIT_CPU counts whole seconds; the parent looks at parts.
    """
    cpu, megabytes = limits
    whole = -int(-cpu // 1)
    for name, most in (
        ("AS", megabytes << 20),
        ("CPU", whole),
        ("FSIZE", 0),
        ("NOFILE", 16),
        ("CORE", 0),
        ("STACK", 8 << 20),
        ("NPROC", 1),
    ):
        number = getattr(resource, "RLIMIT_" + name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            value = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:  # noqa: SIM105 (contextlib is not imported yet)
                resource.setrlimit(number, (value, value))
            except (ValueError, OSError):
                pass  # macOS has no limit of memory; the self-test shows what is missing


def reply_stream() -> Callable[[str], object]:
    """A function that writes a line where the parent reads; 0, 1 and 2 are closed to a program."""
    if resource is None:  # wasm: no dup; the host reads fd 1
        return lambda line, write=os.write: write(1, line.encode("ascii") + b"\n")
    out, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)

    def reply(line: str, write: Callable[[int, bytes], int] = os.write) -> None:
        rest = line.encode("ascii") + b"\n"
        while rest:
            rest = rest[write(out, rest) :]

    return reply


def saved_class_name() -> Callable[[BaseException], str]:
    """`class_name(error)`: the class's own name, whatever its metaclass says."""
    kind, printable, name = type, ascii, type.__dict__["__name__"].__get__

    def class_name(error: BaseException) -> str:
        return printable(name(kind(error)))[1:-1].replace(" ", "_")[:100]

    return class_name


_class_name = saved_class_name()


def line_of(
    call: Callable[[], object],
    encode: Callable[[object], str],
    sink: Sink,
    class_name: Callable[[BaseException], str] = _class_name,
) -> str:
    """The line of what `call` returns; never raises."""
    try:
        encoded = encode(call())
        return "output" if sink.left < 0 else "ok " + encoded
    except TooLong:
        return "output"
    except NotLiteral:
        return "not_literal"
    except MemoryError:
        return "memory"
    except BaseException as error:
        return "error " + class_name(error)


def call_of(module: Any, args: tuple[Any, ...], named: dict[str, object]) -> Callable[[], object]:
    return lambda: module.f(*args, **named)


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read()
    program, calls, limits = marshal.loads(bytes.fromhex(source))
    reply, encode, sink = reply_stream(), saved_encoder(), Sink()
    end, describe, clock = os._exit, line_of, time.process_time_ns
    sys.argv[:], sys.stdout, sys.stderr, sys.stdin = ["program"], sink, sink, None
    if resource is not None:
        limited(limits)
    reply("ready")
    # `calls` are literals that a guarded reader has rendered anew: `f(1, x={2})`, inf and nan.
    names: dict[str, object] = {
        "__builtins__": {"set": set, "frozenset": frozenset},
        "f": lambda *args, **named: (args, named),
        "inf": float("inf"),
        "nan": float("nan"),
    }
    given = [eval(call, names) for call in calls]  # noqa: S307
    module = type(sys)("program")
    sys.modules["program"] = module
    failed = describe(
        lambda: exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__),  # noqa: S102
        encode,
        sink,
    )
    for args, named in given:
        if failed == "ok null":
            line = describe(call_of(module, args, named), encode, sink)
        else:
            line = failed
        reply(f"{clock() // 1_000_000} {line}")
    end(0)


if __name__ == "__main__":
    main()
