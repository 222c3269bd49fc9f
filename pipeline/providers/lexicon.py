"""The words that grammar.py knows: verbs, adjectives, nouns and the small ones between them."""

from __future__ import annotations

import re


def words_of(text: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(text.split())


VERBS = words_of("""
import return absorb adapt add adjust allow attach automate balance bend block
blend boost brew bring build calm capture carry catch charge clean clip close collapse combine come comfort connect
control convert cook cool cost cover cut deliver detect dim display do drain dry ease eliminate enable enhance expand
extend feature feed feel fight fill filter find fit fix float fold follow freshen fuel fully get give glide glow go
grip grow handle hang have heat help hide hold hydrate improve include install juggle keep kill last learn leave let
lift light lock look make maintain measure melt mix monitor mount move neutralize nourish offer open organize pack
pair pass pause perform play plug pour power preserve prevent produce protect provide purify put rain reach read
recharge record recycle reduce refresh regulate relax release relieve remain remember remind remove repair repel
replace resist respond rest restore ride ring rinse roll rotate run save scan seal sense separate serve set shape
sharpen ship show shut simplify sing sit sleep slice slide slip smell smooth soften soothe sound spin spray stack
stand start stay step stick stop store stream strengthen stretch suit support survive sweep swing switch sync take
taste tell thank tilt top track train transform translate travel treat trim tune turn unlock update use vibrate wake
warm wash watch wear weigh whisk wipe withstand work wrap write zip adhere adore agree alert analyze approve
assign attract authenticate bake bathe beat become beep begin belong bite bloom blow boil bond boot bounce break
breathe brighten bubble buckle buff burn buy buzz calculate cast challenge change check chill choose chop circulate
clamp cleanse clear click climb cling compare complete comply compress conceal condition contain contour contribute
cradle create crush cuddle cushion customize darken dazzle declutter defend define deflect defrost delay delight
deodorize deploy depend deter detoxify dice dig disappear discover disinfect dissolve double draw drill drip drive
drop earn eat edit embed empower encourage encrypt end engage enjoy ensure entertain evaporate exfoliate explain
export fade fasten film firm flex flow focus fool form free freeze froth fry gather generate glitter greet grill grind
guarantee guard guide harden haul heal hear highlight hop host hug identify illuminate impress inflate inform infuse
inspire instruct insulate integrate invite iron jump knead know lather launch lay lead leak lean lend lessen level
like link live load loosen love lower lubricate magnify manage mask massage mature mean meet mirror moisturize morph
motivate mow need nest notify numb nurture obey optimize outlast outperform paint park pay pedal peel personalize
pivot plan plant please plump polish predict press prime print process project promise promote propel pull pump purr
push quench quiet raise react reassure recline recognize recommend recover redefine reflect reheat reinforce
rejuvenate remake renew replenish require retain reveal reverse revive reward rise rock sanitize satisfy schedule
scrub search secure select sell send share shave shield shine shrink simmer skate slow snap sneak snuggle soak solve
sort sparkle speak spend spice split spot spread squeeze squeak stain stash steam steer sterilize stimulate stir
straighten strain streamline style submit suck summarize sweat sweeten swim swivel swap teach test thrive throw tickle
tie tighten toast tone touch trap trigger trust try tuck twist unfold unite unwind upgrade upload vanish vacuum verify
wick win wobble zoom
""")
# Verbs that no product's feature would use as a noun in the first place: "Keep drinks cold" is an order.
ORDERS = words_of("""
add adjust attach bring carry choose connect convert create customize discover enjoy explore feel find get give cancel
do earn forget go grab have hide hold improve keep learn let listen make mix never organize prepare protect put reduce
relax remove save pay say see send share skip sleep start stay stop store take taste transform try turn use wear work
""")
CALLS = ORDERS | words_of("""
adopt book browse buy call claim come download join order pick play pre-order preorder request reserve see shop sign subscribe
visit watch
""")
ADJECTIVES = words_of("""
adjustable aromatic beautiful big biodegradable breathable bright calm clean cold comfortable compact compatible
compostable compliant creamy crunchy deep delicate delicious durable dust-proof effortless cool cordless cozy crisp
dry eco-friendly elegant ergonomic fast firm flat flexible foldable fragrant fresh gentle gluten-free handmade
handcrafted handy hard heavy hot hypoallergenic insulated juicy leakproof light lightweight long-lasting loud
machine-washable moist natural odorless odourless organic packable plush portable powerful pure quick quiet ready
rechargeable recyclable reliable removable reusable rich rugged safe scented silent simple slim slippery small smart
smooth soft solid spacious spicy spill-proof stackable stainless stretchy strong sturdy stylish sweet tasty thick thin
tiny tough unscented vegan vegetarian versatile warm wide airtight antibacterial anti-slip non-slip non-stick nonstick
non-toxic nontoxic odor-free shatterproof silky soundproof tangle-free ultralight unbreakable ultra-light ultra-thin
watertight healthy long washable waterproof water-resistant resistant friendly weatherproof windproof wireless
""")
# First words of an adjective phrase: "made of steel", "easy to clean", "ideal for camping".
OPENERS = words_of("""
approved assembled available backed built certified compatible crafted cut designed dressed easy engineered finished
free gentle good great grown handcrafted handmade hand-made ideal inspired lined loaded made packed perfect powered
printed ready roasted safe sewn shaped sized soft suitable tested treated woven
""")
LINKS = words_of("to for of in from with by on and or at as enough on when without under over through")
# Last words that tell what the word before them is about: "BPA free", "GDPR compliant", "quick drying".
AFTER = words_of("""
acting approved certified compatible compliant drying enabled fitting free friendly lasting proof ready resistant safe
tested wearing neutral
""")
HOW = words_of("self noise long quick fast slow hard easy best")
ENDINGS = ("proof", "-free", "less", "-friendly", "-resistant", "-safe", "-ready", "able", "ible", "ous", "-certified")
NOUNS_LIKE_ADJECTIVES = words_of(
    "table cable timetable vegetable wellness stainless fable syllable variable consumable"
)
# Plural nouns that are also verbs: "Lights for the bike" lights nothing, "Works with Alexa" works.
BOTH = words_of("""
blends boosts charges clips controls covers cuts displays features feeds filters grips handles heats hides holds
lights locks looks measures mixes mounts moves packs pairs plugs powers rings rinses rolls scans seals sets shapes
shows slices slips sounds sprays stacks stands sticks stores streams supports sweeps switches tops tracks travels
treats turns washes watches wipes wraps zips
""")
# Words that keep their capital inside a sentence.
PROPER = words_of("""
Alexa American Android Apple Australian Belgian Bluetooth British Canadian Chinese Danish Dutch Egyptian English
European French German Google Icelandic Indian Irish Italian Japanese Korean Mexican Nordic Norwegian Portuguese
Scandinavian Scottish Spanish Swedish Swiss Turkish Type Wi-Fi Windows
""")
STAYS = frozenset({"cold", "hot", "warm", "cool", "fresh", "dry"})
MASS = words_of("""
access advice airflow aluminum aluminium anc assistance audio backlighting bamboo brass bluetooth canvas care ceramic
charging cleaning comfort copper cotton coffee control cushioning delivery denim durability energy fabric fleece foam
glass gold grip hair installation insulation leather light lighting linen memory mesh metal music navigation noise
nylon oak packaging paper performance plastic polyester power privacy protection quality rubber safety security setup
shipping silicone silk silver skin life sound space steel storage suede support tea technology titanium tracking
ventilation video walnut water waterproofing wax wi-fi wifi wood wool wiring acid air alloy aloe automation
battery-life bandwidth breathability calm capacity carbon cash chocolate chrome cinnamon clay clarity cloth clothing
code coating cocoa collaboration collagen compatibility compression connectivity content cork craftsmanship cream data
depth detail dough dust edging elasticity electricity embroidery encryption engraving equipment ergonomics evidence
experience feedback fiber fibre flavor flavour flax flexibility floss food fragrance freshness fuel fun furniture gps
grain gravity guidance hardware heat help hemp honey humidity hydration ice information insurance jersey jute keratin
knowledge knowhow labour latex latency lavender lining linoleum luck lycra magnesium maintenance marble meat merino
milk mobility moisture money nature neoprene nfc nutrition oil oxygen padding parking pepper piping plywood pollen
porcelain porridge pressure print printing progress protein quartz recognition reliability research resin resistance
rice room salt sand satin scalability seating sensing shade shea shelter sleep software soil speed spice stability
stitching stoneware strength stretch styling sugar sunlight surround sweat terracotta time traction traffic training
transport tubing uptime vanilla velvet vinyl visibility viscose warmth wear weather webbing weight wine work yarn zinc assembly
backup playback playtime streaming editing reporting scheduling tutoring mentoring coaching catering engineering
noise-cancellation
""")
PLURALS = words_of("""
batteries blinds boots bottles bowls boxes brushes candles cards chairs chips cleats clogs cookies cups curtains
dumbbells earbuds earphones earrings flats flowers frames glasses gloves goggles gummies headphones heels jeans
joggers knives leggings lights loafers mats mittens mugs overalls pajamas pans pants pearls pencils pens pillows
plates pods pots sandals scissors sheets shoes shorts skates skis slippers snacks sneakers socks speakers stickers
sunglasses supplements tights tiles tires tools towels toys trainers trousers tweezers underpants vitamins weights
wipes
""")
# Nouns of products and their parts, one of each: what ends in one of them, or in an ending below, can be had.
NOUNS = words_of("""
account adapter add-on alarm album alert amplifier amount angle antenna apartment app appliance apron arch area arm
armrest artwork assistant backpack backrest bag balance balcony ball balm band bar barrel base basket bath battery
beaker bead beam bean bed bell belt bench bib bike bin bit blade blanket blend blender block board body bolt book
bottle bottom bowl box bracelet bracket brake branch brand bread brew brick bridge brim brush bucket buckle bud bulb
bundle burner butter button cabinet cable cage cake calculator calendar camera canister cap capsule car carafe card
carpet carrier cartridge case cell chain chair chamber channel charger chart chassis checklist chin chip clasp class
clip clock closure coat coffee-maker coil collar collection color colour comb compartment compass component computer
concept conditioner connection connector console container control controller cooker cooler cookie cord core corner
cotton-bag couch counter course cover craft cradle crate crib crisp cross crown crystal cube cuff cup curtain curve
cushion cut cycle cylinder dashboard date day deck design desk device dial diaper diet diffuser dimmer dinner disc
dish dishwasher display dispenser diver divider dock document doll door dot drain drawer dress drill drink drive
driver drone drop drum dryer duster duvet earbud earphone earring ear edge editor egg elbow element engine envelope
eraser espresso exercise exit export eye eyelet fabric-bag face fan farm fastener feature feeder feet felt fender fern
fiber field file filler filter fin finger finish fireplace flag flame flap flash flashlight flask fleece floor flower
fold folder foot footrest fork form formula forum frame freezer friend front fruit funnel fur gadget game garden
garment gate gauge gear gel generator gift glaze glider globe glove glow goal goggle graph grater grid grill grille
grinder groove group guard guide guitar gum hammer hammock hand handle handlebar hanger harness hat head headband
headboard headphone headrest headset heater heel helmet hem herb highlight hinge history holder hole holster home hood
hook hoop horn hose hotel hour house hub hull humidifier icon idea image implant import inch ingredient ink inlay
input insert insole instruction instructor instrument interface interior invoice iron island jacket jar jaw jet jewel
joint journal joystick jug juice juicer kernel kettle key keyboard keychain keypad kick kickstand kitchen knee knife
knit knob knot label lace ladder lamp lampshade lantern laptop latch layer layout lead leaf leash leg lens lesson
letter level lever library license lid lifespan limb line liner link lip lipstick list loaf lobby lock locker log logo
look loop lotion lounge lunch machine magnet mail manual map mark marker mask massage massager mat match material
mattress maker meal measure mechanism medal medium meeting menu message meter mic microphone microscope mill mind
mirror mitten mixer mode model module monitor mood moon mop motion motor mount mouse mouth mouthpiece movement mug
muscle nail name napkin neck necklace needle net nest network night nib nightlight node noodle nose notebook notch
note notification nozzle number nut object office oilcloth opener opening option orange orbit order ornament outlet
output outside outsole oven overlay owner pack package pad page paint palette pan panel park part partition patch path
pattern pause peg pedal pen pencil pendant perfume period permit person phone photo piano pick picture piece pier pill
pillow pin pipe pitch pivot plan plane plant plate platform player playlist plug pocket pod point pole polish pool
port portal portion portrait position post poster pot potion pouch powder presentation press preset print printer
probe processor profile program project projector prompt proof prop puck pump purse puzzle quilt rack radio rail ramp
range rate razor reader recipe record recorder reel reflector refill refrigerator release reminder remote report
reservoir rest ribbon ride rim ring ritual road robe robot rod roller roof root rope rotation routine router row rub
rug ruler sachet saddle sail sample sauce saucer saw scale scanner scarf scent schedule schoolbag scoop scooter scope
score scraper screen screw scroll scrub seal seam search-bar seat section seed selection sensor serum server session
set setting shaft shaker shampoo shape shaver sheath sheet shelf shell shield shift shirt shoe shoelace shop shower
shutter side siding signal sink siren sitter size skate sketch skirt slab sleeve slice slicer slide slider slipper
slot smell smartphone smartwatch snack soap sock socket sofa sole solution song sound speaker spice-rack spine spoke
sponge spoon spout spray spring spreadsheet stand star starter station steamer steamer-basket stem step stick sticker
stitch stool stopper stopwatch story stove strainer strand strap straw stream strip stripe stroke stroller studio
style stylus subscription suction suit suitcase summary sunroof sunshade surface suspension swatch sweater sweep swing
switch switcher symbol system t-shirt tab table tablet tag tail tank tap tape target task tassel taste team teapot
template tent terminal test texture thermometer thermostat thread throttle throw thumb ticket tie tile timer tin tint
tip tire toaster toe toggle tone tongue tongs tool tooth toothbrush top torch touch touchpad touchscreen towel tower
toy track tracker trail trailer translator trap tray tread treat tree trigger trim tripod trolley trouser trunk tub
tube tumbler turbine turn tv twist type tyre umbrella unit update upgrade upper usher vacuum valve vase vault veil
vent vest vial view visor vitamin voice volume waist waistband walk wall wallet wand wardrobe warmer warranty wash
watch wave wax-seal way weave website wedge week well wheel whisk whistle widget width wick window wing wipe wire word
workout wrap wrench wrist writer yard year yoga-mat zip zipper zone agenda assistance-line backup-plan blueprint bonus
bouquet broth brownie candle cartoon cleaner cleanser comforter compressor concealer counter-top crayon croissant
cushioning-system dinosaur duck edition flute fragrance-free grip handbook heart invitation kit lodge lollipop loan
luggage mentor midsole moisturizer muffin nursery ottoman overshoe painting peeler pizza planner plush postcard potty
protector pulley rattle recliner saddlebag sandal sandwich sewing-kit sharpener sidekick smoothie sprayer squeegee
sunscreen syrup tea-light toothpaste treadmill trimmer tutor usb-port vape waffle walkway webcam wristband workspace
workflow discount deposit payment refund rental membership
""")
# Endings of nouns that no list could hold.
NOUN_ENDINGS = (
    "tion",
    "sion",
    "ment",
    "ness",
    "ity",
    "ance",
    "ence",
    "ship",
    "holder",
    "maker",
    "stand",
    "board",
    "band",
)
# Of what cannot be counted: no article.
ABSTRACT = ("tion", "sion", "ness", "ity", "ance", "ence", "ship")
# Ends of names that are several things: AirPods, Smartwatches.
COMPOUNDS = (
    "pods", "buds", "phones", "shoes", "boots", "glasses", "bottles", "lights", "speakers", "watches", "socks", "gloves",
    "pants", "boards", "brushes", "bands", "shirts", "leggings", "sneakers", "bikes",
)  # fmt: skip
# Words behind a plural name that say which of them: Headphones Max, Scissors Pro 2.
MODELS = words_of("""
pro plus max mini lite ultra air se xl xs xxl gen generation edition series ii iii iv go one active sport black white
deluxe classic kids
""")
# Names of programs and houses that end like a plural and are one thing.
ONE_NAMES = words_of("""
notes forms sheets slides maps docs tasks projects teams plans games reports records stories systems solutions lists
works points dots goals prompts programs routes calendars meetings windows contacts photos links charts
""")
IRREGULAR = words_of("children people men women feet teeth mice kids everybody everyone nobody")
CONJUNCTIONS = words_of("if because although though while until unless since so but and or than whether as")
PREPOSITIONS = words_of("""
under over up below above beyond between behind beside inside outside into onto about after before during against
across along around without within with via per till until off out down through throughout at from in on by of to near
like less fewer
""")
# Behind any verb; a phrase that holds one of them is a clause.
OBJECTS = words_of("it them him her us me itself themselves")
ADVERBS = words_of("""
really quite very so too always never just ever even still almost nearly not again away back anytime anywhere
everywhere instantly simply once twice now then today tomorrow later sooner together forever effortlessly
automatically
""")
UNITS = words_of("""
hour hours h minute minutes min mins second seconds day days week weeks month months year years g gram grams kg kilo
kilos mg ml cl l liter liters litre litres oz ounce ounces lb lbs pound pounds mm cm m km inch inches ft feet yard
yards mile miles mah wh w watt watts v volt volts gb tb mb hz khz ghz db kcal calories percent ply dpi lm lumens
""")
# Their stop is no end.
TITLES = words_of("dr mr mrs ms st prof approx vs ca max min incl excl e.g i.e")
ABBREVIATIONS = words_of("inc ltd co corp etc hrs oz lbs lb ft sq jr sr dept est tel vol")
DETERMINERS = words_of(
    "more a an the your our their its his her this that these those every each all no one both "
    "everything anything something nothing"
)
ONE = words_of("a an another each every one")
# What comes after these tells more of the noun before them: "a dripper that pours itself", "straps you can adjust".
RELATIVES = words_of("that which who whose you we they")
QUESTIONS = words_of("what how when where why who whatever whenever wherever")
SUBJECTS = words_of("it this these they we you i there that")
AUXILIARIES = words_of("is are was were has have had can will won't can't does do don't doesn't isn't aren't it's")
MEASURE = re.compile(r"\d[\d.,]*\s?-?(?:h|hrs?|hours?|min|mins|minutes?|days?|weeks?)", re.IGNORECASE)


BREAKS = words_of(
    "that which who with for and to in from of on by when where while so at or through if because without under than into as"
)
LOOSE = BREAKS | DETERMINERS | AUXILIARIES | words_of("it you they")
FRAGMENTS = (
    words_of("no zero plus great it's you'll they're we're yes not don't only just")
    | PREPOSITIONS
    | CONJUNCTIONS
    | QUESTIONS
    | ADVERBS
)
# Nothing ends behind one of these.
WANTING = VERBS - words_of("open close work fold stretch float glow shine go run sleep rest land fly grow last")
IDENTITIES = words_of("addition alternative choice companion gift partner present solution")
# What a seller does, and no product has: "You get free shipping".
SERVICES = words_of("delivery guarantee installation refund refunds returns setup shipping support trial warranty")
SETS = words_of("bundle collection kit pack pair set")


def third_person(word: str) -> bool:
    """Whether a word is a known verb in its third person: keeps, carries, washes."""
    return word not in VERBS and base_form(word) in VERBS


def base_form(word: str) -> str:
    """The verb itself: keeps -> keep, carries -> carry, washes -> wash, has -> have, does -> do."""
    if word == "has":
        return "have"
    if not word.endswith("s") or word.endswith("ss"):
        return ""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("es") and word[:-2] in VERBS:
        return word[:-2]
    return word[:-1]


def singular(word: str) -> str:
    """One of them: pockets -> pocket, brushes -> brush, batteries -> battery; "" when a word is no known plural."""
    if not word.endswith("s") or word.endswith("ss"):
        return ""
    forms = (word[:-1], word[:-2] if word.endswith("es") else "", word[:-3] + "y" if word.endswith("ies") else "")
    return next((one for one in forms if one in NOUNS), "")


def both(word: str) -> bool:
    """Whether a word is a verb in its third person and a plural noun as well: covers, locks."""
    return word in BOTH or (third_person(word) and bool(singular(word)))
