"""Stories from a grammar: a hero with a wish, something in the way, help or an idea, and an end that follows.

Six plots share a cast and a stock of scenes. Every sentence is a choice of wordings with the cast filled in, and the
parts that must agree (a wish and its place, a trouble and its way out, a gift and its use) are drawn together.
"""
from .names import article, name

KINDS = """fox rabbit bear mouse owl frog cat dog girl boy dragon robot turtle hedgehog squirrel badger duck goose penguin
pony lamb goat otter beaver mole sparrow robin crow deer wolf pig hen elephant lion monkey kitten puppy giant wizard
princess prince knight pirate farmer baker sailor gardener""".split()
GENDERED = dict(girl="she", boy="he", wizard="he", princess="she", prince="he", hen="she")
TRAITS = """little brave curious quiet clever shy cheerful kind young gentle small lonely proud careful sleepy hungry
stubborn patient playful dreamy honest lazy busy friendly""".split()
HOMES = """in a small village near the sea|in a deep green forest|in a tall old tower|in a valley full of flowers|in a cottage by the river
in a town of red roofs|in a cave behind a waterfall|on a farm at the foot of the mountains|in a house on a hill|in a garden with a stone wall
in a hollow tree|on a windy island|in a quiet street at the edge of town|in a mill beside a stream|in a meadow full of clover
in a castle with a hundred windows|on a boat on a blue lake|in a snowy land in the north""".replace("\n", "|").split("|")
TIMES = """One morning|One sunny day|One cold winter day|One evening|Early one spring morning|On a windy afternoon|One rainy day
The next day|On the first day of summer|Late one night|One autumn day|On a bright Sunday""".replace("\n", "|").split("|")
# wish | the thing | where it is | how it is when found
QUESTS = """find the golden leaf|the golden leaf|the oldest tree in the forest|It shone like a small sun.
see the sea|the sea|the end of the long river|It was blue and wide, and the waves sang.
catch a falling star|the falling star|the top of the highest hill|It was warm and bright and no bigger than an egg.
learn the song of the birds|the song of the birds|the singing woods|It was sweet and simple, and easy to remember.
find a lost kite|the lost kite|the far side of the meadow|It hung in a bush, red and whole.
meet the moon|the moon|the highest mountain|It was round and silver, and it seemed to smile.
find the blue flower|the blue flower|the secret garden|It smelled of honey and rain.
ring the great bell|the great bell|the tower on the hill|Its sound rolled over the roofs like thunder.
bring back the lost lantern|the lost lantern|the dark cave|Its flame was still burning.
read the oldest book in the world|the oldest book|the library under the lake|Its pages were soft, and its pictures moved.
taste the sweetest berry|the sweetest berry|the thorny valley|It tasted like summer.
find the silver key|the silver key|the bottom of the old well|It was cold and bright, and it fitted in one hand.
see the snow|the snow|the white mountains|It was soft and quiet, and it covered everything.
find a warm blanket for the winter|a warm blanket|the market in the next town|It was made of red wool.
hear the whispering stone|the whispering stone|the middle of the desert|It told one secret to everyone who listened.
fetch medicine for {his} sick grandmother|the medicine|the house of the old healer|It was in a small green bottle.
bring light to the dark village|the ever burning lamp|the workshop of the lamp maker|It never went out.
find the end of the rainbow|the end of the rainbow|the field behind the river|There was no gold there, but the grass shone in seven colors.
cross the great bridge|the great bridge|the edge of the kingdom|From the middle one could see the whole world.
plant a tree that never dies|the seed of the tree|the island of the old king|It was round and brown, and it felt warm."""
QUESTS = [tuple(line.split("|")) for line in QUESTS.split("\n")]
# what happens | what solves it alone | what it teaches
TROUBLES = """a fallen tree blocked the path|climbed over it, one branch at a time|it is good never to give up
a strong wind began to blow|waited behind a big rock until the wind was calm|patience is a kind of strength
the bridge was broken|tied two ropes together and made a new bridge|a clever idea can carry you far
a grumpy troll stood in the way|told the troll a funny joke, and the troll laughed and stepped aside|a kind word opens many doors
it became very dark|followed the light of the fireflies|there is always a little light in the dark
the river was too wide to cross|built a raft from old branches|hard work brings you to the other side
a thick fog covered the path|listened to the sound of the church bell and walked toward it|listening is as useful as seeing
the map flew away|remembered the way by the shape of the stars|a good memory is a treasure
a high wall stood in front of {him}|walked along the wall until there was a small door|there is a way for those who look
it began to rain so hard that the road turned to mud|made an umbrella from a very big leaf|small things can be a great help
a hungry wolf jumped out of the bushes|shared {his} bread with the wolf, and the wolf became calm|even the wild ones may only be hungry
the path split in two|looked at the ground and followed the older footprints|it pays to look closely
a deep hole opened in the ground|laid a long plank across the hole|a calm mind finds a way
an angry goose would not let anyone pass|spoke softly and walked slowly past the goose|gentle steps go far
snow began to fall and hid the road|followed the smoke of a far chimney|hope keeps you warm
the boat had a leak|closed the leak with wax from a candle|it is wise to be prepared
the door was locked|looked under every stone until there was a rusty key|those who search will find
a giant was asleep across the road|tiptoed past without a sound|being quiet can be brave"""
TROUBLES = [tuple(line.split("|")) for line in TROUBLES.split("\n")]
# a gift | how it helps
GIFTS = """a ball of string|The string was just long enough, and with it {n} could go on.
a small lamp|The lamp shone so brightly that {n} could see what to do.
a silver whistle|{n} blew the whistle, and a hundred birds came to help.
a warm scarf|The scarf kept {n} warm until the trouble had passed.
a pair of strong boots|With the strong boots on, {n} walked on as if the trouble were nothing.
a little mirror|{n} held up the mirror, the light flashed, and the way was clear.
a jar of honey|{n} offered the honey, and soon everything was easy.
a long rope|{n} used the rope, and step by step {he} came through.
a magic bean|{n} planted the bean, and a green ladder grew up and over the trouble.
a wooden flute|{n} played the flute, and the trouble melted away like snow."""
GIFTS = [tuple(line.split("|")) for line in GIFTS.split("\n")]
LOST = """hat|on a nail behind the door
ball|under the old bench
red shoe|in the basket where the cat slept
ring|in the pocket of an old coat
book|on top of the cupboard
spoon|at the bottom of the soup pot
doll|in the tall grass near the well
scarf|on a branch of the apple tree
drum|behind the hay in the barn
whistle|inside the left boot
coin|between two stones of the wall
toy boat|in the reeds at the edge of the pond"""
LOST = [tuple(line.split("|")) for line in LOST.split("\n")]
PLACES = ["under the bed", "in the kitchen", "behind the house", "in the garden", "on the roof", "near the pond", "in the barn", "beside the road", "under the stairs", "in the attic"]
BROKEN = [("vase", "blue vase", "running through the house"), ("window", "kitchen window", "throwing a ball"), ("cup", "best cup", "dancing on the table"),
          ("clock", "old clock", "trying to see how it worked"), ("lamp", "glass lamp", "jumping on the bed"), ("violin", "little violin", "using it as a boat"),
          ("pot", "flower pot", "chasing a butterfly"), ("mirror", "round mirror", "swinging a stick")]
