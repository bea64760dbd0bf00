"""The study file: what it means, and one line for everything that is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nacsr.errors import SpecError
from nacsr.spec import BUDGETS, DatasetSpec, StudySpec, load_spec
from nacsr.spec.document import up_to_date

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "jets.yaml"


def study(tmp_path: Path, text: str) -> StudySpec:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        study(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(tmp_path / "study.yaml") + ": ")
    return message.removeprefix(str(tmp_path / "study.yaml") + ": ")


def test_the_example_is_the_default_study_on_jets():
    spec = load_spec(EXAMPLE)
    assert spec.dataset == DatasetSpec(source="jets")
    assert spec.budget in BUDGETS
    plain = StudySpec(name="jets", dataset=DatasetSpec(source="jets"), constraints=spec.constraints)
    assert spec == plain  # its comments explain the defaults, so it must show them


def test_shorthand_and_lists(tmp_path):
    spec = study(tmp_path, "dataset: jets\nobjectives: [accuracy, luts]\nclock_mhz: 320\n")
    assert spec.dataset.source == "jets"
    assert spec.objectives == ("accuracy", "luts")
    assert spec.clock_mhz == 320.0


def test_a_family_can_be_left_out(tmp_path):
    spec = study(tmp_path, "dataset: jets\nfamilies: {expression: null}\n")
    assert spec.families.expression is None
    assert spec.families.network is not None


def test_round_trip(tmp_path):
    spec = study(
        tmp_path,
        "dataset: {source: a.csv, label: y, features: [pt, eta]}\n"
        "inputs: {types: {pt: 'ufixed<10,8>'}}\n"
        "families: {network: null}\nconstraints: {dsps: 0}\nprecision: '18,8'\n",
    )
    assert spec.precision == "fixed<18,8>"
    assert study(tmp_path, spec.to_yaml()) == spec


def test_objectives_are_those_of_the_task(tmp_path):
    spec = study(tmp_path, "dataset: {source: a.csv, task: regression, label: m, weight: w}\n")
    assert (spec.dataset.task, spec.dataset.label, spec.dataset.weight) == ("regression", "m", "w")
    assert spec.objectives == ("rmse", "luts", "dsps", "latency_cycles")
    assert study(tmp_path, "dataset: jets\n").objectives[0] == "accuracy"
    assert study(tmp_path, spec.to_yaml()) == spec


def test_networks_alone_may_be_searched_for_fewer_bit_operations(tmp_path):
    alone = "families: {expression: null}\n"
    spec = study(tmp_path, f"dataset: jets\nobjectives: [accuracy, bops]\n{alone}")
    assert spec.objectives == ("accuracy", "bops")


def test_a_study_stored_before_references_came_is_one_without_them(tmp_path):
    spec = study(tmp_path, "dataset: jets\nfamilies: {linear: null, tables: null, trees: null}\n")
    stored = yaml.safe_load(spec.to_yaml())
    for name in ("linear", "tables", "trees"):
        del stored["families"][name]
    assert up_to_date(yaml.safe_dump(stored, sort_keys=False)) == spec.to_yaml()
    assert up_to_date(spec.to_yaml()) == spec.to_yaml()
    some = study(tmp_path, "dataset: jets\nfamilies: {linear: null}\n")
    assert up_to_date(some.to_yaml()) == some.to_yaml()


def test_from_mapping_takes_python_values():
    spec = StudySpec.from_mapping({"dataset": {"source": "jets", "features": ("a", "b")}})
    assert spec.dataset.features == ("a", "b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clock_mz: 200", "unknown key 'clock_mz', did you mean 'clock_mhz'? Choose from: version"),
        ("split: {trian: 0.5}", "split: unknown key 'trian', did you mean 'train'?"),
        (
            "families: {network: {width: [8]}}",
            "families.network: unknown key 'width', did you mean 'widths'?",
        ),
        ("clock_mhz: fast", "clock_mhz: expected a number, got 'fast'"),
        ("clock_mhz: '200'", "clock_mhz: expected a number, got '200'"),
        ("clock_mhz: true", "clock_mhz: expected a number, got True"),
        ("clock_mhz: 5", "clock_mhz: expected greater than or equal to 50, got 5"),
        ("clock_mhz: .nan", "clock_mhz: expected"),
        ("seed: 1.5", "seed: expected an integer, got 1.5"),
        ("seed: -1", "seed: expected greater than or equal to 0, got -1"),
        ("name: 7", "name: expected text, got 7"),
        ("version: 2", "version: expected 1, got 2"),
        ("budget: fast", "budget: expected 'quick', 'default' or 'thorough', got 'fast'"),
        ("target: vu9", "target: unknown target 'vu9', did you mean 'vu9p'? Choose from: vu9p"),
        ("precision: 16", "precision: expected text, got 16"),
        ("precision: double", "precision: cannot read 'double' as a fixed-point type; write"),
        ("inputs: {types: {pt: short}}", "inputs.types: pt: cannot read 'short' as a fixed-point"),
        ("inputs: {types: {pt: 12}}", "inputs.types.pt: expected text, got 12"),
        ("inputs: {width: 64}", "inputs.width: expected less than or equal to 32, got 64"),
        ("inputs: 16", "inputs: expected keys and values, got 16"),
        ("objectives: accuracy", "objectives: expected a list, got 'accuracy'"),
        ("objectives: []", "objectives: give at least one choice"),
        ("objectives: [luts, lut]", "objectives: unknown objective 'lut', did you mean 'luts'?"),
        ("objectives: [accuracy, bops]", "objectives: bops is of networks only, formulas have no"),
        (
            "objectives: [accuracy, bops]\nfamilies: {expression: null, network: null}",
            "objectives: bops is of networks only, and families.network is null, so nothing is "
            "left to search; leave it out, or search networks",
        ),
        ("objectives: [rmse]", "objectives: rmse is none of a classification: accuracy"),
        ("objectives: [luts, luts]", "objectives: names 'luts' twice"),
        ("split: {train: 0.9}", "split: train, validation and test must sum to 1"),
        ("split: {train: 1.5}", "split.train: expected less than 1, got 1.5"),
        (
            "families: {network: {tables: {stacks: [[3], [3]]}}}",
            "families.network.tables.stacks: gives a stack twice, which would be the same networks "
            "again",
        ),
        (
            "families: {network: {kind: deepsets, tables: {stacks: [[]]}}}",
            "families.network.tables: stacks: every one needs a layer before the pool, such as "
            "[12]",
        ),
        (
            "families: {network: {depth: [1, two]}}",
            "families.network.depth[1]: expected an integer, got 'two'",
        ),
        (
            "families: {network: {widths: [0]}}",
            "families.network.widths[0]: expected greater than or equal to 1, got 0",
        ),
        ("families: {network: {batchnorm: [1]}}", "batchnorm[0]: expected true or false, got 1"),
        (
            "families: {expression: {max_size: 3}}",
            "expression.max_size: must be 5 or more, for weight*input + offset; got 3",
        ),
        ("families: {expression: {max_size: 300}}", "max_size: expected less than or equal to 200"),
        ("families: {expression: {operators: []}}", "operators: give at least one choice"),
        (
            "families: {expression: {operators: [add, div]}}",
            "families.expression.operators[1]: expected 'add', 'sub',",
        ),
        (
            "families: {expression: null, network: null, linear: null, tables: null, trees: null}",
            "families: all families are null, so there is nothing to search; keep one at least",
        ),
        ("families: {linear: {digits: []}}", "families.linear.digits: give at least one choice"),
        ("families: {tables: {address_bits: [], pairs: 0}}", "families.tables: address_bits: []"),
        ("families: {linear: {word_bits: [], cuts: false}}", "families.linear: word_bits: []"),
        ("families: {tables: {adress_bits: [3]}}", "did you mean 'address_bits'?"),
        (
            "families: {expression: {features: 0}}",
            "families.expression.features: expected an integer from 1 or a list of names, got 0\n",
        ),
        (
            "families: {expression: {lut: {sin: fine, exp: {entries: x}}}}",
            "expression.lut.sin: expected a number or keys and values, got 'fine' (and 1 more)\n",
        ),
        (
            "families: {expression: {complexities: cycles<16,6>}}",
            "complexities: got only 'cycles<16', because YAML splits at commas inside {} and []; "
            "put it in quotes, such as 'cycles<16,6>'",
        ),
        ("families: {expression: {precisions: [fixed<12,6>]}}", "precisions: got only 'fixed<12',"),
        ("inputs: {types: {pt: ufixed<12,8>}}", "types: pt: got only 'ufixed<12', because YAML"),
        ("clock_mhz: fast\nseed: x", "seed: expected an integer, got 'x' (and 1 more)"),
        ("3: 4", "expected text as a key"),
    ],
)
def test_wrong_values(tmp_path, text, expected):
    assert expected in refusal(tmp_path, f"dataset: jets\n{text}\n") + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 2", "dataset: is missing; add it, for example 'dataset: jets'"),
        ("dataset: {label: y}", "dataset.source: is missing; add it"),
        ("dataset: [jets]", "dataset: expected keys and values, got ['jets']"),
        ("", "expected keys such as 'dataset: jets', got nothing"),
        ("# nothing but a comment", "got nothing"),
        ("jets", "expected keys such as 'dataset: jets', got 'jets'"),
        ("- dataset: jets", "got [{'dataset': 'jets'}]"),
        ("dataset: jets\n  seed: 1", "line 2, column 7: mapping values are not allowed here"),
        ("dataset: [jets", "line 1, column 15: "),
        ("dataset: jets\n\tseed: 1", "line 2, column 1: "),
        ("dataset: jets\nseed: 1\nseed: 2", "line 3, column 1: the key 'seed' is there twice"),
        ("dataset: &a [*a]", "line 1, column 14: aliases (*a) are not allowed"),
        ("dataset: !!python/object/apply:os.system [ls]", "line 1, column 10: could not determine"),
        ("dataset: jets\x07", "is not a YAML text"),
        ("dataset: 2024-13-45", "is not a YAML text"),
        ("dataset: jets\n---\ndataset: jets", "line 2, column 1: but found another document"),
    ],
)
def test_wrong_documents(tmp_path, text, expected):
    assert expected in refusal(tmp_path, text)


def test_deep_nesting_is_refused(tmp_path):
    assert "is not a YAML text" in refusal(tmp_path, "[" * 600 + "]" * 600)


def test_unreadable_files(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read \(No such file"):
        load_spec(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match=r"cannot be read \(Is a directory"):
        load_spec(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(SpecError, match=r"latin\.yaml: cannot be read \(not UTF-8"):
        load_spec(tmp_path / "latin.yaml")


# --- spaces of networks


def of_network(network):
    families = {"expression": None, "network": network}
    return StudySpec.from_mapping({"dataset": "jets", "families": families}).families.network


@pytest.mark.parametrize("name", ["mlp_jets", "deepsets_jets", "bragg_cnn"])
def test_presets_are_whole_studies(name):
    spec = StudySpec.from_mapping({"dataset": "jets", "families": {"network": name}})
    assert StudySpec.from_mapping(yaml.safe_load(spec.to_yaml())) == spec


def test_keys_beside_a_preset_replace_its_own():
    whole, changed = (
        of_network("deepsets_jets"),
        of_network({"preset": "deepsets_jets", "bottleneck": [3]}),
    )
    assert changed.bottleneck == (3,)
    assert changed.phi == whole.phi
    assert whole.bottleneck == (1, 2, 4, 8, 16, 32, 64)


def test_a_space_without_a_kind_is_of_perceptrons():
    assert of_network({"depth": [2]}).kind == "mlp"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"depths": [1]}, r"families.network: unknown key 'depths', did you mean 'depth'"),
        ({"kind": "rnn"}, "families.network.kind: expected one of mlp, deepsets, cnn, got 'rnn'"),
        ("mlp_jet", "families.network: unknown preset 'mlp_jet', did you mean 'mlp_jets'"),
        ({"kind": "deepsets", "phi": {"depht": [1]}}, "families.network.phi: unknown key 'depht'"),
        ({"kind": "cnn", "kernels": []}, "families.network.kernels: give at least one choice"),
        (
            {"kind": "cnn", "channels": ["a"]},
            r"network.channels\[0\]: expected an integer, got 'a'",
        ),
        (3, "families.network: expected keys and values, got 3"),
        ({"local": {"trails": 3}}, "network.local: unknown key 'trails', did you mean 'trials'"),
        ({"local": {"picks": -1}}, "network.local.picks: expected greater than or equal to 0"),
        ({"local": {"share": 1.0}}, "network.local.share: expected less than 1, got 1.0"),
        ({"local": {"pruning_tolerance": "1%"}}, "pruning_tolerance: expected a number, got '1%'"),
        ({"local": {"bits": [32]}}, r"local.bits\[0\]: expected less than or equal to 16, got 32"),
        (
            {"local": {"criteria": ["costs"]}},
            r"network.local.criteria\[0\]: expected 'magnitude' or 'cost', got 'costs'",
        ),
    ],
)
def test_a_wrong_space_is_told_in_words_of_yaml(network, message):
    with pytest.raises(SpecError, match=message):
        of_network(network)
