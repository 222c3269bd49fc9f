"""Every provider by capability and name; a new one is one more entry of PROVIDERS.

A provider's module is imported when it is first wanted, so an idle worker pays for none of them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from errors import HostTrouble, InvalidInput, Unsupported

if TYPE_CHECKING:
    from pipeline.providers.base import Capability, Provider, Speaker, Vendor, Writer
    from settings import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a provider lives; `key` is the setting (a field of Settings) without which a hosted one cannot be asked.

    `needs` is the setting without which a local one is not there: it is passed over by `auto`, and refused by name.
    """

    module: str
    class_name: str
    key: str | None = None
    needs: str | None = None


# The order inside a capability is the order in which `auto` tries them.
PROVIDERS: dict[tuple[str, str], Entry] = {
    ("write", "anthropic"): Entry("pipeline.providers.anthropic", "AnthropicWriter", "anthropic_api_key"),
    ("write", "openai_compatible"): Entry("pipeline.providers.openai_compatible", "CompatibleWriter", "llm_base_url"),
    ("write", "local"): Entry("pipeline.providers.local_writer", "LocalWriter"),
    ("speak", "elevenlabs"): Entry("pipeline.providers.elevenlabs", "ElevenLabsSpeaker", "elevenlabs_api_key"),
    ("speak", "kokoro"): Entry("pipeline.providers.kokoro", "KokoroSpeaker", needs="kokoro_model"),
    ("speak", "piper"): Entry("pipeline.providers.piper", "PiperSpeaker"),
    ("speak", "espeak"): Entry("pipeline.providers.espeak", "EspeakSpeaker"),
    ("film", "replicate"): Entry("pipeline.providers.replicate", "ReplicateFilm", "replicate_api_token"),
    ("film", "local"): Entry("pipeline.providers.local_film", "LocalFilm"),
    ("text", "anthropic"): Entry("pipeline.providers.anthropic", "AnthropicAuthor", "anthropic_api_key"),
    ("text", "openai_compatible"): Entry("pipeline.providers.openai_compatible", "CompatibleAuthor", "llm_base_url"),
    ("moderate", "anthropic"): Entry("pipeline.providers.anthropic", "AnthropicModerator", "anthropic_api_key"),
    ("moderate", "local"): Entry("pipeline.providers.moderation", "LocalModerator"),
    ("sound", "elevenlabs"): Entry("pipeline.providers.elevenlabs", "ElevenLabsSound", "elevenlabs_api_key"),
    ("transcribe", "elevenlabs"): Entry("pipeline.providers.elevenlabs", "ElevenLabsTranscriber", "elevenlabs_api_key"),
    ("enhance", "replicate"): Entry("pipeline.providers.replicate", "ReplicateEnhancer", "replicate_api_token"),
}
SETTING: dict[Capability, str] = {
    "write": "SCRIPT_PROVIDER",
    "speak": "VOICE_PROVIDER",
    "film": "VIDEO_PROVIDER",
    "text": "TEXT_PROVIDER",
    "moderate": "MODERATION_PROVIDER",
    "sound": "SOUND_PROVIDER",
    "transcribe": "TRANSCRIBE_PROVIDER",
    "enhance": "ENHANCE_PROVIDER",
}

_lock = threading.Lock()
_living: dict[tuple[str, str], Provider] = {}


def names(capability: Capability) -> list[str]:
    """The names registered for a capability, in the order `auto` tries them."""
    return [name for kind, name in PROVIDERS if kind == capability]


def wanted(capability: str, settings: Settings) -> str:
    """What the settings say of a capability; `auto` where there is no setting."""
    setting = SETTING.get(cast("Capability", capability))
    return str(getattr(settings, setting.lower())) if setting else "auto"


def fallback(capability: Capability, name: str, settings: Settings, *, language: str = "en") -> str | None:
    """The provider to use when `name` is down: the next that works here; None when there is none."""
    known = names(capability)
    for following in known[known.index(name) + 1 :]:
        entry = PROVIDERS[capability, following]
        if entry.key is not None:
            if getattr(settings, entry.key, None):
                return following
            continue
        if _is_absent(entry, settings):
            continue
        provider = get(capability, following)
        if provider.available() is None and (capability != "speak" or cast("Speaker", provider).speaks(language)):
            return following
    return None


