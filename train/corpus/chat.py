"""Conversations of two to five turns whose later turns need the earlier ones.

A conversation is a list of (question, answer). It opens with something to remember or a topic, follows the topic up
with questions that make no sense alone ("And of Spain?", "What was the fox called?"), and may ask for what was told.
"""
from . import facts, notions, programs, stories, sums
from .names import name

Turns = list[tuple[str, str]]


def remember(r, held: bool) -> tuple[Turns, Turns]:
    """Something that the user tells, and the question that asks for it later."""
    x, _ = name(r, held)
    kind = r.random()
    if kind < 0.5:
        told = [(r.choice([f"My name is {x}.", f"I am {x}.", f"Hello, my name is {x}.", f"Hi, I am {x}.", f"Call me {x}."]), r.choice([f"Hello, {x}! How can I help you?", f"Nice to meet you, {x}!"]))]
        return told, [(r.choice(["What is my name?", "Do you remember my name?", "Who am I?", "What's my name?"]), f"Your name is {x}.")]
    if kind < 0.8:
        pet = r.choice(["dog", "cat", "horse", "rabbit", "bird", "mouse", "turtle"])
        told = [(r.choice([f"I have a {pet} named {x}.", f"My {pet} is called {x}.", f"The name of my {pet} is {x}."]), f"{x} is a nice name for a {pet}.")]
        return told, [(r.choice([f"What is my {pet} called?", f"What is the name of my {pet}?", f"Do you remember the name of my {pet}?"]), f"Your {pet} is called {x}.")]
    if kind < 0.9:
        color = r.choice("red blue green yellow orange purple pink white black brown gray".split())
        return ([(r.choice([f"My favorite color is {color}.", f"I like {color} best."]), f"{color.capitalize()} is a beautiful color.")],
                [(r.choice(["What is my favorite color?", "Which color do I like best?"]), f"Your favorite color is {color}.")])
    city = r.choice(facts.CAPITALS)[1]
    return ([(r.choice([f"I live in {city}.", f"I am from {city}."]), f"{city} is a good place to live.")], [(r.choice(["Where do I live?", "Which city do I live in?"]), f"You live in {city}.")])


def capitals(r, held: bool) -> Turns:
    country = r.choice(facts.WELL_KNOWN + [c for c, _ in facts.CAPITALS])
    turns = [facts.unknown_country(r, held) if r.random() < 0.15 else facts.capital(r, country)]
    for _ in range(r.choice((1, 1, 2))):
        if r.random() < 0.35:
            x = facts.draw_no_country(r, held)
            turns.append((r.choice([f"And of {x}?", f"And {x}?", f"What about {x}?"]), facts.do_not_know(r, x)))
            continue
        other = r.choice(facts.WELL_KNOWN if r.random() < 0.5 else [c for c, _ in facts.CAPITALS])
        turns.append((r.choice([f"And of {other}?", f"And {other}?", f"What about {other}?", f"And what is the capital of {other}?"]), f"The capital of {other} is {dict(facts.CAPITALS)[other]}."))
    where = {c: k for k, cs in facts.CONTINENTS.items() for c in cs}
    if country in where and len(turns) == 2 and turns[0][1].startswith("The capital of " + country) and r.random() < 0.5:
        turns[1] = (r.choice(["On which continent is it?", "Which continent is that on?", "Where is that country?"]), f"{country} is in {where[country]}.")
    return turns


def opposites(r, held: bool) -> Turns:
    (a, b), (c, d) = r.sample(facts.OPPOSITES, 2)
    return [(f"What is the opposite of {a}?", f"The opposite of {a} is {b}."), (r.choice([f"And of {c}?", f"And the opposite of {c}?", f"What about {c}?"]), f"The opposite of {c} is {d}.")]


def colors(r, held: bool) -> Turns:
    (a, b), (c, d) = r.sample(facts.COLORS, 2)
    return [(f"What color is {a}?", f"{facts.upper(a)} is {b}."), (r.choice([f"And {c}?", f"What about {c}?"]), f"{facts.upper(c)} is {d}.")]


