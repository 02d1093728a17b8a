"""Signals, calibration and its measures."""

import math
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from langchain_r2.confidence import (
    SIGNALS,
    Calibration,
    Confidence,
    auroc,
    expected_calibration_error,
    fit,
    minimum,
    quantile,
    sequence,
)
from langchain_r2.confidence.evaluation import calibrated, held_out_probabilities, threshold_for
from langchain_r2.errors import BadValueError
from langchain_r2.testing import scripted_message
from langchain_r2.transport import Reply, read_reply

logprobs = st.lists(st.floats(-30, 0), min_size=1, max_size=50)


def reply(*values: float) -> Reply:
    return Reply("text", "stop", tuple(values) or None, ())


def test_sequence_is_the_product_of_the_probabilities() -> None:
    assert math.exp(sequence([math.log(0.5), math.log(0.4)])) == pytest.approx(0.2)


def test_minimum_is_the_least_likely_token() -> None:
    assert minimum([-0.1, -3.0, -1.0]) == -3.0


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(0.0, -4.0), (0.25, -3.0), (0.4, -2.4), (0.5, -2.0), (1.0, 0.0)],
)
def test_quantile_interpolates(alpha: float, expected: float) -> None:
    assert quantile(alpha)([0.0, -1.0, -2.0, -3.0, -4.0]) == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_quantile_wants_a_share(alpha: float) -> None:
    with pytest.raises(BadValueError, match="alpha"):
        quantile(alpha)


@given(logprobs)
def test_the_signals_are_ordered(values: list[float]) -> None:
    assert sequence(values) <= minimum(values) + 1e-9
    assert minimum(values) <= quantile(0.4)(values) <= max(values)


def test_equal_tokens_count_each_time() -> None:
    message = scripted_message("x")
    row = {"token": " the", "logprob": math.log(0.5), "top_logprobs": []}
    message.response_metadata["logprobs"] = {"content": [row, {**row, "logprob": math.log(0.1)}, row]}
    read = read_reply(message)
    assert read.token_logprobs == (math.log(0.5), math.log(0.1), math.log(0.5))
    assert Confidence()(read, "m") == pytest.approx(0.025)


def test_the_default_signal_is_the_sequence() -> None:
    assert Confidence()(reply(math.log(0.9), math.log(0.5)), "m") == pytest.approx(0.45)


@pytest.mark.parametrize(("signal", "expected"), [("minimum", 0.5), ("sequence", 0.45), ("quantile_0.4", 0.6325)])
def test_the_signal_is_a_setting(signal: str, expected: float) -> None:
    value = Confidence(signal=signal)(reply(math.log(0.9), math.log(0.5)), "m")
    assert value == pytest.approx(expected, abs=1e-3)


def test_no_token_probabilities_give_no_confidence() -> None:
    assert Confidence()(reply(), "m") is None


def test_a_calibration_is_used_for_its_model_only() -> None:
    confidence = Confidence(calibrations={"m1": Calibration(slope=0.0, intercept=0.0)})
    assert confidence(reply(-3.0), "m1") == pytest.approx(0.5)
    assert confidence(reply(-3.0), "m2") == pytest.approx(math.exp(-3))


@pytest.mark.parametrize("signal", sorted(SIGNALS))
@pytest.mark.parametrize("value", [math.nan, -math.inf], ids=["nan", "minus-infinity"])
def test_a_probability_that_is_none_is_never_full_confidence(signal: str, value: float) -> None:
    sure = Confidence(signal=signal)(reply(value, value), "m")
    assert sure is None or sure < 0.5


def test_impossible_probabilities_are_capped() -> None:
    assert Confidence()(reply(5.0), "m") == 1.0


@pytest.mark.parametrize(
    ("given_settings", "name"),
    [({"signal": "vibes"}, "signal"), ({"threshold": 1.5}, "threshold"), ({"threshold": -1}, "threshold")],
)
def test_settings_are_checked(given_settings: dict[str, object], name: str) -> None:
    with pytest.raises(BadValueError, match=name):
        Confidence(**given_settings)  # type: ignore[arg-type]


@given(st.floats(-5, 5), st.floats(-5, 5), st.one_of(st.floats(-1e300, 1e300), st.just(-math.inf)))
def test_a_calibrated_value_is_a_probability(slope: float, intercept: float, signal: float) -> None:
    assert 0 <= Calibration(slope=abs(slope), intercept=intercept)(min(signal, 0.0)) <= 1


def test_fit_recovers_a_known_logistic() -> None:
    rng = random.Random(7)
    signals = [rng.uniform(-6, 0) for _ in range(20_000)]
    right = [rng.random() < 1 / (1 + math.exp(-(1.5 * x + 3.0))) for x in signals]
    fitted = fit(signals, right)
    assert fitted.slope == pytest.approx(1.5, abs=0.1)
    assert fitted.intercept == pytest.approx(3.0, abs=0.2)
    assert fitted.items == 20_000
    assert fitted.ece is not None
    assert fitted.ece < 0.02


