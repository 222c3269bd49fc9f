"""`script_gen`: the words of a film, scene by scene, from what the payload says and nothing else; judged before and after."""

from __future__ import annotations

from collections.abc import Mapping

from errors import InvalidInput, Refused
from pipeline.catalog.product_video import shown_texts
from pipeline.context import Context
from pipeline.film.script import Scene, Script
from pipeline.providers.base import Brief
from pipeline.providers.moderation import judge
from pipeline.stage import stage


@stage("script_gen", capability="write", uses=("moderate",), weight=25, hard_seconds=900, version="1")
def script_gen(context: Context) -> Script:
    """Write the script, fitted to the wanted duration; Refused when its words may not be used."""
    payload = context.payload
    brief = Brief.of(payload)
    typed = shown_texts(payload)
    _drawable(typed, payload.language, written=not payload.script)
    # What a word is said to sound like is heard by everybody.
    typed |= {f"pronounce.{word}": said for word, said in payload.pronounce.items()}
    if payload.script:
        from pipeline.providers.own_script import own_script  # grammar that an idle worker need not know

        own = own_script(brief, payload.script)
        facts = {name: text for name, text in typed.items() if not name.startswith("script.")}
        _moderate(context, facts | _said(own))
        return _subtitled(context, own)
    _moderate(context, typed)
    script: Script = context.provider("write").write(brief, context.check, context.ledger)
    _drawable(_said(script), payload.language)
    if script.provider != "local":  # that one says what the brief says, in other words
        _moderate(context, _said(script))
    return _subtitled(context, script)


def _subtitled(context: Context, script: Script) -> Script:
    """The script with a subtitle for each scene, where the payload wants them in another language."""
    into = context.payload.subtitle_language
    bare = [scene for scene in script.spoken if not scene.subtitle]
    if not into or not bare:
        return script
    writer = context.provider("write")
    if not writer.hosted:
        raise InvalidInput(
            f"subtitle_language={into!r}: nothing here translates; give each scene of your script a `subtitle`, or set the key "
            "of a hosted writer"
        )
    texts = [scene.narration for scene in bare]
    said = writer.translate(texts, context.payload.language, into, context.check, context.ledger)
    found = {scene.index: text for scene, text in zip(bare, said, strict=True)}
    _drawable({f"subtitle of scene {index + 1}": text for index, text in found.items()}, into)

    def full(scene: Scene) -> Scene:
        return scene.model_copy(update={"subtitle": scene.subtitle or found[scene.index]})

    return script.model_copy(
        update={"scenes": tuple(map(full, script.scenes)), "openings": tuple(map(full, script.openings))}
    )


def _drawable(texts: Mapping[str, str], language: str, *, written: bool = False) -> None:
    """Unsupported, with the field, when no font for a text is found."""
    from pipeline.film.font_files import require  # and with it all that measures text: an idle worker need not

    require(texts, language, written=written)


def _said(script: Script) -> dict[str, str]:
    return {
        f"script.{one.index}": " ".join((one.headline, one.kicker, one.narration, one.subtitle, *one.lines)).strip()
        for one in script.spoken
    }


def _moderate(context: Context, texts: Mapping[str, str]) -> None:
    """Our own rules first: they cost nothing."""
    verdict = judge(texts, context.settings.moderation_deny)
    moderator = context.provider("moderate")
    if verdict.allowed and moderator.hosted:
        verdict = moderator.moderate(texts, context.check, context.ledger)
    if not verdict.allowed:
        field = f"{verdict.field}: " if verdict.field else ""
        raise Refused(f"{field}{verdict.reason} ({verdict.category})")