ELDERS = [("mother", "she"), ("father", "he"), ("grandmother", "she"), ("grandfather", "he"), ("aunt", "she"), ("uncle", "he"), ("teacher", "she")]
SKILLS = [("swim", "in the pond", "sank like a stone", "swam from one side to the other"), ("sing", "in the barn", "only squeaked", "sang so well that everyone was silent"),
          ("dance", "in the yard", "fell over {his} own feet", "danced like a leaf in the wind"), ("ride a bicycle", "on the long road", "fell into a bush", "rode all the way to the bridge and back"),
          ("whistle", "on the hill", "made no sound at all", "whistled a whole song"), ("juggle", "behind the house", "dropped every ball", "kept three balls in the air"),
          ("paint", "by the window", "made only gray spots", "painted the sea, and it looked wet"), ("bake bread", "in the kitchen", "burned it black", "baked a loaf that was soft and golden"),
          ("play the flute", "under the oak tree", "scared the birds away", "played so sweetly that the birds came back"), ("skate", "on the frozen lake", "slipped and sat down hard", "skated in a perfect circle")]
CONTESTS = ["the great race", "the spring fair", "the village show", "the summer festival", "the big contest", "the harvest feast"]
NEEDS = [("had hurt {his2} foot", "carried {him2} home on {his} back"), ("could not find the way home", "walked beside {him2} until they saw the lights of the village"),
         ("was cold and wet", "made a fire and gave {him2} a dry blanket"), ("had nothing to eat", "shared {his} bread and cheese with {him2}"),
         ("was stuck in a muddy hole", "pulled {him2} out with a long branch"), ("was afraid of the dark", "stayed with {him2} until the sun came up"),
         ("had dropped all {his2} apples", "picked up every apple, one by one"), ("was too tired to carry {his2} heavy bag", "took the heavy bag and carried it up the hill")]
