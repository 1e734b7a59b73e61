"""What a unit of an ablation depends on."""

from __future__ import annotations

from scripts.engines.ablation_settings import unit_settings

CONFIG = {
    "run": ["$@trainer.run()"],
    "measure": {"_target_": "measure", "alphas": "@alphas", "dataset": "@dataset_dir", "device": "@device"},
    "trainer": {"_target_": "Trainer", "loss": "@loss", "epochs": "@epochs"},
    "loss": {"_target_": "Loss", "weight": "$2 * @weight", "ranges": "@ranges"},
    "objective": "$dict(share=@share)",
    "share": 0.5,
    "weight": 3.0,
    "ranges": {"_target_": "Ranges", "radius": [1.0, 2.0]},
    "epochs": 4,
    "alphas": [0.0],
    "mapper": "@trainer",
    "dataset_dir": "scans",
    "device": "cpu",
    "variants": {"full": {}},
    "note": "nothing refers to it",
}


def test_a_unit_depends_on_the_values_that_its_training_and_measurement_lead_to() -> None:
    values = {"alphas": [0.0], "epochs": 4, "weight": 3.0, "ranges": CONFIG["ranges"]}
    assert unit_settings(CONFIG, []) == values
    named = {"objective": CONFIG["objective"], "share": 0.5, "mapper": "@trainer"}
    assert unit_settings(CONFIG, ["objective", "mapper", "not in the config"]) == values | named
