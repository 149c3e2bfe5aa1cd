# SPDX-License-Identifier: Apache-2.0
"""Refusals: the verdict alone, with its reasons, in words, and the nearest change."""

from __future__ import annotations

from benchmarks import inputs
from numaplace import explain, fit
from numaplace.fleet import changes
from numaplace.model import Guest, Host, Refusal


class Full:
    """A guest of as many cells as its host, whose cells are all full."""

    number = 1
    warmup_time = 0
    params = ([2, 8, 16, 64],)
    param_names = ('cells',)
    host: Host
    guest: Guest
    refusal: Refusal

    def setup(self, cells: int) -> None:
        """Make the host and the guest, not seen before."""
        self.host = inputs.unseen(inputs.host(cells, full=range(cells)))
        self.guest = inputs.unseen_guest(inputs.guest(cells))
        refusal = fit.place(inputs.unseen(self.host), self.guest)
        if not isinstance(refusal, Refusal):
            raise TypeError('the guest fits')
        self.refusal = refusal

    def time_verdict(self, _cells: int) -> None:
        """Find out that it does not fit."""
        fit.place(self.host, self.guest)

    def time_reasons(self, _cells: int) -> None:
        """Compute the reasons of a refusal."""
        self.refusal.reasons  # noqa: B018 - computed when read

    def time_words(self, _cells: int) -> None:
        """Compute the reasons and put them into lines."""
        explain.lines(self.refusal)

    def time_nearest(self, _cells: int) -> None:
        """Find the nearest change after which it fits."""
        changes.nearest({'host': changes.Case(self.host, self.guest, _takes)})


def _takes(trial: changes.Trial) -> bool:
    return fit.refusal(trial.host, trial.guest, networks=trial.networks) is None


class Contest(Full):
    """Guest cells that all fit somewhere, but two of them only on the same host cell."""

    def setup(self, cells: int) -> None:
        """Make the host and the guest, not seen before."""
        self.host = inputs.unseen(inputs.falling(cells))
        self.guest = inputs.guest(cells, memory_gib=[*range(2, cells + 1), cells])
        refusal = fit.place(inputs.unseen(self.host), self.guest)
        if not isinstance(refusal, Refusal):
            raise TypeError('the guest fits')
        self.refusal = refusal
