"""Programs that try to get out of a sandbox, or to take more than their share.

``CONTROLLED`` do their harm where nothing contains them, which a test shows: it is small enough for that. ``WILD``
would harm the machine, or end by nothing but a limit.
"""

from textwrap import dedent, indent


def sol(body: str) -> str:
    """A program from the body of its function."""
    return "def sol():\n" + indent(dedent(body).strip(), "    ") + "\n"


_SYSCALL = """\
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
"""

CONTROLLED: dict[str, str] = {
    # network
    "tcp": "import socket; socket.create_connection(('127.0.0.1', PORT), 2); return True",
    "udp": "import socket; s = socket.socket(2, 2); return s.sendto(b'x', ('127.0.0.1', PORT)) == 1",
    "abstract_socket": "import socket; socket.socket(1).connect('\\0' + ABSTRACT); return True",
    "socket_file": "import socket; socket.socket(1).connect(FOLDER + '/socket'); return True",
    "name_service": "import socket; return bool(socket.getaddrinfo('localhost', 80))",
    "netlink": "import socket; return bool(socket.socket(16, 3, 0).fileno())",
    "socket_pair": "import socket; return bool(socket.socketpair())",
    "asyncio": "import asyncio; asyncio.run(asyncio.sleep(0)); return True",
    # reading
    "read_canary": "return open(FOLDER + '/canary').read() == SECRET",
    "read_by_a_detour": "return open('/usr/lib/../..' + FOLDER + '/canary').read() == SECRET",
    "read_by_fd": "import os; return SECRET == os.read(os.open('canary', 0, dir_fd=os.open(FOLDER, 0)), 99).decode()",
    "read_by_proc_root": "return open('/proc/self/root' + FOLDER + '/canary').read() == SECRET",
    "read_users": "return 'root' in open('/etc/passwd').read()",
    "list_homes": "import os; return bool(os.listdir('/home') or os.listdir('/root'))",
    "list_processes": "import os; return any(name.isdigit() for name in os.listdir('/proc'))",
    "environ_of_another": "return SECRET in open(f'/proc/{PROCESS}/environ').read()",
    "memory_of_another": "return bool(open(f'/proc/{PROCESS}/maps').read())",
    "own_memory_file": "return bool(open('/proc/self/mem', 'r+b'))",
    "own_descriptors": "import os; return bool(os.listdir('/proc/self/fd'))",
    "own_environment": "import os; return bool(set(os.environ) - {'PYTHONHASHSEED', 'PWD', 'LC_CTYPE'}) or "
    "bool(open('/proc/self/environ').read())",
    "kernel_files": "import os; return bool(os.listdir('/sys/class'))",
    "devices": "return bool(open('/dev/zero', 'rb').read(4))",
    "another_program": "import subprocess; return bool(subprocess.run(['/bin/true']).args)",
    # writing
    "write_a_file": "return open(FOLDER + '/written', 'w').write('x') == 1",
    "write_in_tmp": "import tempfile; return bool(tempfile.mkdtemp(dir=FOLDER)) or bool(tempfile.mkdtemp())",
    "make_a_folder": "import os; os.makedirs(FOLDER + '/made/by'); return True",
    "symlink": "import os; os.symlink(FOLDER + '/canary', FOLDER + f'/link{os.getpid()}'); return True",
    "change_mode": "import os; os.chmod(FOLDER + '/canary', 0o644); return True",
    "named_pipe": "import os; os.mkfifo(FOLDER + f'/pipe{os.getpid()}'); return True",
    "pipe_between": "import os; return bool(os.pipe())",
    "memory_file": "import os; return bool(os.memfd_create('x'))",
    "shared_memory": "import _posixshmem as m, os; os.close(m.shm_open('/r2', os.O_CREAT | os.O_RDWR)); "
    "m.shm_unlink('/r2'); return True",
    # processes and signals
    "fork": "import os; pid = os.fork(); pid or os._exit(0); return bool(os.waitpid(pid, 0))",
    "spawn": "import os; return bool(os.posix_spawn('/bin/true', ['true'], {}))",
    "thread": "import threading; t = threading.Thread(target=int); t.start(); t.join(); return True",
    "touch_parent": "import os; os.kill(os.getppid(), 0); return True",
    "touch_another": "import os; os.kill(PROCESS, 0); return True",
    "stop_itself": "import os, signal; os.kill(os.getpid(), 0); return True",
    "alarm": "import signal; signal.setitimer(signal.ITIMER_REAL, 100); return True",
    "lower_priority": "import os; os.nice(1); return True",
    "daemon": """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        return True
        """,
    "interpreter_in_memory": """
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(bytes.fromhex("b814000000cd80c3"))  # getpid by the numbers of 32 bits
        return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() > 0
        """,
    "attach": _SYSCALL + "    return libc.ptrace(0, 0, 0, 0) == 0",
    "queue": _SYSCALL + "    q = libc.msgget(0, 0o1600); return q >= 0 and libc.msgctl(q, 0, 0) == 0",
    "personality": _SYSCALL + "    return libc.personality(0x0040000) >= 0",
    "watch_files": _SYSCALL + "    return libc.inotify_init1(0) >= 0",
    "no_dump": _SYSCALL + "    return libc.prctl(4, 1, 0, 0, 0) == 0",
}

