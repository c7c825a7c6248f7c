"""Thirty kinds of hostile programs, numbered as in docs/sandbox.md, and how each must end.

Those that try many ways return what worked: an empty list is what a sandbox must give. Numbers 22
and 23 are texts that only a reader sees: `test_reader.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from rlsc.environments.sandbox import Status

ERROR, TIMEOUT, MEMORY = Status.ERROR, Status.TIMEOUT, Status.MEMORY
OUTPUT, CRASH, NOT_LITERAL = Status.OUTPUT, Status.CRASH, Status.NOT_LITERAL
ON_THE_HOST = frozenset({11, 12, 13, 14, 15, 16, 29})
"""What touches the machine beyond its own process: never run without a sandbox."""
ON_THE_REPLY = frozenset({10, 19, 20, 26, 30})
"""What meddles with what is replied."""
WRITTEN = "rlsc-hostile-program-was-here"


@dataclass(frozen=True)
class Hostile:
    """`ends`: the statuses that are allowed; `value`: what it may return where OK is among them."""

    number: int
    name: str
    program: str
    ends: tuple[Status, ...]
    value: str | None = None
    wasm: tuple[Status, ...] = ()
    """Where it ends otherwise there."""
    calls: tuple[str, ...] = ("f(1)",)

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def body(code: str) -> str:
    """A program whose `f(a)` has this body."""
    return "def f(a):\n" + "\n".join("    " + line for line in dedent(code).splitlines())


def tries(ways: str, before: str = "") -> str:
    """A program that returns which of the ways, one a line, raised nothing."""
    lines = [line.strip() for line in ways.strip().splitlines()]
    code = f"{dedent(before)}\nworked = []\n"
    for number, line in enumerate(lines):
        code += f"try:\n    {line}\n    worked.append({number})\nexcept BaseException:\n    pass\n"
    return body(code + "return worked")


NOTHING = {"ends": (Status.OK, ERROR), "value": "[]"}
FORGED = "import os\nfor fd in range(16):\n    try: os.write(fd, {!r})\n    except OSError: pass"

HOSTILE = [
    Hostile(1, "endless loop", body("while True: pass"), (TIMEOUT,)),
    Hostile(2, "sleep", body("import time\ntime.sleep(3600)"), (TIMEOUT,), wasm=(ERROR,)),
    Hostile(
        2,
        "sleep by select",
        body("import select\nselect.select([], [], [], 3600)"),
        (TIMEOUT,),
        wasm=(ERROR,),
    ),
    Hostile(2, "asks for the time", body("import time\nwhile True: time.time()"), (TIMEOUT,)),
    Hostile(
        3,
        "takes every signal",
        body(
            """
            import signal
            for number in range(1, 32):
                try: signal.signal(number, lambda *_: None)
                except (OSError, ValueError): pass
            while True: pass
            """
        ),
        (TIMEOUT,),
    ),
    Hostile(4, "list of 10^10", body("return [0] * 10**10"), (MEMORY,), wasm=(ERROR,)),
    Hostile(4, "text of 10^10", body("return 'a' * 10**10"), (MEMORY,), wasm=(ERROR,)),
    Hostile(
        4,
        "memory piece by piece",
        body("x = []\nwhile True: x.append(bytearray(10**6))"),
        (MEMORY, TIMEOUT),
    ),
    Hostile(5, "9**9**9", body("return 9**9**9"), (TIMEOUT, MEMORY)),
    Hostile(5, "10**10**8", body("return 10**10**8"), (TIMEOUT, MEMORY)),
    Hostile(6, "int of 5,000 digits", body("return 10**5000"), (OUTPUT,)),
    Hostile(6, "its text", body("return str(10**5000)"), (ERROR,)),
    Hostile(7, "endless recursion", body("return f(a)"), (ERROR,)),
    Hostile(
        7,
        "without a limit",
        body(
            """
            import sys
            sys.setrecursionlimit(10**8)
            def deeper(x): return sorted([x], key=deeper)
            return deeper(a)
            """
        ),
        (CRASH, ERROR),
        wasm=(CRASH, ERROR, TIMEOUT, MEMORY),
    ),
    Hostile(8, "nested brackets", "x = " + "(" * 10_000 + ")" * 10_000, (ERROR, MEMORY)),
    Hostile(8, "nested signs", "x = " + "-" * 10_000 + "1", (ERROR, MEMORY, CRASH)),
    Hostile(
        9, "backtracking", body("import re\nreturn re.match('(a+)+$', 'a' * 60 + 'b')"), (TIMEOUT,)
    ),
    Hostile(10, "prints", body("for _ in range(50): print('a' * 10**5)"), (OUTPUT,)),
    Hostile(
        10,
        "floods stderr",
        body("import os\nx = b'a' * 10**7\nwhile True: os.write(2, x)"),
        (TIMEOUT,),
    ),
    Hostile(10, "returns a long text", body("return 'a' * 10**7"), (OUTPUT,)),
    Hostile(10, "returns 1 GB", body("return 'a' * 10**9"), (MEMORY,)),
    Hostile(
        10,
        "floods its reply",
        body(FORGED.format(b"a" * 65536)) + "\n    return f(a)",
        (OUTPUT, TIMEOUT, ERROR),
    ),
    Hostile(
        11,
        "fork bomb",
        body("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        (TIMEOUT,),
        wasm=(ERROR,),
    ),
    Hostile(
        11,
        "other processes",
        tries(
            """
            os.posix_spawn(sys.executable, [sys.executable], {})
            subprocess.Popen([sys.executable, "-c", ""])
            os.system("true") and 1 / 0
            multiprocessing.Process(target=print).start()
            os.fork() and os.fork()
            os.forkpty()
            threading.Thread(target=print).start()
            """,
            "import os, sys, subprocess, multiprocessing, threading",
        ),
        **NOTHING,
    ),
    Hostile(
        12,
        "daemon",
        body(
            "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork()\n    time.sleep(60)"
        ),
        (ERROR,),
    ),
    Hostile(
        13,
        "kills all that it sees",
        body(
            """
            import os
            for pid in (os.getppid(), 1, -1, 0):
                try: os.kill(pid, 9)
                except OSError: pass
            while True: pass
            """
        ),
        (CRASH, TIMEOUT),
        wasm=(ERROR,),
    ),
    Hostile(
        14,
        "reads",
        tries(
            """
            open("/etc/passwd")
            open("/etc/hostname")
            os.listdir("/root/.ssh")
            os.listdir("/home")
            open("/proc/1/environ")
            open("/proc/self/environ")
            os.listdir("/sys")
            os.listdir("/dev/pts")
            open("/dev/mem")
            open(HERE)
            os.listdir(REPOSITORY)
            """.replace("HERE", repr(__file__)).replace(
                "REPOSITORY", repr(str(Path(__file__).parents[4]))
            ),
            "import os",
        ),
        **NOTHING,
    ),
    Hostile(
        15,
        "writes",
        tries(
            """
            open("/tmp/NAME", "w").write("a" * 2_000_000)
            open("NAME", "w").write("a")
            open("/NAME", "w").close()
            open("/dev/shm/NAME", "w").write("a")
            open("/dev/NAME", "w").write("a")
            open("/child.py", "a").write("a")
            open(os.__file__, "a").write("a")
            os.mkdir("/tmp/NAME")
            os.mkdir("NAME")
            os.mkdir(os.path.dirname(os.__file__) + "/site-packages/NAME")
            os.symlink("/", "/tmp/NAME")
            tempfile.TemporaryFile()
            os.write(os.memfd_create("NAME"), b"a")
            mmap.mmap(-1, 2**40)
            """.replace("NAME", WRITTEN),
            "import os, tempfile, mmap",
        ),
        **NOTHING,
    ),
    Hostile(
        16,
        "sockets",
        tries(
            """
            socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind(chr(0) + "abstract")
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
            socket.socketpair()
            socket.getaddrinfo("localhost", 80) and socket.create_server(("", 0))
            """,
            "import socket",
        ),
        **NOTHING,
    ),
    Hostile(
        17, "null pointer", body("import ctypes\nctypes.string_at(0)"), (CRASH,), wasm=(ERROR,)
    ),
    Hostile(
        17,
        "its own memory",
        body("import ctypes\nctypes.memset(id(type(a)), 255, 400)\nreturn a + 1"),
        (CRASH,),
        wasm=(ERROR,),
    ),
    Hostile(18, "os._exit", body("import os\nos._exit(0)"), (CRASH,)),
    *(
        Hostile(18, name, body(f"raise {name}(0)"), (ERROR,))
        for name in ("SystemExit", "KeyboardInterrupt", "StopIteration", "GeneratorExit")
    ),
    Hostile(18, "exits on import", "import sys\nsys.exit(0)", (ERROR,)),
    Hostile(
        18,
        "a class that lies about its name",
        "class M(type):\n    __name__ = 'x\\n0 ok 42'\nclass E(Exception, metaclass=M): pass\n"
        + body("raise E"),
        (ERROR,),
    ),
    Hostile(
        19,
        "a forged reply",
        body(FORGED.format(b"0 ok 42\n") + "\nos._exit(0)"),
        (Status.OK, CRASH),
        "42",
    ),
    Hostile(19, "malformed", body(FORGED.format(b"0 ok [4,\n") + "\nos._exit(0)"), (CRASH,)),
    Hostile(19, "half a line", body(FORGED.format(b"0 ok 42") + "\nos._exit(0)"), (CRASH,)),
    Hostile(
        20,
        "replaces what encodes",
        body(
            """
            import builtins, json, sys
            main = sys.modules["__main__"]
            for name in ("saved_encoder", "line_of", "quoted", "class_name", "Sink"):
                setattr(main, name, lambda *_: "ok 42")
            for name in ("repr", "len", "sorted", "type", "str", "int"):
                setattr(builtins, name, lambda *_: "42")
            json.dumps = lambda *_: "42"
            return a + 1
            """
        ),
        (Status.OK,),
        "2",
    ),
    Hostile(
        21,
        "objects that lie",
        """