TREASURES = ["a big round cake", "a basket of cherries", "a bright red kite", "a pot of warm soup", "a box of colored pencils", "a sled", "a small boat", "a bag of nuts", "a jar of jam", "a swing"]
FEELINGS = [("afraid", "took a deep breath"), ("tired", "kept going"), ("sad for a moment", "did not cry"), ("worried", "thought hard"), ("cold", "did not turn back"), ("angry", "counted to ten")]
MORALS = {
    "lost": ["the best place to look is often the nearest one", "it helps to stay calm", "friends make every search shorter", "things are easier to find when they have a place"],
    "truth": ["the truth is lighter to carry than a lie", "it is brave to say sorry", "a mistake can be mended", "people who love you will listen"],
    "skill": ["practice makes hard things easy", "everyone is bad at first", "small steps lead far", "it is fine to fall if you get up again"],
    "help": ["kindness comes back", "those who help are never alone", "a good deed is never small", "one friend is worth more than gold"],
    "share": ["things taste better when they are shared", "there is enough when we share", "a shared joy is twice as big", "giving makes the giver happy"],
}


class Cast:
    """The hero and a friend, and the words that stand for them in a template: {n} {he} {his} {him} and {n2} {he2} ..."""

    def __init__(self, r, held: bool):
        self.r = r
        hero, pronoun = name(r, held)
        friend, pronoun2 = name(r, held)
        while friend == hero:
            friend, pronoun2 = name(r, held)
        self.kind, self.kind2 = r.sample(KINDS, 2)
        pronoun, pronoun2 = GENDERED.get(self.kind, pronoun), GENDERED.get(self.kind2, pronoun2)
        self.trait = r.choice(TRAITS)
        self.words = dict(n=hero, k=self.kind, a=self.trait, an=article(self.trait), n2=friend, k2=self.kind2, ak=article(self.kind), ak2=article(self.kind2))
        for suffix, who in (("", pronoun), ("2", pronoun2)):
            his, him = ("her", "her") if who == "she" else ("his", "him")
            self.words.update({"he" + suffix: who, "his" + suffix: his, "him" + suffix: him, "He" + suffix: who.capitalize(), "His" + suffix: his.capitalize()})

    def say(self, *wordings: str) -> str:
        """One of the wordings, with the cast filled in; filled twice, since tables hold templates too."""
        return self.r.choice(wordings).format(**self.words).format(**self.words)


def opening(c: Cast) -> str:
    home = c.r.choice(HOMES)
    c.words.update(home=home, Home=home[0].upper() + home[1:], spot=home.split(" ", 1)[1])
    return c.say(
        "Once upon a time there was {an} {k} named {n}. {He} lived {home}.",
        "{Home} there lived {an} {k} named {n}.",
        "Once upon a time, {home}, there lived {an} {k}. {His} name was {n}.",
        "{n} was {an} {k} who lived {home}.",
        "Long ago, {home}, lived {an} {k} called {n}.",
        "There was once {an} {k} whose name was {n}, and {his} home was {spot}.",
        "Once upon a time there lived {an} {k}. Everyone called {him} {n}.")


def ending(c: Cast, moral: str) -> str:
    c.words["moral"] = moral
    c.words["Moral"] = moral[0].upper() + moral[1:]
    return c.say(
        "From that day on, {n} knew that {moral}.", '{n} smiled and said, "Now I know that {moral}."',
        "That night {n} slept well, for {he} had learned that {moral}.", "Everyone still tells this story, and they always say that {moral}.",
        '"{Moral}," said {n}, and {he} never forgot it.', "And so {n} learned that {moral}. The end.",
        "{n} went home happy. {He} had learned that {moral}.", "And {n} lived happily ever after.")


