"""An inferer that judges a scan before it maps it, for servers that run no more of the bundle than that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from monai.inferers import Inferer

from scripts.engines.inspector import log_warnings
from scripts.engines.scope_gate import ScopeGate
from scripts.networks.backbone import Backbone
from scripts.preflight.extent_check import check_extent
from scripts.preflight.loading import FINDINGS
from scripts.preflight.report import Level, collect, decide

logger = logging.getLogger(__name__)


class GatedInferer(Inferer):
    """Refuse a scan that is out of scope as ``run inference`` does, else hand it on to an inferer.

    ``run inference`` judges every scan in its :class:`ScanInspector`. MONAI Label and MONAI Deploy take
    preprocessing, network and inferer out of the config and leave everything else; so this inferer looks
    itself, and logs the warnings that would stand in a scan's result.

    Args:
        inferer: from a volume and a network to a prediction volume.
        gate: tells scans that the weights were not made for.
    """

    def __init__(self, inferer: Inferer, gate: ScopeGate) -> None:
        self.inferer, self.gate = inferer, gate

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return the network's output volume for ``inputs`` (1, C, X, Y, Z).

        Raises:
            ScopeError: the scan is not like those that the weights were trained on.
        """
        meta = getattr(inputs, "meta", {})
        name = Path(str(meta.get("filename_or_obj", "scan"))).name
        # What servers load is a Backbone, or one as TorchScript, which describes slices too.
        report = self.gate.examine(inputs[0], cast(Backbone, network), inputs.device)
        if report is not None and report.level is Level.REFUSAL:
            logger.error("%s: %s.", name, report.sentence)  # a viewer is told no more than that it failed
            decide(name, [report])
        found = collect([check_extent(meta, self.gate.field_of_view), report])
        log_warnings(name, [*meta.get(FINDINGS, ()), *(one.to_dict() for one in found)])
        return self.inferer(inputs, network, *args, **kwargs)
