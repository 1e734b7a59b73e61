"""A MONAI Deploy application: a folder or zip of DICOM in, Parametric Maps and a Segmentation out.

    python deploy/app.py --input <DICOM> --output <folder> [--model bundle/models]

The graph has one node, which runs the bundle's own inference on DICOM: every check, the scope gate, the
network and the writers. The SDK's own loader, inference and writers would do without the checks, and make
integers of the maps. Settings come from ``app.yaml`` beside this file, or from the file that
``HOLOSCAN_CONFIG_PATH`` names, as in a packaged application.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigWorkflow
from monai.deploy.conditions import CountCondition
from monai.deploy.core import (
    Application,
    ExecutionContext,
    InputContext,
    Operator,
    OperatorSpec,
    OutputContext,
    init_app_context,
)

from scripts import BUNDLE_ROOT

CONFIGS = [str(BUNDLE_ROOT / "configs" / name) for name in ("inference.json", "inference_dicom.yaml")]
SETTINGS = Path(__file__).with_name("app.yaml")


class BundleOperator(Operator):
    """Runs a workflow of the bundle once, from its ``initialize`` to its ``finalize``.

    Args:
        fragment: the application.
        workflow: of the bundle, with its paths set.
        conditions: when it runs.
    """

    def __init__(
        self, fragment: Application, *conditions: Any, workflow: ConfigWorkflow, **named: Any
    ) -> None:
        self.workflow = workflow
        super().__init__(fragment, *conditions, **named)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare nothing: files come in, and files go out."""

    def start(self) -> None:
        """Check the settings and load the weights."""
        self.workflow.initialize()

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Map every series that is chosen.

        Raises:
            BundleError: a series was refused or failed; the others are finished.
        """
        self.workflow.run()

    def stop(self) -> None:
        """Close the workflow."""
        self.workflow.finalize()


class AnomalyApplication(Application):
    """The graph, with the paths that the SDK gives."""

    def compose(self) -> None:
        """Add the one node."""
        paths = init_app_context(sys.argv)
        workflow = ConfigWorkflow(
            CONFIGS,
            meta_file=str(BUNDLE_ROOT / "configs" / "metadata.json"),
            logging_file=False,
            run_id="inference",
            workflow_type="infer",
            dataset_dir=str(paths.input_path),
            output_dir=str(paths.output_path),
            model_dir=str(paths.model_path),
            **read_settings(os.environ.get("HOLOSCAN_CONFIG_PATH", SETTINGS)),
        )
        self.add_operator(BundleOperator(self, CountCondition(self, 1), workflow=workflow, name="bundle"))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Return the bundle's settings in an application's YAML file."""
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    settings: dict[str, Any] = content.get("bundle") or {}
    return settings


if __name__ == "__main__":
    AnomalyApplication().run()
