"""The published JSON Schema of the card is the one that the code makes."""

import json
import subprocess
import sys
from pathlib import Path

from scbasset_zoo.package.card import Card


def test_the_published_json_schema_is_current():
    published = (Path(__file__).parents[2] / "docs/card.schema.json").read_text()
    done = subprocess.run([sys.executable, "-m", "scbasset_zoo.package.card_schema"], capture_output=True, text=True, check=True)
    assert published == done.stdout, "run: python -m scbasset_zoo.package.card_schema > docs/card.schema.json"
    schema = json.loads(published)
    assert set(schema["properties"]) == {*Card.model_fields, "digest"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["schema_version"]["const"] == "1.4"
    assert schema["properties"]["created"]["format"] == "date"
    assert all(section["additionalProperties"] is False for section in schema["$defs"].values() if section["type"] == "object")
