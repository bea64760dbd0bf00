"""The study file: its sections, its budgets, and reading it."""

from nacsr.spec.budget import BUDGETS, Budget, BudgetName
from nacsr.spec.campaign import CampaignSpec, SweepSpec, load_study
from nacsr.spec.document import ConstraintSpec, StudySpec, load_spec
from nacsr.spec.events import DatasetSpec, GenerateSpec, InputSpec, SplitSpec
from nacsr.spec.families import ExpressionSpec, FamiliesSpec
from nacsr.spec.networks import (
    DeepSetsSpec,
    ImageSpec,
    LeanSpec,
    LocalSpec,
    MlpSpec,
    NetworkSpec,
    StackSpec,
    TablesSpec,
)
from nacsr.spec.reading import read_yaml
from nacsr.spec.references import AdditiveSpec, LinearSpec, TreesSpec

__all__ = [
    "BUDGETS",
    "AdditiveSpec",
    "Budget",
    "BudgetName",
    "CampaignSpec",
    "ConstraintSpec",
    "DatasetSpec",
    "DeepSetsSpec",
    "ExpressionSpec",
    "FamiliesSpec",
    "GenerateSpec",
    "ImageSpec",
    "InputSpec",
    "LeanSpec",
    "LinearSpec",
    "LocalSpec",
    "MlpSpec",
    "NetworkSpec",
    "SplitSpec",
    "StackSpec",
    "StudySpec",
    "SweepSpec",
    "TablesSpec",
    "TreesSpec",
    "load_spec",
    "load_study",
    "read_yaml",
]