def test_fit_stays_finite_on_separable_data() -> None:
    fitted = fit([-5.0, -4.0, -0.2, -0.1], [False, False, True, True])
    assert math.isfinite(fitted.slope)
    assert math.isfinite(fitted.intercept)
    assert fitted.auroc == 1.0
    assert fitted(-5.0) < 0.5 < fitted(-0.1) < 1


@pytest.mark.parametrize("right", [True, False])
def test_fit_of_one_kind_only_is_careful(right: bool) -> None:
    fitted = fit([-1.0, -1.5, -2.0, -0.5], [right] * 4)
    assert fitted.auroc is None
    assert 0.5 < (fitted(-1.0) if right else 1 - fitted(-1.0)) < 1


def test_fit_on_a_signal_that_says_the_opposite_falls_back_to_the_base_rate() -> None:
    signals = [-6.0 + 0.05 * i for i in range(120)]
    right = [x < -4.5 for x in signals]
    fitted = fit(signals, right)
    assert fitted.slope == 0.0
    assert fitted(-3.0) == pytest.approx(sum(right) / len(right), abs=0.05)


@pytest.mark.parametrize(("signals", "right"), [([], []), ([0.0], []), ([0.0], [True, False])])
def test_fit_wants_a_label_per_signal(signals: list[float], right: list[bool]) -> None:
    with pytest.raises(BadValueError, match="items"):
        fit(signals, right)


@pytest.mark.parametrize(
    ("signals", "right", "expected"),
    [
        ([0.1, 0.9], [False, True], 1.0),
        ([0.9, 0.1], [False, True], 0.0),
        ([0.5, 0.5], [False, True], 0.5),
        ([0.1, 0.5, 0.5, 0.9], [False, True, False, True], 0.875),
        ([0.1, 0.2], [True, True], None),
        ([], [], None),
    ],
)
def test_auroc(signals: list[float], right: list[bool], expected: float | None) -> None:
    assert auroc(signals, right) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(items: list[tuple[int, bool]]) -> None:
    signals, right = [float(s) for s, _ in items], [r for _, r in items]
    pairs = [(a, b) for a, x in items if x for b, y in items if not y]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    assert auroc(signals, right) == (pytest.approx(wins / len(pairs)) if pairs else None)


@pytest.mark.parametrize(
    ("probabilities", "right", "expected"),
    [
        ([1.0, 0.0], [True, False], 0.0),
        ([1.0, 0.0], [False, True], 1.0),
        ([0.8, 0.8, 0.2, 0.2], [True, False, True, False], 0.3),
        ([0.75] * 4, [True, True, True, False], 0.0),
    ],
)
def test_expected_calibration_error(probabilities: list[float], right: list[bool], expected: float) -> None:
    assert expected_calibration_error(probabilities, right) == pytest.approx(expected)


def test_first_token_entropy_is_low_where_one_token_is_likely() -> None:
    def undecided(*shares: float) -> float | None:
        first = {str(i): math.log(p) for i, p in enumerate(shares)}
        return Confidence(signal="first_token_entropy")(Reply("x", "stop", (-0.1, -9.0), (first, {})), "m")

    assert undecided(1.0) == pytest.approx(1.0)
    assert undecided(0.5, 0.5) == pytest.approx(0.5)
    assert undecided(0.9) == pytest.approx(math.exp(0.9 * math.log(0.9) + 0.1 * math.log(0.1)))  # the rest counts too


def test_first_token_entropy_needs_alternatives() -> None:
    assert Confidence(signal="first_token_entropy")(reply(-0.1), "m") is None


def test_a_calibration_for_another_signal_is_not_used() -> None:
    confidence = Confidence(
        calibrations={"m": Calibration(slope=0.0, intercept=0.0, signal="agreement", threshold=0.9)}
    )
    assert confidence(reply(-3.0), "m") == pytest.approx(math.exp(-3))
    assert confidence.threshold_for("m", signal="sequence") == 0.5


def test_a_kind_of_subtask_goes_before_its_model() -> None:
    confidence = Confidence(
        calibrations={"m": Calibration(slope=0.0, intercept=0.0, threshold=0.6)},
        kinds={"m": {"sums": Calibration(slope=0.0, intercept=9.0, threshold=0.7, accuracy=0.4)}},
    )
    assert confidence(reply(-3.0), "m", "sums") == pytest.approx(1.0, abs=1e-3)
    assert confidence(reply(-3.0), "m", "other") == 0.5
    thresholds = [confidence.threshold_for(m, k) for m, k in [("m", "sums"), ("m", "other"), ("x", "sums")]]
    assert thresholds == [0.7, 0.6, 0.5]
    assert [confidence.trusts("m", k) for k in ("sums", "other")] == [False, True]