def animals(r, held: bool) -> Turns:
    a, group, _, young, home, legs, food = r.choice(facts.ANIMALS)
    an, upper = facts.article(a), facts.upper(facts.article(a))
    follow = [(r.choice(["What does it eat?", "And what does it eat?"]), f"{upper} eats {food}."), (r.choice(["Where does it live?", "And where does it live?"]), f"{upper} lives {home}."),
              ("What are its young called?", f"A young {a} is called {facts.article(young)}.")]
    return [(f"What is {an}?", f"{upper} is {facts.article(group)}.")] + r.sample(follow, r.choice((1, 2)))


def explain(r, held: bool) -> Turns:
    notion = r.choice(list(notions.NOTIONS))
    what, how, why = (r.choice(w) for w in notions.NOTIONS[notion])
    follow = [(r.choice(["Say it in one sentence.", "Can you say that in one sentence?", "Shorter, please."]), what), (r.choice(["How does it work?", "Tell me more.", "Go on."]), how)]
    short = r.random() < 0.5
    return [(notions.prompt_for(r, notion), what if short else f"{what} {how} {why}"), follow[1] if short else follow[0]]


def code(r, held: bool) -> Turns:
    tasks, source, explanation = r.choice(programs.PROGRAMS)
    called = source[source.index("def ") + 4:].split("(")[0]
    follow = [(r.choice(["Explain it.", "How does it work?", "What does it do?", "Explain the code."]), explanation), (r.choice(["What is the function called?", "What is its name?"]), f"The function is called {called}.")]
    return [(programs.prompt_for(r, r.choice(tasks)), source)] + r.sample(follow, r.choice((1, 1, 2)))


def add(r, held: bool) -> Turns:
    prompt, said = sums.addition(r, held)
    answer = int(said.rstrip(".").split()[-1])
    more = r.randrange(1, 10)
    return [(prompt, said), (r.choice([f"And {more} more?", f"Add {more} to that.", f"Now add {more}.", f"And plus {more}?"]), f"{answer} + {more}: {sums.working(answer, more)}")]


def tale(r, held: bool) -> Turns:
    while True:
        prompt, text = stories.story(r, held)
        if " named " in prompt or " called " in prompt:
            break
    words = prompt.rstrip(".").split()
    hero, kind = words[-1], words[words.index("about") + 2]
    follow = [(r.choice([f"What was the {kind} called?", f"What was the name of the {kind}?"]), f"The {kind} was called {hero}."), (r.choice(["Who is the story about?", "Who was the hero?"]), f"The story is about {hero} the {kind}.")]
    return [(prompt, text), r.choice(follow)]


def small_talk(r, held: bool) -> Turns:
    return [r.choice([("Hello!", "Hello! How can I help you?"), ("Hi", "Hello! What would you like to know?"), ("How are you?", "I am fine, thank you. How can I help you?"), ("Who are you?", "I am Ternion, a very small language model. I can tell stories, answer simple questions and add numbers.")])]


TOPICS = [(capitals, 26), (opposites, 6), (colors, 6), (animals, 8), (explain, 14), (code, 6), (add, 12), (tale, 9), (small_talk, 4), (lambda r, held: [facts.exchange(r, held)], 14)]
CLOSING = [("Thank you!", "You are welcome."), ("Thanks!", "You are welcome."), ("Goodbye!", "Goodbye! Have a nice day.")]


def conversation(r, held: bool = False) -> Turns:
    def topic() -> Turns:
        return r.choices([t for t, _ in TOPICS], [w for _, w in TOPICS])[0](r, held)

    if r.random() < 0.65:
        told, asked = remember(r, held)
        between = r.choice((topic, lambda: topic()[:1], lambda: [sums.addition(r, held)]))
        turns = told + between() + asked
    else:
        turns = topic() + (topic() if r.random() < 0.4 else [])
    return turns + ([r.choice(CLOSING)] if r.random() < 0.15 else [])