def meet_friend(c: Cast, reason: str) -> str:
    c.words["reason"] = reason
    return c.say(
        'On the way {he} met {ak2} named {n2}. "Where are you going?" asked {n2}. "I want to {reason}," said {n}. "Then I will come with you," said {n2}.',
        "{ak2} named {n2} came along, and the two became friends.".replace("{ak2}", c.words["ak2"].capitalize()),
        'Soon {he} met {n2} the {k2}. "May I come too?" asked {n2}. "Of course," said {n}. "The road is shorter with a friend."',
        '"Hello," said a voice. It was {n2}, {ak2} with kind eyes. {n} told {him2} everything, and {n2} wanted to help.')


def quest(c: Cast) -> tuple[str, str]:
    r = c.r
    wish, thing, where, look = r.choice(QUESTS)
    trouble, way_out, moral = r.choice(TROUBLES)
    feeling, answer = r.choice(FEELINGS)
    c.words.update(wish=wish.format(**c.words), thing=thing, where=where, look=look, trouble=trouble, way_out=way_out, feeling=feeling, answer=answer, time=r.choice(TIMES))
    first = opening(c) + " " + c.say(
        "More than anything, {n} wanted to {wish}.", "Every day {n} dreamed of one thing: {he} wanted to {wish}.",
        '{n} had one wish. "I want to {wish}," {he} said every night.', "{n} often thought, \"One day I will {wish}.\"")
    gift, use = r.choice(GIFTS)
    c.words.update(gift=gift, use=use)
    helped = r.random() < 0.4
    middle = c.say("{time}, {n} packed a small bag and set out for {where}.", "{time}, {n} said goodbye to {his} mother and walked toward {where}.",
                   "{time}, {n} decided to go to {where}.", "{time} {n} left home, for {where} was far away.")
    if helped:
        middle += " " + c.say('At the edge of the road sat an old woman. "Take {gift}," she said. "You will need it."',
                              "{n2} the {k2} came to say goodbye and gave {him} {gift}.", 'On the way {he} helped {n2} the {k2}, and {n2} gave {him} {gift}. "Thank you," said {n}.')
    elif r.random() < 0.6:
        middle += " " + meet_friend(c, c.words["wish"])
    middle += "\n\n" + c.say("But then {trouble}.", "Suddenly {trouble}.", "Half way there, {trouble}.", "After an hour, {trouble}.", "They had not gone far when {trouble}." if not helped and "n2" in middle else "{n} had not gone far when {trouble}.")
    if helped:
        middle += " " + c.say("{n} was {feeling}. Then {he} remembered the gift. {use}", "What now? {n} took out the gift. {use}")
    else:
        middle += " " + c.say("{n} was {feeling}, but {he} {answer}. Then {he} {way_out}.", "{n} felt {feeling}. \"What shall I do?\" {he} thought. At last {he} {way_out}.",
                              '"I will find a way," said {n}. {He} {answer} and {way_out}.')
    last = c.say("In the end {n} reached {where} and found what {he} was looking for: {thing}. {look}", "When {n} came to {where}, there it was: {thing}. {look}",
                 "At {where}, {n} stood still. There was {thing}! {look}", "At last {n} came to {where}, and there {he} saw {thing}. {look}")
    moral = r.choice(["a small gift can be a great help", "help often comes from those you meet on the way"]) if helped else moral
    return c.words["wish"], "\n\n".join((first, middle, last + " " + ending(c, moral)))


