"""The JSON Schema of card.yaml; `python -m scbasset_zoo.package.card_schema` prints it."""

from __future__ import annotations

import json

from scbasset_zoo.package.card import Card


def json_schema() -> str:
    """Return the JSON Schema of card.yaml, which docs/card.schema.json contains.

    Some checks are only in :class:`Card`: SPDX licences, placeholders, and fields that depend on others.
    """
    schema = Card.model_json_schema()
    schema["properties"]["digest"] = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of all lines above."}
    schema["required"].append("digest")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
