"""Names: a table of known ones, and a syllable grammar for invented ones; and the article that a word takes.

Two names in three are invented, so that a model must copy a name from the prompt and cannot recall it.
"""
from .split import draw

GIRLS = """Mia Lily Anna Nora Ella Ruby Clara Ivy Rosa Maya Emma Olivia Ava Sophia Isla Zoe Chloe Grace Hannah Alice
Amelia Lucy Julia Eva Sara Leah Molly Daisy Poppy Violet Hazel Iris Flora Stella Luna Aurora Freya Ingrid Astrid Greta
Heidi Elsa Tilda Linnea Sofia Lucia Carmen Elena Marta Ines Paloma Bianca Chiara Giulia Francesca Amelie Camille Colette
Margot Odette Simone Vivienne Nadia Katya Tanya Olga Vera Mila Anya Daria Zofia Hanna Agata Eszter Ilona Petra Jana Lenka
Aisha Fatima Layla Yasmin Amira Noor Salma Zahra Leila Samira Priya Anika Meera Lakshmi Kavita Asha Indira Mei Lin Yuki
Sakura Hana Aiko Naomi Emiko Keiko Minji Soo Thuy Lan Amara Zuri Nia Imani Ayana Makena Abena Esi Wanjiru Thandi Chipo
Ruth Esther Miriam Abigail Rachel Rebecca Martha Edith Agnes Beatrice Cora Della Edna Fern Gwen Hilda Ida Joan Kate Lena
Maud Nell Opal Pearl Queenie Rose Sally Tess Una Willa Winnie Bella Dora Fiona Gemma Holly Jenny Kira Lola Nina Paula""".split()
BOYS = """Tom Ben Leo Sam Max Finn Hugo Oscar Theo Felix Liam Noah Jack Henry Arthur George Harry Oliver Charlie James
William Edward Peter Paul Mark Luke John Adam Daniel David Simon Jacob Isaac Aaron Elias Gabriel Samuel Nathan Tobias
Anton Emil Karl Otto Fritz Hans Jonas Lukas Moritz Niklas Rasmus Lars Sven Erik Olaf Bjorn Gustav Axel Nils Mikkel
Marco Luca Matteo Paolo Dario Enzo Carlo Diego Pablo Mateo Carlos Javier Rafael Tomas Andres Miguel Pedro Rui Tiago
Pierre Louis Jules Marcel Antoine Remy Gaston Yves Ivan Boris Dmitri Misha Pavel Sergei Yuri Marek Piotr Jakub Janos
Milos Ondrej Ahmed Omar Ali Hassan Karim Tariq Yusuf Samir Rashid Jamal Arjun Ravi Rohan Vikram Anand Sanjay Kiran Wei
Chen Jun Kenji Hiro Taro Akira Sora Daichi Minho Jin Tuan Minh Kofi Kwame Jabari Sefu Tendai Themba Juma Baraka Ade
Albert Barnaby Cedric Duncan Edgar Fergus Gilbert Hector Igor Jasper Kit Lionel Monty Ned Orson Percy Quentin Rufus
Stanley Toby Ulric Victor Walter Xavier Zack Angus Bruno Colin Derek Ernie Frank Gus Ian Joel Kurt Miles Nick Ollie""".split()
FAMILIES = """Baker Hill Stone Wood Rivers Field Brook Marsh Lake Frost Winter Summers King Page Carter Miller Cook Fisher
Mason Potter Turner Weaver Young White Green Brown Gray Wells Park Lane Reed Swift Sparrow Finch Wren Hawk Wolf Fox""".split()

ONSETS = "b br c ch d dr f fl g gl gr h j k kl l m n p pl qu r s sh sk st t th tr v w x y z zh bl kr sn sp".split()
VOWELS = "a a e e i i o o u u ai ea ee ia io oo".split()
CODAS = ["", "", "", "l", "n", "r", "s", "x", "m", "k", "th", "nd", "rn", "sk", "lt", "sh"]
TAILS = ["a", "o", "i", "us", "el", "in", "or", "ix", "an", "ette", "by", "ko", "y", "en", "is", "ander"]


def syllables(r, count: int) -> str:
    return "".join(r.choice(ONSETS) + r.choice(VOWELS) + (r.choice(CODAS) if r.random() < 0.6 else "") for _ in range(count))


def invented(r) -> str:
    """A name that no table holds: Zorbin, Quelia, Thaskor."""
    if r.random() < 0.5:
        return (syllables(r, 1) + r.choice(ONSETS) + r.choice(TAILS)).capitalize()
    return syllables(r, r.choice((2, 2, 3)))[:8].capitalize()


def name(r, held: bool = False) -> tuple[str, str]:
    """A name and its pronoun. Held-out names are always invented ones that training never draws."""
    if not held and r.random() < 1 / 3:
        girl = r.random() < 0.5
        return r.choice(GIRLS if girl else BOYS), "she" if girl else "he"
    x = draw(lambda: invented(r), str, held, 20)
    return x, "she" if x[-1] in "aeiy" else "he"  # told by the name, so that it can stay the same through a story


def article(word: str) -> str:
    return ("an " if word[0] in "aeiou" or word.startswith(("honest", "hour")) else "a ") + word
