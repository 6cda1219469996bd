"""Accepted as a table of observed state and expected result."""

import pytest

from market_operator.observed.collectors import ProbeResult
from market_operator.status.conditions import conditions
from market_operator.status.reasons import ConditionState, Reason
from status_scenes import Scene, said


class TestAccepted:
    @pytest.mark.parametrize(
        ("states", "reason", "expected"),
        [
            (("live", "live", "live"), "", ("True", Reason.ACCEPTED)),
            (("quiet", "stale", "live"), "", ("True", Reason.ACCEPTED)),
            (("live", "pending", "live"), "", ("Unknown", Reason.PENDING)),
            (("refused", "refused", "refused"), "SymbolNotFound", ("False", Reason.SYMBOL_NOT_FOUND)),
            (("live", "refused", "live"), "60012 bad", ("False", Reason.SUBSCRIPTION_REFUSED)),
        ],
    )
    def test_accepted_follows_the_answers_of_the_exchange(
        self, scene: Scene, states: tuple[str, ...], reason: str, expected: tuple[str, str]
    ) -> None:
        assert said(scene.snapshot(scene.pod(), probes=scene.streams(*states, reason=reason)), "Accepted") == expected

    def test_the_unknown_symbol_is_named_and_a_person_must_act(self, scene: Scene) -> None:
        probes = scene.streams("refused", "refused", "refused", reason="SymbolNotFound")
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Accepted"].message == "The exchange does not list BTC-USDT. Correct or remove the symbol"
        assert found["Ready"].reason == Reason.SYMBOL_NOT_FOUND
        assert found["Stalled"].reason == Reason.SYMBOL_NOT_FOUND

    @pytest.mark.parametrize("reason", ["SymbolNotFound", "PermissionDenied"])
    def test_refusal_has_the_words_of_the_exchange(self, scene: Scene, reason: str) -> None:
        words = "OKX error 51001: Instrument ID doesn't exist."
        stream = {"stream": "BTC-USDT/trade", "state": "refused", "reason": reason, "message": words}
        probes = {"pod-1": ProbeResult(scene.report(streams=[stream]))}
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert f"({words})" in found["Accepted"].message

    @pytest.mark.parametrize("reason", [Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED])
    def test_missing_or_refused_key_has_the_collectors_message(self, scene: Scene, reason: str) -> None:
        words = "Secret okx-key: no passphrase in /etc/market-collector-credentials"
        stream = {"stream": "account/balance", "state": "refused", "reason": reason, "message": words}
        probes = {"pod-1": ProbeResult(scene.report("pod-1", streams=[stream]))}
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Accepted"] == ConditionState("False", reason, f"account/balance: {words}")
        assert found["Ready"].reason == found["Stalled"].reason == reason
        before = {"Accepted": found["Accepted"]}
        assert said(scene.snapshot(before=before), "Accepted") == ("False", reason), "until the exchange answers"

    def test_refusal_survives_a_restart_of_the_pod(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("True", Reason.ACCEPTED, "yes")}
        probes = scene.streams("pending", "pending", "pending")
        assert said(scene.snapshot(scene.pod(), probes=probes, before=before), "Accepted")[0] == "True"
        assert said(scene.snapshot(before=before), "Accepted")[0] == "True"

    def test_refusal_stands_until_the_exchange_accepts(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("False", Reason.SYMBOL_NOT_FOUND, "no")}
        assert said(scene.snapshot(before=before), "Accepted") == ("False", Reason.SYMBOL_NOT_FOUND)
        assert said(scene.snapshot(scene.pod(), before=before), "Accepted")[0] == "True"


class TestSecret:
    MISSING = 'secret "okx-key" not found'

    def test_a_missing_secret_is_named_and_a_person_must_act(self, scene: Scene) -> None:
        state = {"waiting": {"reason": "CreateContainerConfigError", "message": self.MISSING}}
        found = conditions(scene.snapshot(scene.pod(state=state, ready=False)))
        for kind in ("Accepted", "WorkloadReady", "Ready", "Stalled"):
            assert found[kind].reason == Reason.SECRET_NOT_FOUND
            assert self.MISSING in found[kind].message

    def test_secret_that_exists_again_is_no_problem(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("False", Reason.SECRET_NOT_FOUND, self.MISSING)}
        probes = scene.streams("pending", "pending", "pending")
        assert said(scene.snapshot(scene.pod(), probes=probes, before=before), "Accepted") == (
            "Unknown",
            Reason.PENDING,
        )
