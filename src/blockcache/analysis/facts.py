"""What the flow analysis is told of the frame, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Chain = tuple[str, ...]


class ImportRef(NamedTuple):
    """One name bound by an import statement anywhere in a block.

    Attributes
    ----------
    name
        The name that is bound.
    module
        The module as written, without leading dots.
    attribute
        The name taken ``from`` the module; None for ``import module``.
    level
        Number of leading dots.
    """

    name: str
    module: str
    attribute: str | None
    level: int


@dataclass(slots=True)
class Frame:
    """The scope that the block stands in.

    Attributes
    ----------
    kind
        Module (or any namespace where names of nested functions are found too), function or class.
    own
        Names whose binding lives in the function or class.
    globals, nonlocals
        Names that the scope declares.
    outer
        Names of enclosing functions.
    killed
        Names that the block may delete.
    first_parameter
        What a bare ``super()`` reads besides ``__class__``.
    """

    kind: Literal["module", "function", "class"]
    own: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    outer: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    first_parameter: str | None = None

    def is_global(self, name: str) -> bool:
        """Whether the frame and a ``global`` declaration mean the same variable."""
        return self.kind == "module" or name in self.globals


@dataclass(slots=True)
class Facts:
    """What the flow analysis finds; names map to the line of their first occurrence."""

    reads: dict[str, set[Chain]] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    definite: set[str] = field(default_factory=set)
    deletes: dict[str, int] = field(default_factory=dict)
    imports: list[ImportRef] = field(default_factory=list)
    dynamic: dict[tuple[str, int], None] = field(default_factory=dict)
    reads_doc: bool = False
    #: Names of nested scopes that are looked up past the frame: in the globals, in enclosing functions.
    past_frame: dict[str, int] = field(default_factory=dict)
    #: Names that a nested function deletes in the frame.
    late_deletes: dict[str, int] = field(default_factory=dict)
    #: Names that a nested scope binds in a function around the frame's class.
    outer_writes: dict[str, int] = field(default_factory=dict)
    #: Line of the first nested use of ``super`` or ``__class__`` that belongs to the frame's class.
    class_cell: int | None = None
