"""Entities and values: names, places, things, numbers, ids, dates. No word of one split is in another."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from memread.train.data.splits import share, split_of
from memread.train.episode import Split


def _listed(text: str) -> dict[str, list[str]]:
    """NAME: words … → NAME → words"""
    found: dict[str, list[str]] = {}
    for word in text.split():
        if word.endswith(":"):
            found[word[:-1]] = []
        else:
            found[[*found][-1]].append(word)
    return found


LISTS = _listed("""
FIRST: Aaron Abigail Adam Agnes Aisha Alan Albert Alexandra Alfred Alice Amara Amir Anders Andrea Anika Anna
Anton Arthur Astrid Beatrice Benjamin Bernard Bianca Boris Brenda Bruno Camille Carla Carlos Cecilia Chandra
Charles Chloe Clara Conrad Cora Cyrus Daniel Daphne David Deborah Dimitri Diana Dolores Dominic Edgar Edith
Edward Elena Elias Elise Emil Emma Erik Esther Ethan Eva Farid Fatima Felix Fiona Florence Francis Frank
Freya George Gerald Gina Giovanni Gloria Grace Greta Gustav Hana Hannah Harold Harriet Hassan Hector Helen
Henry Hugo Ida Igor Ines Irene Isaac Isabel Ivan Jacob Jasmine Jean Joan Joel Johanna Jonas Josef Joyce
Judith Julian Karim Karl Katarina Keiko Kenji Laila Lars Laura Leo Leon Lidia Linda Louis Lucia Lydia Magnus
Malik Marco Margaret Maria Marta Martin Matilda Maurice Mei Milan Miriam Mona Nadia Naomi Nathan Nina Noah
Nora Olaf Olga Oliver Omar Oscar Otto Pablo Patrick Paula Pedro Petra Philip Priya Quentin Rachel Rafael
Ralph Ravi Rebecca Renata Robert Rosa Rudolf Ruth Samir Samuel Sandra Sara Selma Simon Sofia Stefan Stella
Susan Tamara Tariq Theodore Thomas Tobias Ursula Valerie Vera Victor Vikram Viola Walter Wanda Wendy William
Xavier Yara Yuki Yusuf Zoe
LAST: Abbott Adler Almeida Anderson Archer Aziz Baker Banerjee Barlow Becker Bennett Berg Bianchi Blackwood
Bloom Bolton Bradley Brennan Brooks Burke Calloway Cardoso Carver Castillo Chandler Chen Clarke Cole
Connolly Cooper Costa Crane Dalton Davies Delgado Donovan Doyle Drake Dubois Eastwood Ellis Engel Farrell
Faulkner Ferreira Finch Fischer Fleming Foster Fowler Fuentes Garner Garrison Gibbs Gomez Granger Grant
Greene Gupta Hale Hansen Harper Hartley Hawkins Hayes Henley Herrera Hoffman Holloway Holt Horvath Howard
Hughes Hussain Ingram Ivanov Jansen Jarvis Jensen Kane Kapoor Keller Kim Kirby Klein Kovacs Kruger Kumar
Lambert Lang Larkin Larsen Leclerc Lindqvist Lowell Lynch Madsen Malone Marsh Mathews Mercer Meyer Mills
Monroe Moreau Morgan Moss Nakamura Nash Neumann Newell Nolan Norris Novak Oakley Okafor Olsen Ortega Osborne
Page Palmer Park Patel Payne Pearce Perez Petrov Pierce Porter Prescott Quinn Ramirez Reed Reyes Rhodes
Richter Rivers Robbins Romero Rossi Rowe Russo Sanders Santos Sato Sawyer Schmidt Schneider Shaw Silva Singh
Slater Sokolov Stark Steele Stone Strand Suzuki Svensson Tanaka Thornton Torres Tucker Turner Underwood
Vance Vargas Vaughn Vogel Wagner Walsh Warner Weaver Weber Whitaker Wilkins Winters Wolf Yamada York Young
Zhang Ziegler Zimmerman
ADJECTIVES: amber ancient bitter blue bold brave bright broken calm careful cheerful clever cloudy cold
copper crimson curious dark deep distant dusty eager early elegant empty faint famous fancy fast fierce flat
foggy fragile frozen gentle giant golden grand gray green happy heavy hidden hollow honest humble hungry icy
idle iron jolly keen kind large late lazy little lively lonely loud lucky mellow merry mighty misty modern
muddy narrow nimble noisy obedient old orange pale patient plain polite proud purple quick quiet rapid rare
red restless rough royal rusty sacred salty scarlet secret shallow sharp shy silent silver simple sleepy
slow small smooth snowy solid spare spicy square steady steep stormy strange strong sunny sweet swift tall
tame tender thin tidy tired tiny twin upper vast velvet violet warm weary white wide wild windy wise wooden
yellow young zealous
NOUNS: acorn anchor apple arrow badger bakery balloon bamboo banana barrel basket beacon bear beaver bell
bicycle blanket boat bottle bridge broom bucket button cabin cactus camel candle canoe canyon carpet castle
cat cedar chair cherry chimney circle clock cloud clover coin compass coral cradle crane cricket crown
crystal daisy desert diamond dolphin donkey door dragon drum eagle elbow elephant ember engine falcon
feather fence fern ferry fiddle flame flute forest fork fountain fox garden garlic giraffe glacier glove
goat goose grape guitar hammer harbor hare harp hawk hazel hedgehog helmet heron hill honey horse igloo
island ivory jacket jaguar jungle kettle kite kitten ladder lagoon lantern lark lemon leopard lighthouse
lily lion lizard llama lobster locket magnet maple marble meadow melon mirror mole moon moose mountain mouse
mushroom needle nest nettle oak oasis ocean olive onion orchard otter owl oyster paddle palace panda paper
parrot peach peacock pear pebble pelican pencil pepper piano pigeon pillow pine planet plum pocket pony
poppy potato prairie pumpkin quarry quartz rabbit raven reef ribbon river robin rocket saddle sail salmon
sandal saturn shadow shell shovel sparrow spider spoon squirrel star statue stream sugar swan table temple
thimble thistle thunder tiger timber tower trumpet tulip turtle umbrella valley vase village violin volcano
wagon walnut walrus watch whale wheel willow window winter wolf yarn zebra
COMPANY: Analytics Bank Breweries Capital Chemicals Clinic College Consulting Dairy Electric Energy Express
Farms Foods Foundation Foundry Freight Gallery Hotel Industries Institute Insurance Labs Library Logistics
Mills Mining Motors Museum Observatory Partners Pharmacy Press Railway Shipping Society Software Steel
Studios Systems Textiles Theatre Timber Trust Vineyards Works
MONTHS: January February March April May June July August September October November December
COLORS: amber azure beige black blue bronze brown coral crimson cyan gold gray green indigo ivory jade
lavender lilac magenta maroon mauve ochre olive orange pink purple red ruby scarlet silver teal
JOBS: accountant actor astronomer baker barber beekeeper biologist blacksmith bookbinder botanist brewer
bricklayer butcher carpenter cartographer chemist clerk clockmaker coach cobbler composer cook dentist diver
driver editor electrician engineer farmer ferryman firefighter florist forester gardener geologist
glassblower guard historian interpreter jeweler journalist judge lawyer librarian locksmith magician mason
mechanic midwife miller miner musician nurse optician painter pharmacist photographer pilot plumber poet
porter potter printer sailor sculptor secretary shepherd surgeon surveyor tailor teacher translator
undertaker vet violinist waiter weaver welder
FOODS: apricots bacon barley biscuits blueberries bread broth cabbage caramel carrots cheese cherries
chestnuts chocolate cinnamon corn couscous cucumber dumplings eggs figs fish ginger grapes herring honey
lentils mango mushrooms mustard noodles nutmeg oats olives onions oranges pancakes peas pickles plums
porridge pumpkin radishes rice saffron salmon sausages spinach strawberries toast tomatoes trout turnips
vanilla walnuts yogurt
ONSETS: b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh st t th tr v w y z
VOWELS: a e i o u ai ea ie oa ou
CODAS: l n r s t m nd rk ll st sk th x
ENDINGS: bridge bury by dale den fell field ford gate ham haven holm hurst ia land ley mere mouth ova port
shire stead ton vale via ville wick wood worth
""")
_CODAS = [*LISTS["CODAS"], "", "", "", "", ""]
MONTHS = LISTS["MONTHS"]


@functools.cache
def _of(name: str, split: Split) -> tuple[str, ...]:
    return tuple(share(LISTS[name], split))


class Words:
    """Draws entities and values of one split from one random stream. Holders are never drawn twice."""

    def __init__(self, random: random.Random, split: Split) -> None:
        self.random, self.split = random, split
        self._used: set[str] = set()

    def pick(self, name: str) -> str:
        """A word of one of this module's lists."""
        return self.random.choice(_of(name, self.split))

    def fresh(self, make: Callable[[], str]) -> str:
        """Something that `make` gives and that was not given before."""
        for _ in range(100):
            found = make()
            if found not in self._used:
                break
        self._used.add(found)
        return found

    def person(self) -> str:
        return f"{self.pick('FIRST')} {self.pick('LAST')}"

    def made_up(self) -> str:
        """A word that nobody knows, such as "Traskel"; its split is that of its letters."""
        while True:
            word = "".join(
                self.random.choice(part)
                for _ in range(self.random.randint(2, 3))
                for part in (LISTS["ONSETS"], LISTS["VOWELS"], _CODAS)
            )
            if len(word) < 10 and split_of(word) == self.split:
                return word.capitalize()

    def place(self) -> str:
        while True:
            stem = "".join(self.random.choice(part) for part in (LISTS["ONSETS"], LISTS["VOWELS"], _CODAS))
            word = stem + self.random.choice(LISTS["ENDINGS"])
            if split_of(word) == self.split:
                break
        prefix = self.random.choice(("", "", "", "", "", "Port ", "New ", "Upper ", "Saint ", "Lake "))
        return prefix + word.capitalize()

    def holder(self) -> str:
        """Something that a fact can be about."""
        r = self.random
        make = r.choice(
            (
                self.person,
                self.person,
                self.place,
                lambda: f"{self.pick('ADJECTIVES')}-{self.pick('NOUNS')}",
                lambda: f"{self.pick('ADJECTIVES')}-{self.pick('NOUNS')}",
                lambda: self.pick("NOUNS"),
                lambda: f"the {self.pick('ADJECTIVES')} {self.pick('NOUNS')}",
                lambda: f"{self.made_up()} {self.pick('COMPANY')}",
                lambda: f"{self.pick('LAST')} {self.pick('COMPANY')}",
                lambda: f"Project {self.pick('NOUNS').capitalize()}",
                lambda: f"Operation {self.pick('ADJECTIVES').capitalize()} {self.pick('NOUNS').capitalize()}",
                lambda: f"the {r.choice(('ship', 'schooner', 'ferry', 'barge'))} {self.made_up()}",
                lambda: (
                    f"{r.choice(('room', 'server', 'warehouse', 'locker', 'station', 'gate', 'unit'))} "
                    f"{r.choice('ABCDEFGHKLMNPRSTVX')}{r.randint(2, 99)}"
                ),
                lambda: self.made_up(),
                lambda: f"the {r.choice(('hotel', 'inn', 'mill', 'farm', 'school'))} at {self.place()}",
            )
        )
        return self.fresh(make)

    def resembling(self, holder: str) -> str:
        """Another holder that looks like `holder`: one of its words is another."""
        parts = holder.replace("-", " ").split()
        number = self.random.choice([i for i, p in enumerate(parts) if p not in ("the", "at")])
        old = parts[number]
        lists = [
            name for name in ("FIRST", "LAST", "COMPANY", "ADJECTIVES", "NOUNS") if old.lower() in _low(name)
        ]

        def other() -> str:
            if old[1:].isdigit():
                new = f"{self.random.choice('ABCDEFGHKLMNPRSTVX')}{self.random.randint(2, 99)}"
            elif lists:
                new = self.pick(lists[0])
                new = new.capitalize() if old[0].isupper() else new
            else:
                new = self.made_up() if old[0].isupper() else self.pick("NOUNS")
            return holder.replace(old, new, 1)

        return self.fresh(other)

    def value(self, kind: str) -> str:
        """A value of a kind; see VALUES."""
        return self.fresh(lambda: VALUES[kind](self))

    def number(self) -> str:
        r = self.random
        digits = r.choice((3, 4, 4, 5, 6, 7, 7, 8))
        return str(r.randint(10 ** (digits - 1), 10**digits - 1))

    def amount(self) -> str:
        number = self.random.choice((self.random.randint(12, 999), self.random.randint(1000, 9_999_999)))
        return f"{number:,}"

    def id(self) -> str:
        r = self.random
        alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

        def some(n: int, letters: str = alphabet) -> str:
            return "".join(r.choice(letters) for _ in range(n))

        return r.choice(
            (
                lambda: "-".join(some(n, "0123456789abcdef") for n in (8, 4, 4, 4, 12)),
                lambda: f"{some(2, alphabet[:24])}-{r.randint(1000, 99999)}",
                lambda: f"{some(4)}-{some(4)}",
                lambda: some(8, "0123456789abcdef"),
                lambda: f"{some(3)}/{r.randint(10, 99)}{some(1)}",
                lambda: f"{r.randint(100, 999)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
            )
        )()

    def word(self) -> str:
        make = (
            lambda: self.pick("NOUNS"),
            lambda: f"{self.pick('ADJECTIVES')} {self.pick('NOUNS')}",
            lambda: f"{self.pick('ADJECTIVES')}-{self.pick('NOUNS')}",
            lambda: self.made_up().lower(),
            lambda: self.made_up().upper(),
            lambda: f"{self.made_up().lower()}{self.random.randint(1, 99)}",
        )
        return self.random.choice(make)()

    def date(self) -> str:
        r = self.random
        day, month, year = r.randint(1, 28), r.randrange(12), r.randint(1702, 2031)
        return r.choice(
            (
                f"{day} {MONTHS[month]} {year}",
                f"{MONTHS[month]} {day}, {year}",
                f"{year}-{month + 1:02}-{day:02}",
                f"{MONTHS[month]} {year}",
                f"{MONTHS[month]} {day}",
            )
        )

    def time(self) -> str:
        hour, minute = self.random.randint(0, 23), self.random.randrange(0, 60, 5)
        return self.random.choice(
            (f"{hour:02}:{minute:02}", f"{hour % 12 + 1}:{minute:02} {'ap'[hour > 11]}.m.")
        )

    def money(self) -> str:
        mark, number = self.random.choice("$€£"), self.random.randint(3, 900_000)
        return f"{mark}{number:,}" if self.random.random() < 0.8 else f"{number:,} dollars"


def _low(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in LISTS[name])


VALUES: dict[str, Callable[[Words], str]] = {
    "number": Words.number,
    "amount": Words.amount,
    "id": Words.id,
    "word": Words.word,
    "person": Words.person,
    "place": Words.place,
    "date": Words.date,
    "time": Words.time,
    "money": Words.money,
    "color": lambda words: words.pick("COLORS"),
    "job": lambda words: words.pick("JOBS"),
    "food": lambda words: words.pick("FOODS"),
    "thing": lambda words: f"{words.pick('ADJECTIVES')} {words.pick('NOUNS')}",
}
"""Kind of value → how one is drawn."""
