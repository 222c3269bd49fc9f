"""The words the local copywriter brings along, style by style. They frame; they claim nothing.

No phrase holds a number, a rating, a customer, a comparison, a discount or "new": whatever is said about a product
comes from its payload. `{name}`, `{x}`, `{price}`, `{cta}` and `{url}` are the payload's words; `{it}` is It or They.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """One style's frames; each tuple holds alternatives, one of which is chosen by the seed."""

    hooks: tuple[str, ...]
    quick_hooks: tuple[str, ...]
    links: tuple[str, ...]  # before a benefit that is not the first
    have: tuple[str, ...]  # a noun phrase, with its article
    are: tuple[str, ...]  # an adjective
    lists: tuple[str, ...]  # before a list of features
    prices: tuple[str, ...]
    price_alone: str  # for a price that is not a plain amount: "from $29"
    calls: tuple[str, ...]  # cta and url
    address: tuple[str, ...]  # url alone
    farewells: tuple[str, ...]  # neither
    kickers: tuple[str, ...]
    list_kicker: str
    price_kicker: str


STYLES: dict[str, Phrases] = {
    "minimal": Phrases(
        hooks=(
            "This is {name}.",
            "Meet {name}.",
            "Here is {name}.",
            "A closer look at {name}.",
            "Take a look at {name}.",
            "Let's look at {name}.",
            "In short: {name}.",
        ),
        quick_hooks=("This is {name}.", "Meet {name}.", "Here is {name}."),
        links=("", "", "Also, ", "And "),
        have=("You get {x}.", "{it} has {x}.", "{it} features {x}."),
        are=("{it}'s {x}.",),
        lists=("In detail: {x}.", "You also get {x}.", "At a glance: {x}."),
        prices=("{it} costs {price}.", "The price is {price}.", "{it}'s {price}."),
        price_alone="The price: {price}.",
        calls=("{cta} at {url}.",),
        address=("See it at {url}.", "Find it at {url}.", "Have a look at {url}."),
        farewells=("That's {name}.", "{name}. That's all.", "In short, that is {name}."),
        kickers=("In detail", "Up close", "Good to know"),
        list_kicker="What you get",
        price_kicker="Price",
    ),
    "bold": Phrases(
        hooks=(
            "Stop scrolling. This is {name}.",
            "Eyes over here. This is {name}.",
            "Look at this: {name}.",
            "Make room for {name}.",
            "Ready? Here comes {name}.",
            "Hold on. You need to see {name}.",
            "Listen up: this is {name}.",
        ),
        quick_hooks=("Look: {name}.", "This is {name}.", "Make room for {name}."),
        links=("", "Plus, ", "And ", "On top of that, "),
        have=("You get {x}.", "{it} packs {x}.", "{it} brings {x}."),
        are=("{it}'s {x}.",),
        lists=("And there's more: {x}.", "Here's what you get: {x}.", "Check the list: {x}."),
        prices=("Yours for {price}.", "Get it for {price}.", "The price? {price}."),
        price_alone="The price? {price}.",
        calls=("{cta} at {url}.", "Go to {url}. {cta}."),
        address=("Go to {url}.", "Head to {url}.", "Straight to {url}."),
        farewells=("That's {name}.", "Remember the name: {name}.", "{name}. Go and get it."),
        kickers=("Look closer", "Here's why", "Zoom in"),
        list_kicker="All of this",
        price_kicker="The price",
    ),
    "elegant": Phrases(
        hooks=(
            "Allow us to present {name}.",
            "Take a moment for {name}.",
            "May we introduce {name}.",
            "Consider {name}.",
            "A quiet moment with {name}.",
            "Let us show you {name}.",
            "Behold: {name}.",
        ),
        quick_hooks=("Consider {name}.", "Behold: {name}.", "We present {name}."),
        links=("", "", "And ", "What is more, "),
        have=("{it} offers {x}.", "{it} comes with {x}.", "You will find {x}."),
        are=("{it} is {x}.",),
        lists=("In every detail: {x}.", "You will also find {x}.", "The details: {x}."),
        prices=("{it} is yours for {price}.", "The price is {price}.", "Available for {price}."),
        price_alone="The price: {price}.",
        calls=("{cta} at {url}.",),
        address=("Discover it at {url}.", "You will find it at {url}.", "Visit {url}."),
        farewells=("This is {name}.", "{name}. At your pleasure.", "{name}. Take your time."),
        kickers=("In detail", "A closer look", "The detail"),
        list_kicker="The details",
        price_kicker="Price",
    ),
    "playful": Phrases(
        hooks=(
            "Say hello to {name}!",
            "Well, hello there, {name}!",
            "Psst! Have you met {name}?",
            "Guess what? It's {name}!",
            "Knock, knock! It's {name}!",
            "Ooh, what's this? It's {name}!",
            "Ta-da! Here's {name}!",
        ),
        quick_hooks=("Say hi to {name}!", "Hello, {name}!", "Ta-da! {name}!"),
        links=("", "Oh, and ", "And ", "Plus, "),
        have=("You get {x}.", "{it} has {x}.", "{it} comes with {x}."),
        are=("{it}'s {x}.",),
        lists=("And look at all this: {x}!", "Here's the fun part: {x}!", "Wait, there's more: {x}!"),
        prices=("All yours for {price}!", "And the price? {price}!", "Take it home for {price}!"),
        price_alone="And the price? {price}!",
        calls=("{cta} at {url}!", "Hop over to {url}. {cta}!"),
        address=("Hop over to {url}!", "Come and see {url}!", "Psst, it's all at {url}!"),
        farewells=("That's {name}!", "Bye for now, says {name}!", "{name}. Over and out!"),
        kickers=("Ooh", "Look at that", "Fun part"),
        list_kicker="All this",
        price_kicker="The price",
    ),
}

# For any language but English: the payload's own words and nothing else.
BARE = Phrases(
    hooks=("{name}.",),
    quick_hooks=("{name}.",),
    links=("",),
    have=("{x}.",),
    are=("{x}.",),
    lists=("{x}.",),
    prices=("{price}.",),
    price_alone="{price}.",
    calls=("{cta}. {url}.",),
    address=("{url}.",),
    farewells=("{name}.",),
    kickers=("",),
    list_kicker="",
    price_kicker="",
)

# What the writer says around a feature, besides the frames above, and the forms they take for several things.
GLUE = (
    "a",
    "an",
    "and",
    "it",
    "they",
    "it's",
    "they're",
    "stays",
    "stay",
    "for",
    "are",
    "have",
    "them",
    "these",
    "here",
    "come",
    "those",
    "say",
)

# The same words for a product that is several things.
SEVERAL = (
    ("This is", "These are"),
    ("this is", "these are"),
    ("Here is", "Here are"),
    ("Here's {", "Here are {"),
    ("comes {", "come {"),
    ("That's {name}", "Those are {name}"),
    ("that is {name}", "those are {name}"),
    ("at this: {name}", "at these: {name}"),
    ("what's this? It's {name}", "what are these? {name}"),
    ("It's {name}", "Here come {name}"),
    ("says {name}", "say {name}"),
)
