"""Names whose meaning the analysis takes for granted."""

from __future__ import annotations

import ast

#: Functions that reach names which the code does not show.
DYNAMIC_NAMES = frozenset({"eval", "exec", "globals", "locals", "__import__", "get_ipython", "breakpoint"})
#: Likewise, when called without an argument.
DYNAMIC_BARE_CALLS = frozenset({"vars", "dir"})
DYNAMIC_ATTRIBUTES = frozenset(
    {
        "import_module",
        "exec_module",
        "load_module",
        "run_path",
        "run_module",
        "reload",
        "_getframe",
        "currentframe",
        "f_globals",
        "f_locals",
        "__globals__",
        "user_ns",
    }
)
DOC_READERS = frozenset(
    {
        "__doc__",
        "__annotations__",
        "__signature__",
        "__text_signature__",
        "getdoc",
        "help",
        "get_type_hints",
        "get_annotations",
        "signature",
        "getfullargspec",
        "getsource",
        "getsourcelines",
    }
)

#: Context managers that never swallow an exception, as they are commonly written. Behind any
#: other `with`, names that its body binds may still have their earlier value.
_TRANSPARENT = frozenset(
    {
        "open",
        "gzip.open",
        "bz2.open",
        "lzma.open",
        "zipfile.ZipFile",
        "tarfile.open",
        "h5py.File",
        "catch_warnings",
        "warnings.catch_warnings",
        "tempfile.TemporaryDirectory",
        "TemporaryDirectory",
        "np.errstate",
        "numpy.errstate",
        "np.printoptions",
        "np.load",
        "pd.option_context",
        "pd.HDFStore",
        "pd.ExcelWriter",
        "torch.no_grad",
        "torch.inference_mode",
        "threadpool_limits",
        "ThreadPoolExecutor",
        "ProcessPoolExecutor",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.ProcessPoolExecutor",
        "futures.ThreadPoolExecutor",
        "futures.ProcessPoolExecutor",
        "multiprocessing.Pool",
        "mp.Pool",
        "Pool",
        "contextlib.redirect_stdout",
        "redirect_stdout",
        "contextlib.closing",
        "closing",
        "contextlib.nullcontext",
        "nullcontext",
        "localcontext",
        "decimal.localcontext",
    }
)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a chain of names, the empty text of anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def never_swallows(item: ast.withitem) -> bool:
    """Whether no exception of the body can end at this item of a `with` statement."""
    if not isinstance(item.context_expr, ast.Call):
        return False
    callee = dotted(item.context_expr.func)
    # A block that is skipped has bound what its body binds.
    return callee in _TRANSPARENT or callee.rpartition(".")[2] == "cached_block"
