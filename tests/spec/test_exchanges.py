"""Rules about canonical names that depend on the exchange, in Python and in CEL."""

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from market_spec.exchanges import CAPABILITIES, Capabilities, symbol_rules, type_rules
from market_spec.names import FUTURE, KINDS, PERPETUAL, SPOT, parsed

SYMBOLS = [
    "BTC-USDT", "BTC-USD", "BTC-USDT-PERP", "BTC-USDT-PERP-USDT", "BTC-USDT-PERP-BTC", "BTC-USD-PERP",
    "BTC-USD-PERP-USD", "BTC-USD-PERP-BTC", "BTC-USD-PERP-ETH", "BTC-USDT-270326", "BTC-USDT-270326-USDT",
    "BTC-USD-270326", "BTC-USD-270326-BTC",
]  # fmt: skip
SPOT_ONLY = Capabilities(data_types=("trade",), depths=(1,))
LINEAR = Capabilities(data_types=("trade",), depths=(1,), kinds=(SPOT, PERPETUAL))
INVERSE = Capabilities(data_types=("trade",), depths=(1,), kinds=KINDS, inverse_quotes=("USD",))
FUTURES = Capabilities(data_types=("trade",), depths=(1,), kinds=(FUTURE,), inverse_quotes=("USD",))


def refused(offer: Capabilities) -> dict[str, str]:
    """The refused symbols, with the words about them."""
    found = {symbol: [rule.check(symbol) for rule in symbol_rules("x", offer)] for symbol in SYMBOLS}
    return {symbol: next(filter(None, words)) for symbol, words in found.items() if any(words)}


def test_a_spot_exchange_refuses_contracts_by_their_kind() -> None:
    assert [*refused(SPOT_ONLY)] == SYMBOLS[2:]
    assert refused(SPOT_ONLY)["BTC-USDT-PERP"] == '"BTC-USDT-PERP": perpetual'


def test_contracts_settled_in_their_quote_do_not_repeat_it() -> None:
    wrong = refused(LINEAR)
    assert set(SYMBOLS) - set(wrong) == {"BTC-USDT", "BTC-USD", "BTC-USDT-PERP", "BTC-USD-PERP"}
    assert wrong["BTC-USDT-PERP-USDT"] == '"BTC-USDT-PERP-USDT": write BTC-USDT-PERP'


def test_inverse_contracts_name_the_asset_that_settles_them() -> None:
    wrong = refused(INVERSE)
    assert set(SYMBOLS) - set(wrong) == {
        "BTC-USDT", "BTC-USD", "BTC-USDT-PERP", "BTC-USD-PERP-BTC", "BTC-USDT-270326", "BTC-USD-270326-BTC",
    }  # fmt: skip
    assert wrong["BTC-USD-PERP"] == '"BTC-USD-PERP": write BTC-USD-PERP-BTC'
    assert wrong["BTC-USD-270326"] == '"BTC-USD-270326": write BTC-USD-270326-BTC'


@pytest.mark.parametrize(
    ("data_type", "kinds"),
    [("funding", {PERPETUAL}), *((each, {PERPETUAL, FUTURE}) for each in ("markprice", "openinterest", "liquidation"))],
)
def test_data_of_derivatives_is_refused_for_other_kinds(data_type: str, kinds: set[str]) -> None:
    (rule,) = [each for types, each in type_rules().items() if data_type in types]
    assert {parsed(symbol).kind for symbol in SYMBOLS if not rule.check(symbol)} == kinds
    assert rule.check("BTC-USDT") == '"BTC-USDT": spot'


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_cel_and_python_agree_on_the_kinds_of_a_type(symbol: str) -> None:
    environment = cel.NewEnv(variables={"s": cel.Type.STRING})
    for rule in type_rules().values():
        program = environment.compile(rule.cel.format(s="s"))
        assert program.eval(data={"s": symbol}).value() == (not rule.check(symbol))


@pytest.mark.parametrize("offer", [SPOT_ONLY, LINEAR, INVERSE, FUTURES, *CAPABILITIES.values()])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_cel_and_python_accept_the_same_symbols(offer: Capabilities, symbol: str) -> None:
    environment = cel.NewEnv(variables={"s": cel.Type.STRING}, extensions=[ext_strings.ExtStrings()])
    for rule in symbol_rules("x", offer):
        program = environment.compile(rule.cel.format(s="s"))
        assert program.eval(data={"s": symbol}).value() == (not rule.check(symbol))
