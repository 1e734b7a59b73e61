"""What the CL-VAE benchmark says in words: baselines that beat the CL-VAE, its lead over the plain VAE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CLVAE = "clvae"
PLAIN = ("vae", "published")
"""Model and configuration that the paper compares with above all."""
SINGLE = "1"
"""Members of a model that is not an ensemble."""


class Mean(NamedTuple):
    """The mean AUROC over the held-out classes of one line of the table."""

    model: str
    configuration: str
    members: str
    score: str
    auroc: float

    def __str__(self) -> str:
        """Return "`clvae` learned (combined, 0.975)"."""
        several = "" if self.members == SINGLE else f", {self.members} members"
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
    ours = sorted((line for line in lines if line.model == CLVAE), key=lambda line: -line.auroc)
    others = sorted((line for line in lines if line.model != CLVAE), key=lambda line: -line.auroc)
    best, single = ours[0], next((line for line in ours if line.members == SINGLE), None)
    if not others:
        return f"The best CL-VAE is {best}; no baseline has been run on all classes yet."
    sentences = [_standing("the best CL-VAE", best, others)]
    if single is not None and single != best:  # baselines are single models
        sentences.append(_standing("the best single CL-VAE", single, others))
    plain = next((line for line in others if (line.model, line.configuration) == PLAIN), None)
    if plain is None:
        sentences.append("The plain VAE has not been run on all classes yet.")
    else:
        lead = (single or best).auroc - plain.auroc
        alone = "single " if single else ""
        side = "above" if lead >= 0 else "BELOW"
        sentences.append(f"The best {alone}CL-VAE is {abs(lead):.3f} {side} {plain}.")
    return " ".join(sentences)


def _standing(name: str, line: Mean, others: list[Mean]) -> str:
    """Return how a CL-VAE, called ``name``, stands among ``others``, the best of which is the first."""
    better = [other for other in others if other.auroc > line.auroc]
    if better:
        verb = "beat" if len(better) > 1 else "beats"
        return f"**{' and '.join(map(str, better))} {verb} {name}**, {line}."
    return f"No baseline beats {name}, {line}; next is {others[0]}."
