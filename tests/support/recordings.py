"""The recorded frames in tests/recordings (source and licence: SOURCE.md beside them)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OKX = Path(__file__).parent.parent / "recordings" / "okx"
OKX_2022 = OKX / "ws_public_2022-05-13_btc.jsonl"
OKX_2026 = OKX / "ws_public_2026-09-26_btc-usdt-swap_part1.jsonl"
OKX_SNIPPETS = OKX / "ws_2026-08-12_spot_snippets.jsonl"
OKX_SEQUENCES = OKX / "derived_seq_scenarios.jsonl"
OKX_CONTROL = OKX / "control_frames_docs_example.jsonl"
OKX_REST = OKX / "rest.jsonl"
OKX_DERIVATIVES = OKX / "ws_public_2026-09-30_swap_funding_mark_oi.jsonl"
OKX_ACCOUNT = OKX / "ws_private_account_docs_example.jsonl"

BINANCE = Path(__file__).parent.parent / "recordings" / "binance"
BINANCE_2021 = BINANCE / "ws_spot_2021-10-12_nknusdt_part1_blzeth.jsonl"
BINANCE_TESTNET = BINANCE / "ws_spot_testnet_2026-09-13_btcusdt.jsonl"
BINANCE_KLINE = BINANCE / "ws_spot_2026-08-22_kline_snippet.jsonl"
BINANCE_CONTROL = BINANCE / "control_frames_docs_example.jsonl"
BINANCE_MARK_PRICES = BINANCE / "ws_usdm_2026-09-30_markprice.jsonl"
BINANCE_PERPETUALS = (BINANCE / "ws_usdm_demo_2026-09-15_btcusdt_part1.jsonl", BINANCE_MARK_PRICES)
BINANCE_REST = BINANCE / "rest.jsonl"
BINANCE_ACCOUNT = BINANCE / "ws_api_account_2026-09-30_demo.jsonl"

BYBIT = Path(__file__).parent.parent / "recordings" / "bybit"
BYBIT_ARCHIVE = BYBIT / "archive_ob500_2024-12-01_xrpusdt_part1.jsonl"
BYBIT_TESTNET = BYBIT / "ws_spot_testnet_2026-09-13_btcusdt.jsonl"
BYBIT_BOOK = BYBIT / "ws_spot_2026-08-24_btcusdt_ob50.jsonl"
BYBIT_SPOT = BYBIT / "ws_spot_2026-09-02_btcusdt_trade_ticker.jsonl"
BYBIT_SNIPPETS = BYBIT / "ws_spot_2026-08_snippets.jsonl"
BYBIT_KLINE = BYBIT / "ws_spot_2026-08_kline_snippet.jsonl"
BYBIT_LINEAR = BYBIT / "ws_linear_tickers_2026-09-30_btcusdt.jsonl"
BYBIT_2023 = BYBIT / "ws_linear_2023-04-05_snippets.jsonl"
BYBIT_RESTART = BYBIT / "derived_service_restart_u1.jsonl"
BYBIT_CONTROL = BYBIT / "control_frames_docs_example.jsonl"
BYBIT_REST = BYBIT / "rest.jsonl"
BYBIT_ACCOUNT = BYBIT / "ws_private_wallet_docs_example.jsonl"


@dataclass(frozen=True)
class Frame:
    """One recorded frame."""

    is_in: bool
    url: str
    text: str

    @property
    def bytes(self) -> bytes:
        """The bytes as received from the socket."""
        return self.text.encode()


def frames(path: Path) -> list[Frame]:
    """All frames of a file, in both directions."""
    return list(_read(path))


def received(path: Path) -> list[Frame]:
    """The frames received from the exchange."""
    return [frame for frame in _read(path) if frame.is_in]


def _read(path: Path) -> Iterator[Frame]:
    with path.open() as lines:
        for line in lines:
            row = json.loads(line)
            yield Frame(row["dir"] == "in", row["url"], row["raw"])
