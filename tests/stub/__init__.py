"""The vendors on loopback: one Starlette app that the unmodified SDKs take for Anthropic, Replicate and ElevenLabs."""
