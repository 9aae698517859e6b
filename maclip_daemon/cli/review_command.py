"""`maclip review`: the page on which a person decides about photos."""

from __future__ import annotations

import contextlib
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.filter_options import TypedFilter, takes_filter
from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
    from maclip_daemon.web.review_address import ReviewAddress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(review)


@takes_filter()
def review(
    context: typer.Context,
    typed: TypedFilter,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]…", help="Folders or photos. Default: the whole library."),
    ] = None,
    worst: Annotated[
        int | None,
        typer.Option(min=1, help="Only the photos with the lowest scores, so many.", show_default=False),
    ] = None,
    bursts: Annotated[
        bool, typer.Option("--bursts", help="Begin with photos of one moment, group by group.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser/--browser", help="Only print the link; start no browser.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The page's port.", show_default="the setting review.port"),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="An address of this machine, for a tablet in your network. Others there can then see that "
            "the page exists, and whoever has its link can see and rate your photos.",
            show_default="127.0.0.1, this machine alone",
        ),
    ] = "",
) -> None:
    """Look at your photos in the browser, and decide with one key each: 1 to 5, X rejects, P picks, U undoes.

    Each decision is written at once as your own rating into the photo's sidecar. Nothing is deleted. The page
    works beside a running daemon and without one; Ctrl-C ends it. The page begins with the photos that the
    options choose, and can show the others too. What is decided can be undone: the last
    decision, those of this run, or everything with `maclip undo`.
    """
    from maclip_daemon.daemon.signal_handlers import interrupts_noted
    from maclip_daemon.web import review_address
    from maclip_daemon.web.addresses import LOOPBACK

    call = invocation.from_context(context)
    settings = call.settings()
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(call.open_readonly(settings))
        with reader.snapshot() as snapshot:
            chosen = typed.chosen(snapshot)  # a typing error ends the command, and not the page
        address = stack.enter_context(review_address.taken(settings, listen or LOOPBACK, port))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        interrupt = stack.enter_context(interrupts_noted())
        _announce(address, "" if listen == LOOPBACK else listen)
        if not no_browser:
            # Beside the page: some browsers are waited for until they end.
            link = address.link_for_one_use()
            threading.Thread(target=webbrowser.open, args=(link,), name="browser", daemon=True).start()
        # Loaded while the browser starts; what it asks for meanwhile waits.
        from maclip_daemon.web.opening import first_pictures
        from maclip_daemon.web.opening.review_scope import ReviewScope

        under = (*(invocation.resolve_path(path) for path in paths or []), *chosen.under)
        scope = ReviewScope(under, worst, _query(typed, chosen, is_by_burst=bursts))
        window, previews = first_pictures.begin(reader, settings, scope)
        stack.callback(previews.close)
        reader.close()
        from maclip_daemon.web.review_server import ReviewServer

        server = ReviewServer(lambda: call.open_writable(settings), settings, scope, previews)
        server.serve(address, window, lambda: interrupt.came)
    output.say("The review page has ended.")


def _announce(address: ReviewAddress, listen: str) -> None:
    if listen:
        output.say(
            f"The page listens on {listen}: any device in that network can try to open it. The link is "
            "the key; the connection is not encrypted, so use it in a network that you trust."
        )
    output.say(f"Review your photos at {address.printed_link}")
    output.say("Ctrl-C ends the page; your decisions are written already.")


def _query(typed: TypedFilter, chosen: PhotoFilter, *, is_by_burst: bool) -> str:
    """Return the typed filter as in an address of the page."""
    days = {"since": chosen.since or "", "until": chosen.until or ""}  # as the page's fields have them
    words = {name: days.get(name, word) for name, word in typed.words.items()}
    return urlencode(words | ({"order": "bursts"} if is_by_burst else {}))
