"""Look a passage up: build its key, find an entry, and see whether it may answer."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
from dataclasses import replace
from importlib.util import resolve_name

from blockcache import capture, cells, entering, hosts, inputs, key, loading, outputs, telling, wanted
from blockcache.errors import CacheError, CodecError, FingerprintError, IntegrityError, SettingError
from blockcache.model import Hit, Input, Key, Miss
from blockcache.passage import Passage
from blockcache.texts import redacted

# (key, turn) of passages with a value without content that came as a parameter.
_passed: set[tuple[str, int]] = set()


def look_up(run: Passage, *, again: bool = False) -> None:
    """Build the key, find its entry and decode it; trouble becomes a miss with one warning."""
    try:
        _build(run)
        if not again:
            run.key_s = time.perf_counter() - run.started
            _refuse_another(run)
        _find(run)
        if isinstance(run.result, Hit):
            _judge(run, run.result)
    except SettingError:  # a set of inputs that is wrong; like any wrong setting, it must not pass for another
        raise
    except Exception as error:
        # Whatever goes wrong in here must not keep the program from its result.
        telling.trouble(run, error)
    hit = run.result
    if isinstance(hit, Hit) and any(map(run.namespace.is_local, run.as_run(hit.manifest.deleted))):
        # The compiler counts on a function's variable staying bound: it cannot be unbound from outside.
        run.result = Miss("a variable that the block deletes is bound now", cause="variable bound now")


def _build(run: Passage) -> None:
    names = key.upstream_names(run.block)
    own = run.bound_before()
    bound = run.namespace.get_many(names)
    bound |= run.namespace.get_many(key.spoken_names(run.block, bound, run.namespace.names))
    # The body does not read them and an earlier run of this block bound them: as good as unbound,
    # or running a notebook's cell twice would miss. So is what the notebook itself keeps bound (`_`, `Out`).
    run.set_aside = {
        name: value
        for name, value in bound.items()
        if name not in run.block.reads and (own.get(name) == id(value) or hosts.keeps(run.namespace.globals, name))
    }
    options = run.options
    run.demands = key.Demands(declared_inputs(run), options.pin, options.ignored, options.ignored_names)
    if run.upstream is not None:
        # Again, after waiting: the frame may have moved on to awaiting, and what ran before it is the same.
        paths, ran = run.upstream.paths, run.upstream.ran
    else:
        paths, ran = run.paths(), functools.cache(functools.partial(entering.ran, run.frame))
    while True:
        kept = {name: value for name, value in bound.items() if name not in run.set_aside}
        run.upstream = key.Upstream(kept, run.namespace.local_among(kept), run.namespace.globals, ran, paths)
        run.built = key.build(run.block, run.upstream, run.demands)
        read_by_helpers = [i.name for i in run.built.key.inputs if i.kind == "value" and i.name in run.set_aside]
        if not read_by_helpers:
            break
        for name in read_by_helpers:
            del run.set_aside[name]
    if run.settings.redact:
        readable = redacted(run.built.key.inputs, run.settings.redact)
        run.built = replace(run.built, key=Key(readable, run.built.key.digest))


def _refuse_another(run: Passage) -> None:
    """The statement that passed a value without content ran again: by its code it is the same, and need not be."""
    assert run.built is not None
    if run.built.called and not run.asks_only:
        passed = (run.built.key.digest, hosts.turn())
        if passed in _passed:
            raise FingerprintError(
                "the same call has passed a value without content before; make it inside the block, or in "
                "the function around it",
                path="a parameter",
            )
        _passed.add(passed)


def declared_inputs(run: Passage) -> tuple[Input, ...]:
    """What the arguments ``inputs``, ``outputs`` and ``version`` add to the key."""
    found: list[Input] = []
    if run.options.inputs:
        origin = run.settings.origin["inputs"]
        found = inputs.evaluate(
            run.options.inputs,
            folder=os.getcwd(),
            sets=run.settings.inputs,
            sets_folder=os.path.dirname(origin),
            fingerprint=lambda value, name: key.content(value, name, run.namespace.globals),
            memo=run.memo,
        )
    if run.options.outputs:
        run.produces = outputs.Declared(run.options.outputs, os.getcwd(), run.store_path)
        found.append(run.produces.input)
    if run.options.version is not None:
        found.append(Input("version", "version", run.options.version, run.options.version))
    return tuple(found)


def _find(run: Passage) -> None:
    assert run.built is not None
    if run.settings.mode == "refresh":
        run.result = Miss("refresh", cause="refresh")
        return
    try:
        run.result = loading.lookup(
            loading.Request(
                store=run.store,
                block_name=run.name,
                built=run.built,
                module_globals=run.namespace.globals,
                find=run.upstream_object,
                may_write=run.settings.mode == "on",
                ttl_s=run.options.ttl_s if run.options.ttl_s is not None else run.settings.ttl,
                memo=run.memo,
                refuse=functools.partial(wanted.why_not, run),
                memory=run.memory,
                share=run.shares,
                unpickle=run.settings.pickle != "never",
                find_module=functools.partial(_named_module, run),
            )
        )
    except (IntegrityError, CodecError) as error:
        # As good as no entry: the body runs, and saving its result heals the store.
        run.result = Miss(f"the entry could not be used: {error}", cause="entry unusable")
        run.unusable = isinstance(error, CodecError)


def _named_module(run: Passage, name: str) -> object:
    """Import a module that an entry names; without pickle only one that the program has or its body imports itself."""
    if run.settings.pickle == "never" and name not in sys.modules:
        package = run.namespace.globals.get("__package__") or ""
        named = [resolve_name("." * ref.level + ref.module, str(package)) for ref in run.block.imports]
        named += [f"{m}.{ref.attribute}" for m, ref in zip(named, run.block.imports, strict=True) if ref.attribute]
        if not any(module == name or module.startswith(f"{name}.") for module in named):
            raise CodecError(f"the entry wants {name}, which the body does not import")
    return importlib.import_module(name)


def _judge(run: Passage, hit: Hit) -> None:
    """See whether the entry that is found may answer here, and call its values what they are called here."""
    why, cause = capture.refused(hit.kept, run.settings.capture), "entry incomplete"
    if not why and run.cell is not None and run.cell.shows and cells.LAST not in hit.kept:
        # Saved by a `with` statement, which drops that value.
        why = "the entry has no value of the last expression"
    if not why:
        why, cause = _invalid(run, hit), "validate"
    if why:
        run.result = Miss(why, nearest=hit.manifest, same_key=True, cause=cause)
        return
    if run.block.written:
        hit = replace(hit, values=dict(zip(run.as_run(hit.values), hit.values.values(), strict=True)))
    if run.options.excluded:
        hit = replace(hit, values={name: v for name, v in hit.values.items() if not run.is_excluded(name)})
    run.result = hit


def _invalid(run: Passage, hit: Hit) -> str:
    """Why ``validate=`` does not want the entry; empty when it does."""
    if run.options.validate is None:
        return ""
    try:
        return "" if run.options.validate(hit.values) else "validate() refused the entry"
    except Exception as error:
        return f"validate() raised {type(error).__name__}: {error}"


def ready(run: Passage) -> bool:
    """Whether the body can be skipped: output files are staged for a hit; where they cannot be, it is a miss."""
    hit = run.result
    assert isinstance(hit, Hit)
    if run.produces is None:
        return True
    verify = functools.partial(loading.verified, run.store, may_write=run.settings.mode == "on")
    try:
        run.staged = outputs.stage(run.produces, hit.manifest.files, run.store, verify, run.memo)
    except (CacheError, OSError) as error:
        why = f"an output cannot be put back: {error}"
        run.result = Miss(why, nearest=hit.manifest, same_key=True, cause="output not put back")
    return run.staged is not None