def lost(c: Cast) -> tuple[str, str]:
    thing, place = c.r.choice(LOST)
    tries = c.r.sample(PLACES, 2)
    c.words.update(thing=thing, place=place, p1=tries[0], p2=tries[1], time=c.r.choice(TIMES))
    first = opening(c) + " " + c.say("{n} loved {his} {thing} more than anything.", "{n} had a {thing} and took it everywhere.", "The best thing {n} had was {his} {thing}.")
    middle = c.say("{time}, the {thing} was gone.", "{time}, {n} woke up and could not find {his} {thing}.", "{time}, {n} looked for {his} {thing}, but it was not there.")
    middle += " " + c.say("{He} looked {p1}. It was not there. {He} looked {p2}. It was not there either.", '"Is it {p1}?" No, it was not. "Is it {p2}?" No.',
                          "First {he} searched {p1}, then {p2}, but there was no {thing}.")
    middle += " " + c.say('"Why are you sad?" asked {n2} the {k2}. "My {thing} is gone," said {n}. "I will help you look," said {n2}.',
                          'Then {n2}, {ak2}, came by. "Think," said {n2}. "Where did you have it last?" {n} thought and thought.')
    last = c.say("Together they looked again, and there it was, {place}!", "Then {n} laughed. The {thing} was {place}, where {he} had put it the day before.",
                 '"Look!" cried {n2}. The {thing} was {place}.')
    last += " " + c.say("{n} thanked {n2}.", '"Thank you, {n2}," said {n}.', "{n} hugged {n2} and danced around the room.")
    return "find " + c.words["his"] + " " + thing, "\n\n".join((first, middle, last + " " + ending(c, c.r.choice(MORALS["lost"]))))


def truth(c: Cast) -> tuple[str, str]:
    thing, full, how = c.r.choice(BROKEN)
    elder, pronoun = c.r.choice(ELDERS)
    c.words.update(thing=thing, full=full, how=how, elder=elder, anelder=article(elder), she=pronoun, She=pronoun.capitalize(), time=c.r.choice(TIMES), her="her" if pronoun == "she" else "him")
    first = opening(c) + " " + c.say("{n} had {anelder} who was very kind.", "{n} lived there with {his} {elder}.", "{His} {elder} always said, \"Be careful.\"")
    middle = c.say("{time}, {n} was {how} and broke the {full}.", "{time}, while {he} was {how}, {n} broke the {full} of {his} {elder}.")
    middle += " " + c.say("{He} hid the pieces and said nothing.", '"Nobody saw me," thought {n}, and {he} hid the pieces under the bed.', "{n} was afraid and ran away to the garden.")
    middle += " " + c.say("But {n} could not eat, and {he} could not sleep.", "All day long {he} had a heavy feeling in {his} chest.", "{n2} the {k2} asked what was wrong. \"Tell the truth,\" said {n2}. \"It will help.\"")
    last = c.say('At last {n} went to {his} {elder}. "I broke the {thing}," {he} said. "I am sorry."', '"It was me," {n} told {his} {elder}. "I broke the {full}."')
    last += " " + c.say('"Thank you for telling me," said {his} {elder}. "We can mend it together."', '{His} {elder} was quiet. Then {she} smiled. "A {thing} is only a {thing}," {she} said. "But I am proud of you."',
                        "{His} {elder} hugged {him}, and together they swept up the pieces.")
    return "tell the truth", "\n\n".join((first, middle, last + " " + ending(c, c.r.choice(MORALS["truth"]))))


def skill(c: Cast) -> tuple[str, str]:
    verb, where, fail, win = c.r.choice(SKILLS)
    c.words.update(verb=verb, where=where, fail=fail, win=win, contest=c.r.choice(CONTESTS), time=c.r.choice(TIMES), often=c.r.choice(["every day", "every morning", "every evening", "all week", "all winter"]))
    first = opening(c) + " " + c.say("{n} wanted to learn to {verb}.", "Everyone could {verb}, but {n} could not.", "More than anything, {n} wanted to {verb} at {contest}.")
    middle = c.say("{time}, {n} tried to {verb} {where}. {He} {fail}.", "The first time, {he} {fail}. {n2} the {k2} laughed.", "{time}, {he} went out to try, but {he} {fail}.")
    middle += " " + c.say('"You will never learn it," said {n2}.', '"Try again," said {n2} the {k2}. "I was bad at it too."', '{n} wanted to give up. But {his} friend {n2} said, "Once more."')
    middle += " " + c.say("So {n} tried again {often} {where}.", "{n} practiced {where} {often}.", "{He} came back {often} and tried again.")
    last = c.say("Then came the day of {contest}. {n} {win}.", "At {contest} everyone watched. {n} closed {his} eyes, began, and {win}.", "And one day, without thinking, {n} {win}.")
    last += " " + c.say('"You did it!" shouted {n2}.', "Everyone clapped, and {n2} clapped the loudest.", "{n2} could not believe {his2} eyes.")
    return "learn to " + verb, "\n\n".join((first, middle, last + " " + ending(c, c.r.choice(MORALS["skill"]))))


