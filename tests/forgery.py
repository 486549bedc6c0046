"""Changing a package and covering it up, as somebody would who can write every file of it."""

import onnx
import yaml

from scbasset_zoo import files
from scbasset_zoo.card import seal, unseal


def change_card(folder, change):
    """Apply `change` to the card's fields and sign the card again."""
    path = folder / "card.yaml"
    card = yaml.safe_load(unseal(path.read_bytes())[0])
    change(card)
    path.write_bytes(seal(yaml.safe_dump(card, sort_keys=False)))


def rehash(folder):
    """Make the card agree with the files as they are."""

    def change(card):
        for name, entry in card["files"].items():
            entry.update(bytes=(folder / name).stat().st_size, sha256=files.sha256(folder / name))

    change_card(folder, change)


def change_model(folder, change):
    """Apply `change` to the network and make the card agree."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rehash(folder)