WILD: dict[str, str] = {
    "fork_bomb": "import os\nwhile True:\n    os.fork()",
    "thread_bomb": "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=[9]).start()",
    "spawn_bomb": "import os, sys\nwhile True:\n    os.posix_spawn(sys.executable, ['x'], {})",
    "replace_itself": "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'while True: pass'])",
    "memory_bomb": "a = []\nwhile True:\n    a.append(bytearray(1 << 24))",
    "memory_at_once": "return len(bytearray(1 << 40)) > 0",
    "text_bomb": "return len(('x' * (1 << 33))) > 0",
    "power_bomb": "return 9 ** 9 ** 9 ** 9 > 1",
    "pattern_bomb": "import re; return re.match('(a+)+b', 'a' * 60) is None",
    "loop": "while True: pass",
    "loop_that_ignores_signals": "import signal\nfor n in set(range(1, 65)) - {9, 19, 32, 33}:\n"
    "    signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
    "loop_that_catches": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "sleep": "import time; time.sleep(600); return True",
    "wait_for_ever": "import _thread; lock = _thread.allocate_lock(); lock.acquire(); lock.acquire()",
    "disk_bomb": "with open('/big', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "output_bomb": "while True: print('x' * 100000)",
    "error_bomb": "import sys\nwhile True: sys.stderr.write('x' * 100000)",
    "report_bomb": "import os\nwhile True: os.write(3, b'x' * 100000)",
    "descriptor_bomb": "import os; kept = [os.open('/usr/lib', 0) for _ in range(100000)]; return True",
    "recursion": "import sys; sys.setrecursionlimit(10**9)\ndef f(): return [f()]\nf()",
    "segfault": "import ctypes; ctypes.string_at(0); return True",
    "abort": "import os; os.abort()",
    "leave_at_once": "import os; os._exit(0)",
    "kill_parent": "import os; os.kill(os.getppid(), 9); return True",
    "kill_all": "import os; os.kill(-1, 9); return True",
    "kill_group": "import os; os.killpg(0, 9); return True",
    "raise_limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); return True",
    "write_to_library": "import os; open(os.__file__ + 'x', 'w'); return True",
    "delete_library": "import os; os.unlink(os.__file__); return True",
    "replace_program": "import os, sys; os.rename(sys.executable, sys.executable + 'x'); return True",
    "block_device": "import os; os.mknod('/disk', 0o60666, os.makedev(8, 0)); return True",
    "close_everything": "import os; os.closerange(0, 1000); return True",
}