def help_someone(c: Cast) -> tuple[str, str]:
    need, deed = c.r.choice(NEEDS)
    c.words.update(need=need, deed=deed, time=c.r.choice(TIMES), event=c.r.choice(CONTESTS))
    first = opening(c) + " " + c.say("{n} was on the way to {event}.", "{n} was in a hurry, for {event} was about to begin.", "{n} did not have many friends.")
    middle = c.say("{time}, {he} met {ak2} named {n2}, who {need}.", "{time}, by the side of the road, {he} saw {n2} the {k2}. {n2} {need}.", "{time}, {he} heard someone cry. It was {n2}, {ak2}, who {need}.")
    middle += " " + c.say('"Please help me," said {n2}.', '"Everyone walks past me," said {n2}.', '"What is the matter?" asked {n}, and {n2} told {him}.')
    middle += " " + c.say("{n} did not think twice. {He} {deed}.", "So {n} stopped and {deed}.", '"I have time," said {n}, and {he} {deed}.')
    last = c.say("A week later {n} was in trouble too, and who came to help? It was {n2}.", "When {n} came home, there was a present at the door. It was from {n2}.", "From then on {n} and {n2} were best friends and met every day.")
    return "help someone", "\n\n".join((first, middle, last + " " + ending(c, c.r.choice(MORALS["help"]))))


def share(c: Cast) -> tuple[str, str]:
    c.words.update(thing=c.r.choice(TREASURES), time=c.r.choice(TIMES))
    first = opening(c) + " " + c.say("{time}, {n} got {thing}.", "{time}, {n} found {thing} in front of the door.", "{n} had {thing}, and {he} was very proud of it.")
    middle = c.say('{n2} the {k2} came by. "May I have some of it too?" {he2} asked.', 'Then {ak2} named {n2} looked over the fence. "How nice," said {n2}. "May I join you?"')
    middle += " " + c.say('"No," said {n}. "It is all mine." {n2} went away with {his2} head down.', "{n} shook {his} head and closed the door.", '"No, go away," said {n}. So {n2} went away.')
    middle += " " + c.say("But alone it was not much fun.", "{n} sat there alone, and it was very quiet.", "Soon {n} felt lonely.")
    last = c.say('{He} ran after {n2}. "Come back," {he} said. "We will share it."', "{n} went to the house of {n2} and knocked. \"I am sorry,\" {he} said. \"Half of it is yours.\"")
    last += " " + c.say("They laughed until the stars came out.", "It was the best day of the year.", "{n2} was so happy that {he2} jumped up and down.")
    return "learn to share", "\n\n".join((first, middle, last + " " + ending(c, c.r.choice(MORALS["share"]))))


PLOTS = [quest, quest, quest, lost, truth, skill, help_someone, share]


def story(r, held: bool = False) -> tuple[str, str]:
    """A prompt and its story. Two prompts in three give the name, so that it has to be carried over."""
    c = Cast(r, held)
    wish, text = r.choice(PLOTS)(c)
    c.words["w"] = wish
    both = ["Tell me a story about {n} and {n2}.", "Write a story in which {n} the {k} meets {n2}."] if c.words["n2"] in text else []
    prompt = c.say(
        *["Tell me a story about {ak} named {n}."] * 4, "Tell me a story about {ak} called {n}.", "Tell me a story about {an} {k} named {n}.",
        "Write a story about {n} the {k}.", "Write a short story about {ak} named {n}.", "Write a short story about {n}.",
        "Tell me a story about {n}.", "Tell me a story about {ak}.", "Tell me a story.", "Write a short story about {an} {k}.",
        "Write a short story about {ak} who wants to {w}." if wish != "help someone" else "Write a short story about {ak} who helps someone.",
        "Can you tell me a story?", "Please tell me a bedtime story about {ak} named {n}.", *both)
    return prompt, text