class TestEvaluation:
    def test_a_signal_that_tells_is_usable_and_measured_on_held_out_items(self) -> None:
        rng = random.Random(1)
        signals = [rng.uniform(-6, 0) for _ in range(400)]
        right = [rng.random() < 1 / (1 + math.exp(-(1.5 * x + 3.0))) for x in signals]
        found = calibrated(signals, right, signal="sequence", target=0.9)
        assert not found.weak
        assert found.auroc_interval is not None
        assert found.auroc is not None
        assert 0.5 < found.auroc_interval[0] < found.auroc < found.auroc_interval[1] < 1
        assert found.threshold is not None
        accepted = [r for s, r in zip(signals, right, strict=True) if found(s) >= found.threshold]
        assert sum(accepted) / len(accepted) == pytest.approx(0.9, abs=0.04)
        assert found.accuracy == sum(right) / 400

    def test_a_signal_without_information_is_weak(self) -> None:
        rng = random.Random(2)
        right = [rng.random() < 0.6 for _ in range(80)]
        assert calibrated([rng.random() for _ in right], right, signal="sequence", target=0.9).weak

    @pytest.mark.parametrize(("wrong", "measured"), [(0, False), (4, False), (5, True), (20, True), (36, False)])
    def test_some_of_both_kinds_are_needed_to_measure(self, wrong: int, measured: bool) -> None:
        right = [i >= wrong for i in range(40)]
        found = calibrated([float(r) - 1 for r in right], right, signal="sequence", target=0.9)
        assert (found.auroc_interval is not None, found.threshold is not None) == (measured, measured)
        assert (found.weak, found.accuracy) == (False, (40 - wrong) / 40)

    @pytest.mark.parametrize(("wrong", "expected"), [(0, 41 / 42), (40, 1 / 42)])
    def test_without_one_kind_the_accuracy_is_the_confidence(self, wrong: int, expected: float) -> None:
        right = [i >= wrong for i in range(40)]
        found = calibrated([-i / 10 for i in range(40)], right, signal="sequence", target=0.9)
        assert [found(-9.0), found(-0.1)] == [pytest.approx(expected, abs=1e-3)] * 2

    def test_replies_without_a_signal_count_for_the_accuracy_alone(self) -> None:
        found = calibrated([None, None, -1.0], [True, True, False], signal="sequence", target=0.9)
        assert found.items == 1
        assert found.accuracy == pytest.approx(2 / 3)
        assert calibrated([None], [True], signal="sequence", target=0.9).weak

    @settings(deadline=None)  # twenty fits
    @given(st.lists(st.tuples(st.floats(-20, 0), st.booleans()), min_size=12, max_size=40), st.integers(0, 11))
    def test_no_item_has_a_say_in_its_own_held_out_probability(self, items: list[tuple[float, bool]], at: int) -> None:
        signals, right = [s for s, _ in items], [r for _, r in items]
        assume(5 <= sum(right) <= len(right) - 5)
        higher = [s + 1 if i == at else s for i, s in enumerate(signals)]
        before, after = held_out_probabilities(signals, right)[at], held_out_probabilities(higher, right)[at]
        assert 0 <= before <= after <= 1  # a fit that had seen a wrong item rise could go down

    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 0.95))
    def test_a_threshold_keeps_its_promise_where_it_can(self, items: list[tuple[float, bool]], target: float) -> None:
        probabilities, right = [p for p, _ in items], [r for _, r in items]
        cut = threshold_for(probabilities, right, target)
        taken = [r for p, r in items if p >= cut.threshold]
        assert cut.accepted == len(taken) / len(items)
        below = {p for p in probabilities if not cut.reached or p < cut.threshold}
        for p in below:  # no lower one shows it
            more = [r for q, r in items if q >= p]
            assert (sum(more) + 1) / (len(more) + 2) < target
        if cut.reached:
            assert (sum(taken) + 1) / (len(taken) + 2) >= target
        else:
            assert cut.threshold == target

    @pytest.mark.parametrize(("count", "reached"), [(17, False), (18, True)])
    def test_a_lucky_few_are_no_proof(self, count: int, reached: bool) -> None:
        cut = threshold_for([0.6] * count, [True] * count, 0.95)
        assert (cut.reached, cut.threshold) == (reached, 0.6 if reached else 0.95)

    @pytest.mark.parametrize("target", [0.0, 1.0, -1.0])
    def test_the_target_is_a_share(self, target: float) -> None:
        with pytest.raises(BadValueError, match="target"):
            calibrated([0.0], [True], signal="sequence", target=target)
