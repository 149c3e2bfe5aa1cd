# SPDX-License-Identifier: Apache-2.0
"""How far a command is that does the same many times: a bar on a terminal, and a line if it ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from numaplace import exception
from numaplace.cli.status import USAGE
from numaplace.cli.streams import Guarded, safe

if TYPE_CHECKING:
    from numaplace.cli.main import App

__all__ = ['Progress', 'shown', 'told_early']


@dataclass(slots=True)
class Progress:
    """How many of a number of things are done.

    :param draw: shows that one more is done
    :param beside: shows how many of other things are done, which these wait for: their noun, how many are, and of how
        many
    """

    total: int
    draw: Callable[[], object]
    beside: Callable[[str, int, int], object] = lambda _noun, _done, _total: None
    done: int = 0

    def advance(self) -> None:
        """Count one more."""
        self.done += 1
        self.draw()


@contextmanager
def shown(app: App, noun: str, total: int) -> Iterator[Progress]:
    """Show how many things are done if stderr is a terminal and there are several.

    :param noun: what they are, in the plural
    """
    terminal = cast(Guarded, app.stderr).terminal()
    if terminal is None or total < 2:
        yield Progress(total, lambda: None)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn('{task.description}'),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    console = Console(file=terminal)

    def above(text: str) -> None:
        console.print(safe(text), markup=False, highlight=False, soft_wrap=True)

    with progress.Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        tasks = {noun: bar.add_task(noun, total=total)}

        def beside(other: str, done: int, of: int) -> None:
            if other not in tasks:
                tasks[other] = bar.add_task(other)
            bar.update(tasks[other], completed=done, total=of, visible=done < of)

        app.above = above
        try:
            yield Progress(total, lambda: bar.advance(tasks[noun]), beside)
        finally:
            app.above = None


@contextmanager
def told_early(app: App, text: Callable[[], str]) -> Iterator[None]:
    """If the user or the system ends the command, say what that leaves, once all is given back.

    :param text: returns what was done, and what was given back
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code == USAGE:
            raise
        try:
            told = text()
        except exception.NumaplaceException as error:
            told = f'what that leaves is not known: {error}'
        app.complain(f'ended early: {told}')
        raise
