"""Answers that claim a verdict which they do not deserve. No integer solves the puzzle that they are tried on."""

PUZZLE = "def sat(x: int, known=12):\n    return x == 7 and x == 8 and x + 0 == known"

CODE: dict[str, str] = {
    "prints_a_verdict": "def sol():\n    print('True\\nVERDICT True')\n    return 1",
    "prints_satisfied": "def sol():\n    print('ready\\nsatisfied')\n    return 1",
    "leaves_with_0": "import os\ndef sol():\n    print('True', flush=True)\n    os._exit(0)",
    "raises_exit": "def sol():\n    raise SystemExit(0)",
    "leaves_on_import": "print('True')\nraise SystemExit(0)",
    "at_the_end": "import atexit\natexit.register(print, 'True')\ndef sol():\n    return 1",
    "equal_to_all": "class I(int):\n    def __eq__(self, other): return True\n"
    "    def __add__(self, other): return 12\n"
    "    __hash__ = int.__hash__\ndef sol():\n    return I(1)",
    "claims_a_class": "class A:\n    __class__ = int\n    def __eq__(self, other): return True\n"
    "    def __add__(self, other): return self\n    __hash__ = None\ndef sol():\n    return A()",
    "lying_metaclass": "class M(type):\n    def __eq__(self, other): return True\n    __hash__ = type.__hash__\n"
    "class A(metaclass=M):\n    def __eq__(self, other): return True\n    def __add__(self, other): return self\n"
    "def sol():\n    return A()",
    "a_bool": "def sol():\n    return True",
    "redefines_sat": "def sol():\n    return 7\ndef sat(*_):\n    return True",
    "rebinds_sat": "def sol():\n    global sat\n    sat = lambda *_: True\n    return 7",
    "changes_sat": "sat.__code__ = (lambda x, known=12: True).__code__\ndef sol():\n    return 7",
    "changes_its_default": "sat.__defaults__ = (7,)\ndef sol():\n    return 7",
    "changes_the_runner": "import __main__\n__main__.has_type = lambda *_: True\n"
    "__main__.as_json = lambda _: '7\\nsatisfied'\ndef sol():\n    return 7",
    "replaces_the_end": "import __main__\n__main__.leave = lambda said: __main__.write('satisfied')\n"
    "__main__.solve = lambda *_: 'satisfied'\ndef sol():\n    return 7",
    "writes_the_report": "import os\ndef sol():\n    os.write(3, b'satisfied\\n')\n    os._exit(0)",
    "writes_a_whole_report": "import os\ndef sol():\n    os.write(3, b'ready\\n- satisfied\\n')\n    os._exit(0)",
    "reports_twice": "import os\ndef sol():\n    os.write(3, b'value 7\\nvalue 8\\n')\n    return 7",
    "hides_code_in_the_value": "import os\ndef sol():\n"
    "    os.write(3, b'value __import__(\"os\")._exit(0)\\n')\n    os._exit(0)",
    "adds_to_the_value": "import os\ndef sol():\n    os.write(3, b'value 7 satisfied')\n    os._exit(0)",
    "spoils_the_text": "import os\ndef sol():\n    os.write(3, b'value \\xff\\xfe')\n    os._exit(0)",
    "blames_the_puzzle": "import os\ndef sol():\n    os.write(3, b'puzzle is broken\\n')\n    os._exit(0)",
    "nests_without_end": "import os\ndef sol():\n    os.write(3, b'value ' + b'[' * 60000)\n    os._exit(0)",
    "reads_the_callers": "import sys\ndef sol():\n"
    "    frame = sys._getframe()\n    while frame.f_back: frame = frame.f_back\n"
    "    print(frame.f_globals)\n    frame.f_globals['phase'] = 'json'\n    return 7",
    "patches_builtins": "import builtins\nbuiltins.type = lambda _: int\nbuiltins.repr = lambda _: '7'\n"
    "builtins.exec = builtins.compile = lambda *_: None\nclass I(int):\n    def __eq__(self, other): return True\n"
    "    def __add__(self, other): return self\n    __hash__ = None\ndef sol():\n    return I()",
    "infinite": "def sol():\n    return float('inf')",
    "no_number": "def sol():\n    return float('nan')",
}

VALUES = [
    "True",
    "7.0",
    "[7]",
    "'7'",
    "7 or 8",
    "__import__('os')._exit(0)",
    "(lambda: 7)()",
    "7 if 1 else 8",
    "7j",
    "b'7'",
]
