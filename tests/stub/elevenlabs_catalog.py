"""ElevenLabs' voices, models and subscription."""

from __future__ import annotations

from typing import Any

VOICES = {
    "JBFqnCBsd6RMkjVDRZzb": ("George", "male", "british", "narrative_story"),
    "EXAVITQu4vr4xnSDxMaL": ("Sarah", "female", "american", "entertainment_tv"),
    "21m00Tcm4TlvDq8ikWAM": ("Rachel", "female", "american", "conversational"),
    "onwK4e9ZLuTAKqWW03F9": ("Daniel", "male", "british", "informative_educational"),
    "pFZP5JQG7iQjIQuC4Bku": ("Lily", "female", "british", "narrative_story"),
    "TX3LPaxmHKxFdv7VOQHJ": ("Liam", "male", "american", "social_media"),
}
LANGUAGES = {"en": "English", "de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "ja": "Japanese"}
# The most characters of one request, and what a character costs in credits.
MODELS = {
    "eleven_v4": (10_000, 1.0),
    "eleven_v4_turbo": (10_000, 0.5),
    "eleven_v3": (5_000, 1.0),
    "eleven_multilingual_v2": (10_000, 1.0),
    "eleven_flash_v2_5": (40_000, 0.5),
    "eleven_turbo_v2_5": (40_000, 0.5),
}
LISTENERS = {"scribe_v1", "scribe_v2", "scribe_v3"}
EFFECT_MODELS = {"eleven_text_to_sound_v2", "eleven_text_to_sound_v3"}
MUSIC_MODELS = {"music_v1", "music_v2", "music_v2_5"}


def voice(voice_id: str) -> dict[str, Any]:
    """A voice as the lists show it."""
    name, gender, accent, use_case = VOICES[voice_id]
    return {
        "voice_id": voice_id,
        "name": name,
        "category": "premade",
        "labels": {"gender": gender, "accent": accent, "age": "middle_aged", "use_case": use_case},
        "description": f"A {accent} {gender} voice.",
        "preview_url": None,
        "available_for_tiers": [],
        "settings": None,
        "high_quality_base_model_ids": list(MODELS),
        "verified_languages": [
            {
                "language": "en",
                "model_id": "eleven_multilingual_v2",
                "accent": accent,
                "locale": None,
                "preview_url": None,
            }
        ],
        "is_owner": False,
        "is_legacy": False,
        "created_at_unix": None,
    }


def model(model_id: str) -> dict[str, Any]:
    """A model as the list shows it."""
    most, multiplier = MODELS[model_id]
    return {
        "model_id": model_id,
        "name": model_id.replace("_", " ").title(),
        "can_be_finetuned": False,
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
        "can_use_style": True,
        "can_use_speaker_boost": True,
        "serves_pro_voices": False,
        "token_cost_factor": multiplier,
        "description": "",
        "requires_alpha_access": False,
        "max_characters_request_free_user": most // 4,
        "max_characters_request_subscribed_user": most,
        "maximum_text_length_per_request": most,
        "languages": [{"language_id": key, "name": name} for key, name in LANGUAGES.items()],
        "model_rates": {"character_cost_multiplier": multiplier, "cost_discount_multiplier": 1.0},
        "concurrency_group": "turbo" if multiplier < 1 else "standard",
    }


def subscription(used: int, limit: int, resets: int) -> dict[str, Any]:
    """The plan and what is left of it."""
    return {
        "tier": "scale",
        "character_count": used,
        "character_limit": limit,
        "max_character_limit_extension": None,
        "max_credit_limit_extension": 0,
        "can_extend_character_limit": False,
        "allowed_to_extend_character_limit": False,
        "next_character_count_reset_unix": resets,
        "voice_slots_used": 0,
        "professional_voice_slots_used": 0,
        "professional_voice_slots_used_in_workspace": 0,
        "voice_limit": 660,
        "max_voice_add_edits": None,
        "voice_add_edit_counter": 0,
        "professional_voice_limit": 3,
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": True,
        "can_use_professional_voice_cloning": True,
        "currency": "usd",
        "current_overage": {"amount": "0", "currency": "usd"},
        "status": "active",
        "billing_period": "monthly_period",
        "character_refresh_period": "monthly_period",
        "next_invoice": None,
        "open_invoices": [],
        "has_open_invoices": False,
    }
