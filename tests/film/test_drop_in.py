"""A look and a kind of scene are one file each: dropped into the folder, nothing else is edited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOK = """
from dataclasses import replace
from pipeline.film.looks import elegant
THEME = replace(elegant.THEME, name="tango", accent="#B3123A")
"""
SCENE = """
from pipeline.film.grounds import artwork, shot
from pipeline.film.titles import kicker_and_title
from pipeline.film.views import Drawn
def draw(view):
    stage = view.stage
    return Drawn(shot(view, artwork(view), None), kicker_and_title(view, "", "Soon", stage.middle, 90, 1))
"""
PROGRAM = """
from pathlib import Path
from pipeline.catalog.product_video import ProductVideoPayload
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob, SceneInput
payload = ProductVideoPayload(product_name="Nova", style="tango", script=[{"narration": "Soon.", "kind": "teaser"}])
scene = {"index": 0, "kind": payload.script[0].kind, "narration": "Soon.", "headline": "Soon"}
spoken = SceneInput(scene=scene, audio_path="a.wav", duration_seconds=2)
job = RenderJob(style=payload.style, product_name="Nova", scenes=(spoken,), output="f.mp4", work_dir="w")
from pipeline.film.ass import document
timeline = plan(job, {})
assert document(timeline)
print(timeline.style, timeline.shots[0].plate.picture.treatment, *(label.text for label in timeline.labels))
"""


def test_a_look_and_a_scene_of_a_user(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("artifacts.py", "errors.py", "log.py", "settings.py", "states.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "pipeline/film/looks/tango.py").write_text(LOOK)
    (tmp_path / "pipeline/film/scenes/teaser.py").write_text(SCENE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["tango", "art", "Soon"], done.stderr[-2000:]