def resolve(capability: Capability, wanted: str, settings: Settings, *, language: str = "en") -> str:
    """The name of the provider to use for `wanted`: a name, `auto`, or `local` (auto without the hosted ones).

    `auto` takes a hosted provider whose key is set, else the first local one that works here and, for speech,
    reads `language`. Errors: InvalidInput for an unknown name, or a hosted one without its key; Unsupported when
    nothing reads the language; HostTrouble when no local engine works on this host.
    """
    wanted = wanted.strip().lower() or "auto"
    if wanted in names(capability):
        _require_key(capability, wanted, settings)
        return _usable(capability, wanted)
    if wanted == "auto":
        for name in names(capability):
            key = PROVIDERS[capability, name].key
            if key is not None and getattr(settings, key, None):
                return _usable(capability, name)
    elif wanted != "local":
        raise InvalidInput(_unknown(capability, wanted))
    return _first_local(capability, language, settings)


@overload
def get(capability: Literal["write"], name: str) -> Writer: ...
@overload
def get(capability: Literal["speak"], name: str) -> Speaker: ...
@overload
def get(capability: Capability, name: str) -> Provider: ...
def get(capability: Capability, name: str) -> Provider:
    """The provider of this name; one instance lives as long as the process. InvalidInput for an unknown name."""
    with _lock:
        if (capability, name) not in _living:
            entry = PROVIDERS.get((capability, name))
            if entry is None:
                raise InvalidInput(_unknown(capability, name))
            kind: Any = getattr(import_module(entry.module), entry.class_name)
            _living[capability, name] = cast("Provider", kind())
        return _living[capability, name]


def vendor(name: str) -> Vendor:
    """A hosted provider by its name alone: what it does with calls under way is the same for all it can do."""
    capability = next((kind for kind, known in PROVIDERS if known == name and PROVIDERS[kind, known].key), None)
    if capability is None:
        raise InvalidInput(f"provider {name!r} is not one that calls a vendor")
    return cast("Vendor", get(cast("Capability", capability), name))


def close_all() -> None:
    """Close every provider of this process; for its end. A later `get` makes new ones."""
    with _lock:
        providers = list(_living.values())
        _living.clear()
    for provider in providers:
        provider.close()


def _require_key(capability: Capability, name: str, settings: Settings) -> None:
    key = PROVIDERS[capability, name].key or PROVIDERS[capability, name].needs
    if key is not None and not getattr(settings, key, None):
        raise InvalidInput(f"{SETTING[capability]}={name} needs {key.upper()}, which is not set")


def _is_absent(entry: Entry, settings: Settings) -> bool:
    return entry.needs is not None and not getattr(settings, entry.needs, None)


def _usable(capability: Capability, name: str) -> str:
    """The name; InvalidInput for one that is set up wrongly: before anything is paid."""
    entry = PROVIDERS[capability, name]
    if (entry.key is not None or entry.needs is not None) and (reason := get(capability, name).available()) is not None:
        raise InvalidInput(f"{SETTING[capability]}={name}: {reason}")
    return name


def _first_local(capability: Capability, language: str, settings: Settings) -> str:
    reasons, working = [], []
    for name in names(capability):
        entry = PROVIDERS[capability, name]
        if entry.key is not None or _is_absent(entry, settings):
            continue
        provider = get(capability, name)
        reason = provider.available()
        if reason is not None:
            reasons.append(f"{name}: {reason}")
        elif capability != "speak" or cast("Speaker", provider).speaks(language):
            return name
        else:
            working.append(name)
    if working and not reasons:
        raise Unsupported(f"language {language!r}: none of {', '.join(working)} reads it")
    raise HostTrouble(f"no local provider can {capability} here: {' '.join(reasons)}", retry_after=60)


def _unknown(capability: Capability, wanted: str) -> str:
    known = [*names(capability), "auto", "local"]
    close = get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(dict.fromkeys(known))}"
    return f"{SETTING.get(capability, capability)}={wanted!r} is not a provider; {hint}"
