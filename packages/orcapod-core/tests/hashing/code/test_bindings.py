"""A helper counts however a name in a function comes to mean it: every way in which Python binds a name.

Each form is the body of ``f``, or all of ``lab.py``. ``h`` and ``K`` of ``helpers.py`` are edited; that the edit
changes what comes out is tested too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any

import pytest

HELPERS = {
    "helpers.py": ("K = 1\n\n\ndef h(x):\n    return x + 1\n", "K = 2\n\n\ndef h(x):\n    return x + 2\n"),
    "others.py": ("K = 9\n\n\ndef h(x):\n    return x\n",) * 2,
    "failing.py": ("raise RuntimeError('no such device')\n",) * 2,
    "package/__init__.py": ("",) * 2,
    "package/inner.py": ("def h(x):\n    return x + 1\n", "def h(x):\n    return x + 2\n"),
}

IMPORTS = {
    "once": "import helpers as m\nreturn m.h(x)",
    "the first of two": "try:\n    import helpers as m\nexcept ImportError:\n    import others as m\nreturn m.h(x)",
    "the second of two": "try:\n    import absent as m\nexcept ImportError:\n    import helpers as m\nreturn m.h(x)",
    "the second, where the first fails": "try:\n    import failing as m\nexcept Exception:\n"
    "    import helpers as m\nreturn m.h(x)",
    "or nothing": "try:\n    import helpers as m\nexcept ImportError:\n    m = None\nreturn m.h(x)",
    "a name, or nothing": "try:\n    from helpers import h\nexcept ImportError:\n    h = None\nreturn h(x)",
    "in branches": "if x > -1:\n    from helpers import h\nelse:\n    from math import sqrt as h\nreturn h(x)",
    "in the other branch": "if x < -1:\n    from math import sqrt as h\nelse:\n    from helpers import h\nreturn h(x)",
    "in one of many": "if x > 8:\n    import others as m\nelif x > 7:\n    import math as m\nelse:\n"
    "    import helpers as m\nreturn m.h(x)",
    "the same twice": "if x > 1:\n    import helpers as m\nelse:\n    import helpers as m\nreturn m.h(x)",
    "deleted": "import helpers as m\ny = m.h(x)\ndel m\nreturn y",
    "then assigned": "import helpers as m\ny = m.h(x)\nm = 3\nreturn y",
    "then annotated": "from helpers import K as n\nn: int = n + x\nreturn n",
    "then augmented": "from helpers import K as n\nn += x\nreturn n",
    "then a loop's": "import helpers as m\ny = m.h(x)\nfor m in [1]:\n    pass\nreturn y",
    "then a with's": "import contextlib\nfrom helpers import h\ny = h(x)\nwith contextlib.nullcontext(1) as h:\n"
    "    return y + h",
    "then an error's": "import helpers as m\ny = m.h(x)\ntry:\n    raise ValueError\nexcept ValueError as m:\n"
    "    return y",
    "then a walrus's": "import helpers as m\nreturn m.h(x) + (m := 1)",
    "then a capture's": "import helpers as m\ny = m.h(x)\nmatch [1]:\n    case [m]:\n        return y",
    "then the rest of a sequence": "import helpers as m\ny = m.h(x)\nmatch [1]:\n    case [*m]:\n        return y",
    "then the rest of a mapping": "import helpers as m\ny = m.h(x)\nmatch {}:\n    case {**m}:\n        return y",
    "then a function's": "import helpers as m\ny = m.h(x)\ndef m():\n    pass\nreturn y",
    "then a class's": "import helpers as m\ny = m.h(x)\nclass m:\n    z = 1\nreturn y + m.z",
    "then unpacked": "from helpers import h\ny = h(x)\nh, *k = 1, 2\nreturn y + h",
    "a comprehension's, too": "import helpers as m\nreturn m.h(x) + [m for m in [1]][0]",
    "a lambda's, too": "import helpers as m\nreturn m.h(x) + (lambda m: m)(1)",
    "read in a function": "try:\n    import helpers as m\nexcept ImportError:\n    m = None\ndef g():\n"
    "    return m.h(x)\nreturn g()",
    "read in a lambda": "import others as m\nimport helpers as m\nreturn (lambda: m.h(x))()",
    "read in a comprehension": "import helpers as m\ny = [m.h(v) for v in [x]]\ndel m\nreturn y",
    "read in a method": "import others as m\nimport helpers as m\nclass Q:\n    def go(self):\n"
    "        return m.h(x)\nreturn Q().go()",
    "read as a default": "import helpers as m\ndef g(k=m.h):\n    return k(x)\ndel m\nreturn g()",
    "read as a base": "from helpers import h\ndef g():\n    return h(x)\nh = h\nreturn g()",
    "in place of an outer one": "import others as m\ndef g():\n    nonlocal m\n    import helpers as m\n"
    "    return m.h(x)\nreturn g()",
    "for an outer name": "h = None\ndef g():\n    nonlocal h\n    from helpers import h\ng()\nreturn h(x)",
    "in a class": "class Q:\n    from helpers import h\nreturn Q.h(x)",
    "in a class, read there": "class Q:\n    import helpers as m\n    y = m.h(3)\nreturn Q.y + x",
    "in a class, or else": "class Q:\n    try:\n        from helpers import K\n    except ImportError:\n"
    "        K = 3\n    z = K\nreturn Q.z + x",
    "of a package, then assigned": "import package.inner\ny = package.inner.h(x)\npackage = 0\nreturn y",
    "two of a package": "import package\nimport package.inner\nreturn package.inner.h(x)",
    "a module of a package, or nothing": "try:\n    from package import inner as m\nexcept ImportError:\n    m = None\n"
    "return m.h(x)",
}

IMPORTS_ELSEWHERE = {
    "in a helper": "def g(x):\n    try:\n        import helpers as m\n    except ImportError:\n        m = None\n"
    "    return m.h(x)\n\n\ndef f(x: int) -> int:\n    return g(x)\n",
    "in a method": "class Q:\n    def go(self, x):\n        import helpers as m\n        y = m.h(x)\n        del m\n"
    "        return y\n\n\ndef f(x: int) -> int:\n    return Q().go(x)\n",
    "for a parameter": "def g(x, m=None):\n    if m is None:\n        import helpers as m\n    return m.h(x)\n\n\n"
    "def f(x: int) -> int:\n    return g(x)\n",
    "for a parameter, or nothing": "def g(x, m=None):\n    try:\n        import helpers as m\n"
    "    except ImportError:\n        m = m or None\n    return m.h(x)\n\n\ndef f(x: int) -> int:\n    return g(x)\n",
    "for the module": "def f(x: int) -> int:\n    global h\n    from helpers import h\n    return h(x)\n",
    "for the module, elsewhere": "h = None\n\n\ndef load():\n    global h\n    from helpers import h\n\n\n"
    "def f(x: int) -> int:\n    load()\n    return h(x)\n",
}

CLASSES = {
    "its own name": "class Q:\n    K = K\nreturn x + Q.K",
    "annotated": "class Q:\n    K: int = K\nreturn x + Q.K",
    "a field": "class Q(typing.NamedTuple):\n    K: int = K\nreturn x + Q().K",
    "augmented": "class Q:\n    K += 3\nreturn x + Q.K",
    "wrapped": "class Q:\n    h = staticmethod(h)\nreturn Q.h(x)",
    "before it is bound": "class Q:\n    z = K\n    K = 3\nreturn x + Q.z",
    "before a method": "class Q:\n    z = h(3)\n    def h(self):\n        return 0\nreturn x + Q.z",
    "before an inner class": "class Q:\n    z = K\n    class K:\n        pass\nreturn x + Q.z",
    "before an import": "class Q:\n    z = K\n    from others import K\nreturn x + Q.z",
    "after it is deleted": "class Q:\n    K = 3\n    del K\n    z = K\nreturn x + Q.z",
    "a loop's": "class Q:\n    for K in [K]:\n        pass\nreturn x + Q.K",
    "a loop's, that is empty": "class Q:\n    for K in []:\n        pass\n    z = K\nreturn x + Q.z",
    "in a branch": "class Q:\n    if x > 99:\n        K = 3\n    z = K\nreturn x + Q.z",
    "a with's": "class Q:\n    with contextlib.nullcontext(K) as K:\n        pass\nreturn x + Q.K",
    "an error's": "class Q:\n    try:\n        z = K\n    except ValueError as K:\n        pass\nreturn x + Q.z",
    "a walrus's": "class Q:\n    z = (K := K)\nreturn x + Q.z",
    "a capture's": "class Q:\n    match K:\n        case K:\n            pass\nreturn x + Q.K",
    "declared": "class Q:\n    K: int\n    z = K\nreturn x + Q.z",
    "beside a local": "def g():\n    K = 7\n    class Q:\n        z = K\n        K = 3\n    return Q.z\nreturn x + g()",
    "past a local": "def g():\n    K = 7\n    class Q:\n        K = K\n    return Q.K + K\nreturn x + g()",
    "in a class": "class P:\n    class Q:\n        K = K\nreturn x + P.Q.K",
    "in a class that binds it": "class P:\n    K = 3\n    class Q:\n        K = K\nreturn x + P.Q.K",
    "in a method": "class P:\n    def go(self):\n        class Q:\n            K = K\n        return Q.K\n"
    "return x + P().go()",
    "in a function": "def g():\n    class Q:\n        K = K\n    return Q\nreturn x + g().K",
    "an attribute of it": "class Q:\n    helpers = helpers.K\nreturn x + Q.helpers",
    "called": "class Q:\n    h = h(3)\nreturn x + Q.h",
    "in a comprehension": "class Q:\n    K = [K for K in [K]][0]\nreturn x + Q.K",
    "as a default": "class Q:\n    def go(self, K=K):\n        return K\nreturn x + Q().go()",
    "as a decorator": "class Q:\n    @(lambda g, k=h: k(3))\n    def h():\n        return 0\nreturn x + Q.h",
    "as a keyword": "class P:\n    def __init_subclass__(cls, k):\n        cls.k = k\n"
    "class Q(P, k=K):\n    K = 3\nreturn x + Q.k",
    "a variable of the function": "k = K\nclass Q:\n    z = k\nreturn x + Q.z",
    "by nonlocal": "k = 0\nclass Q:\n    nonlocal k\n    k = K\nreturn x + k",
    "by global": "class Q:\n    global K\n    z = K\nreturn x + Q.z",
}

PLAIN = {
    "assigned": "g = h\nreturn g(x)",
    "a walrus": "return (g := h)(x)",
    "a loop": "for g in [h]:\n    y = g(x)\nreturn y",
    "a with": "with contextlib.nullcontext(h) as g:\n    return g(x)",
    "an error": "try:\n    raise ValueError(K)\nexcept ValueError as g:\n    return x + g.args[0]",
    "a capture": "match [h]:\n    case [g]:\n        return g(x)",
    "a default with a walrus": "def g(k=(n := h)):\n    return k(x)\nreturn n(x) + g()",
    "a walrus in a decorator": "@(n := lambda g: g)\ndef g():\n    return h(x)\nreturn n(g)()",
    "a walrus in a lambda's default": "y = (lambda k=(n := h): k)()(x)\nreturn n(x) + y",
    "a walrus in a base": "class Q((n := list)):\n    pass\nreturn h(x) + len(n())",
    "a nested function": "def g(v):\n    return h(v)\nreturn g(x)",
    "past a parameter": "def g(h):\n    return h\nreturn g(h(x))",
    "past a comprehension": "y = [h for h in [1]]\nreturn h(x) + y[0]",
    "nonlocal": "y = 0\ndef g():\n    nonlocal y\n    y = K\ng()\nreturn x + y",
}

HEAD = "import contextlib\nimport typing\nimport helpers\nfrom helpers import K, h\n\n\n"


def lab(body: str, head: str = "") -> str:
    return f"{head}def f(x: int) -> int:\n{indent(body, '    ')}\n"


TYPE_PARAMETERS = {
    "of a function": "def g[T](v: T) -> T:\n    return h(v)\nreturn g(x)",
    "of a class": "class Q[T](list[T]):\n    y = K\nreturn x + Q.y",
    "called as what is read outside": "class Q[h](list[h]):\n    y = 1\nreturn h(x) + Q.y",
    "of an alias": "type A[T] = list[T]\nreturn h(x)",
}

LABS = {
    **{f"an import, {title}": lab(body) for title, body in IMPORTS.items()},
    **{f"an import, {title}": text for title, text in IMPORTS_ELSEWHERE.items()},
    **{f"a class body, {title}": lab(body, HEAD) for title, body in CLASSES.items()},
    **{f"plain, {title}": lab(body, HEAD) for title, body in PLAIN.items()},
    **{f"a type parameter {t}": lab(body, HEAD) for t, body in TYPE_PARAMETERS.items() if sys.version_info >= (3, 12)},
}

AS_A_WHOLE = {
    "an import, in place of an outer one",
    "an import, in a class, read there",
    "an import, for a parameter",
    "an import, for a parameter, or nothing",
}
"""Forms in which a module might be handed on, which is said."""


@pytest.fixture(scope="module")
def sides(read_edits: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    def files(text: str, side: int) -> dict[str, str]:
        return {"lab.py": text, **{name: texts[side] for name, texts in HELPERS.items()}}

    return read_edits({title: (files(text, 0), files(text, 1)) for title, text in LABS.items()})


@pytest.mark.parametrize("form", LABS)
def test_promise_4_what_a_name_means_counts_however_it_is_bound(form: str, sides: dict[str, Any]) -> None:
    before, again, after = sides[form]
    assert before["given"] != after["given"], "the edit changes nothing"
    assert before["hash"] != after["hash"], "stale"
    assert before["hash"] == again["hash"]
    assert [side["hash"] for side in sides[form]] == [side["after"] for side in sides[form]], "running changes it"
    assert [each.partition(",")[0] for each in before["unseen"]] == ["helpers (module lab"] * (form in AS_A_WHOLE)
    assert before["opaque"] == []
