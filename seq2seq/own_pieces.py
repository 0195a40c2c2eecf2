"""Pieces of one's own: what a user names as `package.module:Name` in place of a name that the package knows.

A name enters, the class or function leaves. Importing runs code, so that nothing is imported but what the user of this
process has said himself: in his command, his configuration, or his call. What a folder says, or a request, is data
(decision 41). `said_by_user` is where the doors of the package hand in what was said.
"""

import importlib
import inspect
import re
import sys
import traceback
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
PAGE = "docs/own_pieces.md"


@dataclass(frozen=True)
class PieceKind:
    """What a piece must be.

    Args:
        noun: such as `an objective`.
        wanted: what that is, in words that follow `it is`.
        example: the shortest, in a line.
        problem: what is wrong with something that was found, in words that follow `it`; None: nothing.
    """

    noun: str
    wanted: str
    example: str
    problem: Callable[[Any], str | None]


_said: set[str] = set()
_folders: list[str] = []
_found: dict[tuple[str, str], Any] = {}


def is_own(name: str) -> bool:
    """Return whether a name is that of a piece of one's own: dotted names, a colon and a name."""
    return ":" in name


def said_by_user(texts: Iterable[Any]) -> None:
    """Take note of the names among what the user of this process has said himself."""
    _said.update(text for text in texts if isinstance(text, str) and _NAME.fullmatch(text))


def was_said(name: str) -> bool:
    """Return whether the user has named this piece."""
    return name in _said


def is_only_read(name: str) -> bool:
    """Return whether this is the name of a piece that the user has not named."""
    return _NAME.fullmatch(name) is not None and not was_said(name)


def look_in(folder: str | Path) -> None:
    """Let modules of a folder be found, behind all that is installed; a command does so with the current one."""
    _folders[:] = [str(folder)]


def forget() -> None:
    """Forget what was said and found, for tests."""
    _said.clear()
    _found.clear()
    _folders.clear()


def found_pieces(kind: PieceKind) -> dict[str, Any]:
    """Return the pieces of a kind that have been found in this process, by name."""
    return {name: piece for (noun, name), piece in _found.items() if noun == kind.noun}


def own_piece(name: str, kind: PieceKind) -> Any:
    """Return the class or function of this name.

    Raises:
        ValueError: the user has not named it, there is none, its module fails, or it is something else; in one line.
    """
    if (kind.noun, name) in _found:
        return _found[kind.noun, name]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of {kind.noun}; one of your own is `package.module:Name`.")
    if not was_said(name):
        raise ValueError(
            f"`{name}` is {kind.noun} of somebody's own, which a folder or a request names; its code is imported only "
            f"where you name it yourself, in the command or the configuration. If you trust it, do ({PAGE})."
        )
    module_name, _, attribute = name.partition(":")
    module = _imported(module_name, name)
    if not hasattr(module, attribute):
        near = get_close_matches(attribute, [word for word in vars(module) if not word.startswith("_")], n=1)
        hint = f" Did you mean `{module_name}:{near[0]}`?" if near else ""
        raise ValueError(f"`{name}`: there is no `{attribute}` in {_place_of(module)}.{hint}")
    piece = getattr(module, attribute)
    try:
        problem = kind.problem(piece)
    except Exception as error:
        raise ValueError(f"`{name}`: {_told(error)}") from error
    if problem is not None:
        raise ValueError(
            f"`{name}` in {_place_of(module)} cannot be {kind.noun}: it {problem}. {kind.noun.capitalize()} is "
            f"{kind.wanted}, such as `{kind.example}`; {PAGE} has a whole one."
        )
    _found[kind.noun, name] = piece
    return piece


def _imported(module_name: str, name: str) -> Any:
    sys.path.extend(folder for folder in _folders if folder not in sys.path)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise ValueError(f"`{name}`: {_told(error)}") from error
        places = f"in {_folders[0]} or " if _folders else ""
        raise ValueError(
            f"`{name}`: there is no module `{missing}` {places}among what is installed here"
            f"{'; add its folder to `PYTHONPATH`' if not _folders else ''}."
        ) from None
    except Exception as error:  # whatever somebody's module does
        raise ValueError(f"`{name}`: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Return what went wrong in somebody's code, with the file and the line of theirs that was last run."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}."
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    inner = [frame for frame in own if Path(frame.filename).resolve() != Path(__file__).resolve()]
    last = next((frame for frame in reversed(inner) if not _is_library(frame.filename)), None)
    place = f"{last.filename}, line {last.lineno}: " if last else ""
    return f"{place}{type(error).__name__}: {error}"


def _is_library(file: str) -> bool:
    package = Path(__file__).resolve().parent
    return "site-packages" in file or Path(file).resolve().is_relative_to(package) or file == importlib.__file__


def _place_of(module: Any) -> str:
    return getattr(module, "__file__", None) or f"the module `{module.__name__}`"


def problem_of_call(piece: Any, parameters: tuple[str, ...], returns: type) -> str | None:
    """Return what is wrong with a class whose instances are to be called; see `PieceKind`.

    Args:
        parameters: what they are called with.
        returns: what their annotation must say that they return.
    """
    if not inspect.isclass(piece):
        return f"is {_called(piece)}"
    call = getattr(piece, "__call__", None)  # noqa: B004
    if "__call__" not in {name for owner in piece.__mro__ for name in vars(owner)} or call is None:
        return "has no `__call__`"
    try:
        inspect.signature(call).bind(None, *parameters)
    except TypeError:
        return f"is not called with ({', '.join(parameters)})"
    said = typing.get_type_hints(call).get("return")
    if said is None:
        return f"does not say what it returns; write `-> {returns.__name__}`"
    if said is not returns:
        return f"returns `{getattr(said, '__name__', said)}` and not `{returns.__name__}`"
    return None


def _called(piece: Any) -> str:
    return "a function" if inspect.isfunction(piece) else f"an object of the type `{type(piece).__name__}`"