class Liar:
    def __eq__(self, other): return True
    __hash__ = object.__hash__
    def __repr__(self): return "1"
    def __reduce__(self): return (int, (1,))
    __class__ = property(lambda self: int)
class Int(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
class Str(str): pass
class List(list): pass
class Dict(dict): pass
def f(a):
    return [Liar(), Int(1), Str("a"), List(), Dict(), {Int(1): 1}, {Str("a")}, (Liar(),)][a]
""",
        (NOT_LITERAL,),
        calls=tuple(f"f({number})" for number in range(8)),
    ),
    Hostile(25, "contains itself", body("x = []\nx.append(x)\nreturn x"), (NOT_LITERAL,)),
    Hostile(
        25, "deep", body("x = []\nfor _ in range(10**5): x = [x]\nreturn x"), (NOT_LITERAL, CRASH)
    ),
    Hostile(
        26,
        "acts after its reply",
        body(
            """
            import atexit, gc, os, sys
            def late(*_):
                for fd in range(16):
                    try: os.write(fd, b"0 ok 42\\n")
                    except OSError: pass
            atexit.register(late)
            gc.callbacks.append(late)
            class Late:
                __del__ = late
            sys.late = Late()
            return a + 1
            """
        ),
        (Status.OK,),
        "2",
    ),
    Hostile(
        26,
        "a timer and a trace",
        body(
            """
            import signal, sys
            try: signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
            except AttributeError: pass
            sys.settrace(lambda *_: None)
            return a + 1
            """
        ),
        (Status.OK, CRASH),
        "2",
    ),
    Hostile(
        27,
        "imports",
        tries("import rlsc\nimport torch\nimport numpy\nimport pip\nimport yaml"),
        **NOTHING,
    ),
    Hostile(
        29,
        "raw system calls",
        body(
            """
            import ctypes, os, platform
            numbers = {
                "x86_64": {"unshare": 272, "mount": 165, "ptrace": 101, "keyctl": 250, "bpf": 321,
                           "io_uring_setup": 425, "perf_event_open": 298, "userfaultfd": 323,
                           "clone3": 435, "fork": 57, "socket": 41, "setns": 308, "chroot": 161,
                           "memfd_create": 319, "shmget": 29, "personality": 135},
                "aarch64": {"unshare": 97, "mount": 40, "ptrace": 117, "keyctl": 219, "bpf": 280,
                            "io_uring_setup": 425, "perf_event_open": 241, "userfaultfd": 282,
                            "clone3": 435, "socket": 198, "setns": 268, "chroot": 51,
                            "memfd_create": 279, "shmget": 194, "personality": 92},
            }[os.uname().machine]
            call = ctypes.CDLL(None, use_errno=True).syscall
            space = ctypes.create_string_buffer(256)
            arguments = {"unshare": (0x10000000,), "socket": (2, 1, 0), "keyctl": (0, -3, 1),
                         "memfd_create": (space, 0), "shmget": (0, 4096, 0o1600),
                         "personality": (0xFFFFFFFF,), "ptrace": (0,), "fork": ()}
            worked = []
            for name, number in numbers.items():
                if call(number, *arguments.get(name, (space, space, 1, 0, 0))) != -1:
                    worked.append(name)
                elif ctypes.get_errno() not in (1, 38):  # EPERM, ENOSYS: the filter's
                    worked.append([name, ctypes.get_errno()])
            return worked
            """
        ),
        **NOTHING,
    ),
    Hostile(30, "a surrogate in the source", body("return '\ud800'"), (ERROR,)),
    Hostile(30, "NUL in the source", body("return '\x00'"), (ERROR,)),
    Hostile(30, "10 MB on one line", "x = '" + "a" * 10**7 + "'", (ERROR,)),
    Hostile(30, "a surrogate comes back", body(r"return '\ud800'"), (Status.OK,), r'"\ud800"'),
    Hostile(30, "no UTF-8", body(FORGED.format(b"0 ok \xff\xfe\n") + "\nos._exit(0)"), (CRASH,)),
]
