"""Models on disk: `weights.safetensors` and `model.json`, nothing pickled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from streamrec.errors import BundleError
from streamrec.layout import FeatureLayout
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig

FORMAT = 1


def save_model(model: ItemVAE, folder: str | Path) -> None:
    """Write the model into `folder`; equal models give equal bytes."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "weights.safetensors")
    description = {
        "format": FORMAT,
        "family": "item_vae",
        "config": asdict(model.config),
        "layout": model.layout.to_dict(),
    }
    (folder / "model.json").write_text(json.dumps(description, indent=1))


def load_model(folder: str | Path) -> ItemVAE:
    """Inverse of `save_model`: on the CPU, in evaluation mode.

    Raises:
        BundleError: a file is absent, broken, of another format, or the weights are of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        description = json.loads((folder / "model.json").read_text())
        if (description["format"], description["family"]) != (FORMAT, "item_vae"):
            raise BundleError(
                f"{folder / 'model.json'}: found format {description['format']!r} of "
                f"{description['family']!r}, expected {FORMAT} of 'item_vae'"
            )
        config = description["config"]
        config["hidden"] = tuple(config["hidden"])
        model = ItemVAE(FeatureLayout.from_dict(description["layout"]), ItemVAEConfig(**config))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except OSError as error:
        raise BundleError(f"{folder}: cannot read the model: {error}") from error
    except (ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{folder}: model.json or weights.safetensors is broken ({reason})") from error
    return model.eval()
