"""The options by which `worst`, `best`, `stats`, `review` and `cull` choose photos: the words of the page."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.library.queries.finding import photo_filter

if TYPE_CHECKING:
    from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
    from maclip_daemon.library.queries.rating_counts import Snapshot

_RATED_BY = {"me": "rated", "maclip": "maclip", "nobody": "nobody", "anyone": "any"}


def _listed(words: Any) -> str:
    return ", ".join(filter(None, get_args(words)))


def _option(metavar: str, text: str) -> Any:
    return Annotated[str, typer.Option(metavar=metavar, help=text, show_default=False)]


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "under": (
        Annotated[
            Path | None, typer.Option(help="Only photos in this folder and below.", show_default=False)
        ],
        None,
    ),
    "since": (_option("DATE", "Only photos taken on this day or later: 2026-05-01, 2026-05 or 2026."), ""),
    "until": (_option("DATE", "Only photos taken on this day or before."), ""),
    "camera": (_option("NAME", "Only photos of this camera; a part of its name will do."), ""),
    "lens": (_option("NAME", "Only photos taken with this lens; a part of its name will do."), ""),
    "stars": (_option("STARS", "Only photos with these stars of maclip's, such as 1,2."), ""),
    "kind": (_option("KIND", f"Only photos in groups of this kind: {_listed(photo_filter.Kind)}."), ""),
    "reason": (
        _option("REASON", f"Only photos that measurably lack this: {_listed(photo_filter.Reason)}."),
        "",
    ),
    "name": (_option("TEXT", "Only photos with this in their file name."), ""),
    "mine": (_option("DECISION", "Only photos that you decided so: picked, rejected, or stars 1 to 5."), ""),
    "rated_by": (
        _option("WHOM", "Only photos rated by me, maclip or nobody; anyone: all photos."),
        "",
    ),
}


@dataclass(frozen=True)
class TypedFilter:
    """What was typed; nothing is looked up yet."""

    words: Mapping[str, str] = field(default_factory=dict)
    """Without empty ones, as in an address of the review page."""
    under: Path | None = None

    def chosen(self, snapshot: Snapshot, **defaults: Any) -> PhotoFilter:
        """Return the filter; `defaults` hold where nothing was typed.

        Raises `UsageError` for a word that does not fit, and for a camera that the library does not know.
        """
        from maclip_daemon.library.queries.finding import filter_words

        under = () if self.under is None else (invocation.resolve_folder(self.under),)
        given = {name: value for name, value in defaults.items() if name not in self.words}
        chosen = replace(filter_words.parse(self.words), **given)
        for what in ("camera", "lens"):
            _require_known(snapshot, what, getattr(chosen, what))
        return replace(chosen, under=(*chosen.under, *under))


def takes_filter(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a filter to a command, which gets them as `typed: TypedFilter`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            typed = {name: given.pop(name) for name in _OPTIONS if name not in without}
            command(**given, typed=_typed(typed))

        own = typing.get_type_hints(command, include_extras=True)
        parameters = [
            parameter.replace(annotation=own[name])
            for name, parameter in inspect.signature(command).parameters.items()
            if name != "typed"
        ]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in _OPTIONS.items()
            if name not in without
        ]
        kept = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=each.default) for each in parameters
        ]
        wrapper.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in kept}
        return wrapper

    return decorate


def _typed(values: dict[str, Any]) -> TypedFilter:
    from maclip_daemon.errors import UsageError

    under, rated_by = values.pop("under", None), values.pop("rated_by", "")
    words = {name: value for name, value in values.items() if value}
    if rated_by:
        if "mine" in words:
            raise UsageError("--mine names photos that you rated. Leave --rated-by out.")
        if rated_by not in _RATED_BY:
            raise UsageError(f"--rated-by: choose {', '.join(_RATED_BY)}.")
        words["mine"] = _RATED_BY[rated_by]
    return TypedFilter(words, under)


def _require_known(snapshot: Snapshot, what: Any, words: str) -> None:
    from maclip_daemon.errors import UsageError
    from maclip_daemon.library.queries.finding import equipment

    if not words or equipment.matching(snapshot, what, words):
        return
    known = equipment.names(snapshot, what)
    has = f"It has {'; '.join(known)}." if known else f"No photo in it names its {what}."
    raise UsageError(f"The library has no {what} with {words!r} in its name. {has}")
