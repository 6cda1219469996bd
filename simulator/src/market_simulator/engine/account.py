"""The exchange's only account: its API key and its holdings. Times are milliseconds since 1970 on the exchange's clock."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Credentials of a client. They protect nothing, so they are not secret."""

    api_key: str = "simulator-api-key"
    secret_key: str = "simulator-secret-key"
    passphrase: str = "simulator-passphrase"


@dataclass(frozen=True, slots=True)
class Holding:
    """Total and frozen amount of one currency."""

    total: Decimal
    frozen: Decimal
    changed_ms: int


def _initial_holdings() -> dict[str, Holding]:
    amounts = {"USDT": ("4750.42", "158.57"), "BTC": ("0.73", "0"), "ETH": ("12.5", "2.5")}
    return {currency: Holding(Decimal(total), Decimal(frozen), 0) for currency, (total, frozen) in amounts.items()}


@dataclass(slots=True)
class Account:
    """The key, and the holdings by currency."""

    key: ApiKey = ApiKey()
    holdings: dict[str, Holding] = field(default_factory=_initial_holdings)

    def held(self) -> list[tuple[str, Holding]]:
        """The holdings above 0 in the order of their currencies."""
        return [(currency, holding) for currency, holding in sorted(self.holdings.items()) if holding.total]
