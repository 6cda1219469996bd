"""Print docs/records.schema.json: the JSON Schema of the records, from the collector's types."""

import json
from typing import Any

import msgspec

from market_collector.model.events import SCHEMA, AnyRecord


def schema() -> dict[str, Any]:
    """The JSON Schema of one line. Fields and words that are not listed are allowed, except in closed lists."""
    found = msgspec.json.schema(AnyRecord)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of market-collector",
        "description": f"One line of a file or of standard output, schema {SCHEMA}. See records.md.",
    }
    return {**head, **found}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False))
