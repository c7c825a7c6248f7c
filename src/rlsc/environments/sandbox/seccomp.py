"""The system calls that a sandboxed interpreter may not make, as a filter of the kernel."""

from __future__ import annotations

import errno
import importlib
import tempfile

DENIED = """
    clone fork vfork
    socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvmmsg
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
    pidfd_open pidfd_getfd pidfd_send_signal
    mount umount umount2 move_mount open_tree mount_setattr fsopen fsconfig fsmount fspick
    pivot_root chroot unshare setns open_by_handle_at name_to_handle_at
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
    io_setup io_submit
    keyctl add_key request_key
    shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semctl
    mq_open memfd_create memfd_secret
    personality modify_ldt iopl ioperm vm86 vm86old
    kexec_load kexec_file_load init_module finit_module delete_module
    reboot swapon swapoff quotactl quotactl_fd acct syslog vhangup nfsservctl lookup_dcookie
    clock_settime clock_adjtime settimeofday adjtimex stime sethostname setdomainname
    fanotify_init inotify_init inotify_init1 vmsplice
""".split()
"""Answered with EPERM; calls of another architecture end the process. `execve` must stay, since
bubblewrap starts Python by it; it is harmless without a fork and without another program."""


def filter_program() -> bytes | None:
    """The filter as the kernel reads it; None without pyseccomp and libseccomp.

    A call that this libseccomp does not know is left out: the kernel of its time has none either.
    """
    try:
        seccomp = importlib.import_module("pyseccomp")
    except (ImportError, OSError, RuntimeError):  # the package; the library that it loads
        return None
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    # Without clone3 glibc falls back to clone, which is refused in its turn.
    refused = dict.fromkeys(DENIED, errno.EPERM) | {"clone3": errno.ENOSYS}
    for name, number in refused.items():
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != -1:
            rules.add_rule(seccomp.ERRNO(number), name)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
