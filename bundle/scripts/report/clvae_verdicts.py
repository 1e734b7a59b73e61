"""What the CL-VAE benchmark says in words: baselines that beat the CL-VAE, its lead over the plain VAE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CLVAE = "clvae"
PLAIN = ("vae", "published")
"""Model and configuration that the paper compares with above all."""


class Mean(NamedTuple):
    """The mean AUROC over the held-out classes of one line of the table."""

    model: str
    configuration: str
    members: str
    score: str
    auroc: float

    def __str__(self) -> str:
        """Return "`clvae` learned (combined, 0.975)"."""
        several = "" if self.members == "1" else f", {self.members} members"
        return f"`{self.model}` {self.configuration} ({self.score}{several}, {self.auroc:.3f})"


def verdicts(means: Mapping[tuple[str, str], Iterable[Mean]]) -> list[str]:
    """Return a sentence or two for each data set and protocol that has a CL-VAE over all classes.

    Args:
        means: of the lines that have every class, by data set and protocol.
    """
    return [
        f"- {dataset}{'' if protocol == 'published' else f', {protocol}'}: {_verdict(list(lines))}"
        for (dataset, protocol), lines in sorted(means.items())
        if any(line.model == CLVAE for line in lines)
    ]


def _verdict(lines: list[Mean]) -> str:
    best = max((line for line in lines if line.model == CLVAE), key=lambda line: line.auroc)
    others = sorted((line for line in lines if line.model != CLVAE), key=lambda line: -line.auroc)
    better = [line for line in others if line.auroc > best.auroc]
    if not others:
        return f"the best CL-VAE is {best}; no baseline has been run on all classes yet."
    if better:
        verb = "beat" if len(better) > 1 else "beats"
        sentence = f"**{' and '.join(map(str, better))} {verb} the best CL-VAE**, {best}."
    else:
        sentence = f"no baseline beats the best CL-VAE, {best}; next is {others[0]}."
    plain = [line for line in others if (line.model, line.configuration) == PLAIN]
    if not plain:
        return f"{sentence} The plain VAE has not been run on all classes yet."
    lead = best.auroc - plain[0].auroc
    return f"{sentence} It is {abs(lead):.3f} {'above' if lead >= 0 else 'BELOW'} {plain[0]}."
