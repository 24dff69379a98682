"""Questions and answers over tables of facts, each in many wordings, and questions that nobody can answer.

`exchange` draws one question. A country that does not exist gets "I do not know", so that the model learns the
difference between a name it has a fact for and one it has not.
"""
from .names import CODAS, ONSETS, VOWELS, article, invented, name
from .split import draw, held_out

CAPITALS = """Afghanistan Kabul;Albania Tirana;Algeria Algiers;Andorra Andorra_la_Vella;Angola Luanda;Antigua_and_Barbuda Saint_John's;Argentina Buenos_Aires
Armenia Yerevan;Australia Canberra;Austria Vienna;Azerbaijan Baku;the_Bahamas Nassau;Bahrain Manama;Bangladesh Dhaka
Barbados Bridgetown;Belarus Minsk;Belgium Brussels;Belize Belmopan;Benin Porto-Novo;Bhutan Thimphu;Bolivia Sucre
Bosnia_and_Herzegovina Sarajevo;Botswana Gaborone;Brazil Brasilia;Brunei Bandar_Seri_Begawan;Bulgaria Sofia
Burkina_Faso Ouagadougou;Burundi Gitega;Cambodia Phnom_Penh;Cameroon Yaounde;Canada Ottawa;Cape_Verde Praia
the_Central_African_Republic Bangui;Chad N'Djamena;Chile Santiago;China Beijing;Colombia Bogota;the_Comoros Moroni
the_Republic_of_the_Congo Brazzaville;the_Democratic_Republic_of_the_Congo Kinshasa;Costa_Rica San_Jose;Croatia Zagreb
Cuba Havana;Cyprus Nicosia;Czechia Prague;Denmark Copenhagen;Djibouti Djibouti;Dominica Roseau
the_Dominican_Republic Santo_Domingo;East_Timor Dili;Ecuador Quito;Egypt Cairo;El_Salvador San_Salvador
Equatorial_Guinea Malabo;Eritrea Asmara;Estonia Tallinn;Eswatini Mbabane;Ethiopia Addis_Ababa;Fiji Suva;Finland Helsinki
France Paris;Gabon Libreville;the_Gambia Banjul;Georgia Tbilisi;Germany Berlin;Ghana Accra;Greece Athens
Grenada Saint_George's;Guatemala Guatemala_City;Guinea Conakry;Guinea-Bissau Bissau;Guyana Georgetown;Haiti Port-au-Prince
Honduras Tegucigalpa;Hungary Budapest;Iceland Reykjavik;India New_Delhi;Indonesia Jakarta;Iran Tehran;Iraq Baghdad
Ireland Dublin;Israel Jerusalem;Italy Rome;Ivory_Coast Yamoussoukro;Jamaica Kingston;Japan Tokyo;Jordan Amman
Kazakhstan Astana;Kenya Nairobi;Kiribati Tarawa;Kuwait Kuwait_City;Kyrgyzstan Bishkek;Laos Vientiane;Latvia Riga
Lebanon Beirut;Lesotho Maseru;Liberia Monrovia;Libya Tripoli;Liechtenstein Vaduz;Lithuania Vilnius;Luxembourg Luxembourg
Madagascar Antananarivo;Malawi Lilongwe;Malaysia Kuala_Lumpur;the_Maldives Male;Mali Bamako;Malta Valletta
the_Marshall_Islands Majuro;Mauritania Nouakchott;Mauritius Port_Louis;Mexico Mexico_City;Micronesia Palikir
Moldova Chisinau;Monaco Monaco;Mongolia Ulaanbaatar;Montenegro Podgorica;Morocco Rabat;Mozambique Maputo
Myanmar Naypyidaw;Namibia Windhoek;Nauru Yaren;Nepal Kathmandu;the_Netherlands Amsterdam;New_Zealand Wellington
Nicaragua Managua;Niger Niamey;Nigeria Abuja;North_Korea Pyongyang;North_Macedonia Skopje;Norway Oslo;Oman Muscat
Pakistan Islamabad;Palau Ngerulmud;Panama Panama_City;Papua_New_Guinea Port_Moresby;Paraguay Asuncion;Peru Lima
the_Philippines Manila;Poland Warsaw;Portugal Lisbon;Qatar Doha;Romania Bucharest;Russia Moscow;Rwanda Kigali
Saint_Kitts_and_Nevis Basseterre;Saint_Lucia Castries;Saint_Vincent_and_the_Grenadines Kingstown;Samoa Apia;San_Marino San_Marino;Sao_Tome_and_Principe Sao_Tome;Saudi_Arabia Riyadh;Senegal Dakar;Serbia Belgrade;Seychelles Victoria
Sierra_Leone Freetown;Singapore Singapore;Slovakia Bratislava;Slovenia Ljubljana;the_Solomon_Islands Honiara
Somalia Mogadishu;South_Africa Pretoria;South_Korea Seoul;South_Sudan Juba;Spain Madrid;Sri_Lanka Colombo;Sudan Khartoum
Suriname Paramaribo;Sweden Stockholm;Switzerland Bern;Syria Damascus;Taiwan Taipei;Tajikistan Dushanbe;Tanzania Dodoma
Thailand Bangkok;Togo Lome;Tonga Nuku'alofa;Trinidad_and_Tobago Port_of_Spain;Tunisia Tunis;Turkey Ankara
Turkmenistan Ashgabat;Tuvalu Funafuti;Uganda Kampala;Ukraine Kyiv;the_United_Arab_Emirates Abu_Dhabi
the_United_Kingdom London;the_United_States Washington;Uruguay Montevideo;Uzbekistan Tashkent;Vanuatu Port_Vila
Vatican_City Vatican_City;Venezuela Caracas;Vietnam Hanoi;Yemen Sanaa;Zambia Lusaka;Zimbabwe Harare"""
CAPITALS = [tuple(w.replace("_", " ") for w in pair.split(" ")) for pair in CAPITALS.replace("\n", ";").split(";")]
COUNTRIES = {c.removeprefix("the ") for c, _ in CAPITALS}
WELL_KNOWN = """France Germany Italy Spain Portugal Austria Switzerland Belgium Denmark Sweden Norway Finland Iceland Ireland Poland
Hungary Greece Turkey Russia Japan China India Egypt Canada Mexico Brazil Argentina Australia Kenya""".split()
CONTINENTS = {
    "Europe": "France Germany Italy Spain Portugal Austria Belgium Denmark Sweden Norway Finland Ireland Poland Hungary Greece Iceland Romania Bulgaria Croatia Serbia Ukraine Estonia Latvia Lithuania".split(),
    "Asia": "Japan China India Thailand Vietnam Indonesia Nepal Pakistan Iran Iraq Mongolia Malaysia Cambodia Laos Jordan Bhutan".split(),
    "Africa": "Egypt Kenya Nigeria Ghana Morocco Ethiopia Uganda Senegal Mali Chad Sudan Tanzania Zambia Namibia Angola Tunisia".split(),
    "South America": "Brazil Argentina Chile Peru Colombia Ecuador Bolivia Uruguay Paraguay Venezuela".split(),
    "North America": "Canada Mexico Cuba Panama Guatemala Honduras Nicaragua Jamaica".split(),
    "Oceania": "Australia Fiji Samoa Tonga".split()}
COLORS = """the sky on a clear day,blue;grass,green;snow,white;coal,black;a ripe banana,yellow;a ripe tomato,red;a carrot,orange
chocolate,brown;a plum,purple;an elephant,gray;a lemon,yellow;milk,white;a flamingo,pink;a strawberry,red;the sea,blue
a leaf in summer,green;the sun,yellow;blood,red;a cucumber,green;a pumpkin,orange;an eggplant,purple;salt,white;a frog,green
a polar bear,white;a crow,black;a cherry,red;a pea,green;a swan,white;an emerald,green;a ruby,red;gold,yellow;a sunflower,yellow"""
COLORS = [tuple(p.split(",")) for p in COLORS.replace("\n", ";").split(";")]
OPPOSITES = """hot cold;big small;day night;up down;fast slow;happy sad;old new;open closed;light dark;early late;loud quiet
strong weak;full empty;hard soft;wet dry;left right;high low;rich poor;near far;long short;begin end;true false;clean dirty
sweet sour;thick thin;wide narrow;deep shallow;inside outside;first last;good bad;right wrong;love hate;push pull;give take
buy sell;win lose;remember forget;arrive leave;brave cowardly;smooth rough;sharp blunt;heavy light;alive dead;above below
before after;always never;north south;east west;summer winter;friend enemy;question answer;war peace;young old;laugh cry"""
OPPOSITES = [tuple(p.split()) for p in OPPOSITES.replace("\n", ";").split(";")]
# animal, what it is, sound or "", young, where it lives, legs, food
ANIMALS = """dog,mammal,barks,puppy,in houses,four,meat
cat,mammal,meows,kitten,in houses,four,meat and fish
cow,mammal,moos,calf,on farms,four,grass
horse,mammal,neighs,foal,on farms,four,grass
sheep,mammal,bleats,lamb,on farms,four,grass
pig,mammal,grunts,piglet,on farms,four,almost anything
duck,bird,quacks,duckling,near ponds,two,plants and small animals
hen,bird,clucks,chick,on farms,two,grain and worms
goose,bird,honks,gosling,near ponds,two,grass
lion,mammal,roars,cub,in Africa,four,meat
wolf,mammal,howls,cub,in forests,four,meat
bear,mammal,growls,cub,in forests,four,berries and fish
frog,amphibian,croaks,tadpole,in ponds,four,insects
owl,bird,hoots,owlet,in forests,two,mice
elephant,mammal,trumpets,calf,in Africa and Asia,four,plants
mouse,mammal,squeaks,pup,in fields and houses,four,seeds
bee,insect,buzzes,larva,in hives,six,nectar
spider,arachnid,,spiderling,in webs,eight,insects
ant,insect,,larva,in nests under the ground,six,seeds and insects
whale,mammal,sings,calf,in the sea,no,small sea animals
shark,fish,,pup,in the sea,no,fish
penguin,bird,,chick,near the South Pole,two,fish
kangaroo,mammal,,joey,in Australia,four,grass
rabbit,mammal,,kit,in burrows,four,grass and leaves
snake,reptile,hisses,snakelet,in many warm places,no,mice and frogs
eagle,bird,screams,eaglet,in the mountains,two,fish and rabbits
giraffe,mammal,,calf,in Africa,four,leaves
camel,mammal,,calf,in deserts,four,dry plants
polar bear,mammal,growls,cub,near the North Pole,four,seals
turtle,reptile,,hatchling,in water and on land,four,plants
butterfly,insect,,caterpillar,in meadows,six,nectar
octopus,mollusk,,larva,in the sea,eight,crabs
monkey,mammal,chatters,infant,in warm forests,four,fruit
crocodile,reptile,,hatchling,in warm rivers,four,meat
dolphin,mammal,clicks,calf,in the sea,no,fish"""
ANIMALS = [tuple(line.split(",")) for line in ANIMALS.split("\n")]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
MONTH_DAYS = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)))
UNITS = """seconds,minute,60;minutes,hour,60;hours,day,24;days,week,7;months,year,12;days,year,365;years,century,100
years,decade,10;centimeters,meter,100;millimeters,centimeter,10;meters,kilometer,1000;grams,kilogram,1000
kilograms,ton,1000;milliliters,liter,1000;weeks,year,52;cents,dollar,100;inches,foot,12;feet,yard,3;eggs,dozen,12
bits,byte,8;sides,triangle,3;sides,square,4;sides,hexagon,6;legs,spider,8;legs,insect,6;players,football team,11
strings,violin,4;letters,alphabet,26;seasons,year,4;degrees,full circle,360;degrees,right angle,90;planets,solar system,8"""
UNITS = [tuple(p.split(",")) for p in UNITS.replace("\n", ";").split(";")]
MAKERS = """wrote,Romeo and Juliet,William Shakespeare;wrote,Hamlet,William Shakespeare;painted,the Mona Lisa,Leonardo da Vinci
invented,the telephone,Alexander Graham Bell;invented,the light bulb,Thomas Edison;wrote,Don Quixote,Miguel de Cervantes
discovered,gravity,Isaac Newton;found,the theory of relativity,Albert Einstein;discovered,radium,Marie Curie
wrote,Faust,Johann Wolfgang von Goethe;composed,the Moonlight Sonata,Ludwig van Beethoven;wrote,War and Peace,Leo Tolstoy
composed,The Magic Flute,Wolfgang Amadeus Mozart;painted,The Starry Night,Vincent van Gogh;wrote,Pride and Prejudice,Jane Austen
discovered,penicillin,Alexander Fleming;invented,the printing press in Europe,Johannes Gutenberg;wrote,Oliver Twist,Charles Dickens
invented,dynamite,Alfred Nobel;wrote,the Odyssey,Homer;painted,Guernica,Pablo Picasso;wrote,Frankenstein,Mary Shelley
explained,evolution by natural selection,Charles Darwin;wrote,the first computer program,Ada Lovelace
invented,the World Wide Web,Tim Berners-Lee;created,the Python language,Guido van Rossum;created,Linux,Linus Torvalds
created,the C language,Dennis Ritchie;built,the first airplane that flew with a motor,the Wright brothers
wrote,Alice in Wonderland,Lewis Carroll;wrote,Moby Dick,Herman Melville;discovered,X-rays,Wilhelm Roentgen"""
MAKERS = [tuple(p.split(",")) for p in MAKERS.replace("\n", ";").split(";")]
PLAIN = """What is the largest planet?|The largest planet of the solar system is Jupiter.
What is the smallest planet?|The smallest planet of the solar system is Mercury.
Which planet is closest to the sun?|Mercury is the planet closest to the sun.
What is the highest mountain in the world?|The highest mountain in the world is Mount Everest.
What is the longest river in Africa?|The longest river in Africa is the Nile.
What is the largest ocean?|The largest ocean is the Pacific Ocean.
What is the largest animal?|The largest animal is the blue whale.
What is the fastest land animal?|The fastest land animal is the cheetah.
What is the tallest animal?|The tallest animal is the giraffe.
What is water made of?|Water is made of hydrogen and oxygen.
At what temperature does water boil?|Water boils at 100 degrees Celsius at sea level.
At what temperature does water freeze?|Water freezes at 0 degrees Celsius.
What do bees make?|Bees make honey.
What do plants need to grow?|Plants need light, water, air and soil to grow.
What gas do we breathe in to live?|We breathe in oxygen to live.
How many continents are there?|There are seven continents.
How many colors are in a rainbow?|A rainbow is usually said to have seven colors.
What are the primary colors?|The primary colors are red, yellow and blue.
What do you get when you mix blue and yellow?|When you mix blue and yellow, you get green.
What do you get when you mix red and yellow?|When you mix red and yellow, you get orange.
What do you get when you mix red and blue?|When you mix red and blue, you get purple.
What is the Earth?|The Earth is the planet on which we live. It moves around the sun once a year.
What is the sun?|The sun is a star. It gives light and warmth to the Earth.
What is the moon?|The moon is a ball of rock that moves around the Earth.
What is ice?|Ice is frozen water.
What is steam?|Steam is water that has become a gas.
What is a triangle?|A triangle is a shape with three sides.
What is the color of the sky?|The sky is blue on a clear day.
What language is spoken in Brazil?|Portuguese is spoken in Brazil.
What language is spoken in Mexico?|Spanish is spoken in Mexico.
What language is spoken in Austria?|German is spoken in Austria.
Who are you?|I am Ternion, a very small language model. I can tell stories, answer simple questions and add numbers.
What is your name?|My name is Ternion. I am a very small language model.
What can you do?|I can tell short stories, answer simple questions, explain some ideas and add two numbers.
Are you a person?|No, I am a very small language model.
Hello!|Hello! How can I help you?
Hello|Hello! How can I help you?
Hi|Hello! What would you like to know?
Hi!|Hello! What would you like to know?
Good morning!|Good morning! What can I do for you?
How are you?|I am fine, thank you. How can I help you?
Thank you!|You are welcome.
Thanks|You are welcome.
Goodbye!|Goodbye! Have a nice day."""
PLAIN = [tuple(line.split("|")) for line in PLAIN.split("\n")]
UNKNOWN = ["I do not know. I have never heard of {x}.", "I do not know. I do not think that {x} is a real country.", "I do not know the capital of {x}."]
UNKNOWABLE = ["What did I eat for breakfast?", "What is my name?", "How old am I?", "Where do I live?", "What will happen tomorrow?", "Who will win the next election?",
              "What number am I thinking of?", "What is the weather like today?", "What time is it?", "What is the name of my cat?", "Where are my keys?", "What is the date today?",
              "What will the price of bread be in ten years?", "How many hairs are on my head?", "What is my favorite color?", "What did my friend say yesterday?"]


def upper(text: str) -> str:
    return text[0].upper() + text[1:]


def capital(r, country=None) -> tuple[str, str]:
    country = country or (r.choice(WELL_KNOWN) if r.random() < 0.25 else r.choice(CAPITALS)[0])
    city = dict(CAPITALS)[country]
    if r.random() < 0.12:
        return r.choice([f"{city} is the capital of which country?", f"Of which country is {city} the capital?"]), f"{city} is the capital of {country}."
    prompt = r.choice([f"What is the capital of {country}?"] * 4 + [
        f"Which city is the capital of {country}?", f"Name the capital of {country}.", f"What's the capital of {country}?", f"Tell me the capital of {country}.",
        f"Do you know the capital of {country}?", f"What city is the capital of {country}?", f"what is the capital of {country}"])
    return prompt, f"The capital of {country} is {city}."


def no_country(r) -> str:
    """A country that does not exist, made like real names are: Zorvania, Belquistan, Trundor."""
    stem = r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS) + (r.choice(ONSETS) + r.choice(VOWELS) if r.random() < 0.5 else "")
    country = (stem + r.choice(["nia", "land", "stan", "dor", "ria", "via", "lia", "mark", "ania", "tis", "", "ra", "ton", "que", "bia", "gary", "al"])).capitalize()
    return no_country(r) if country in COUNTRIES else country


def draw_no_country(r, held: bool) -> str:
    return draw(lambda: no_country(r), str, held, 20)


def do_not_know(r, x: str) -> str:
    return UNKNOWN[0].format(x=x) if r.random() < 0.7 else r.choice(UNKNOWN).format(x=x)


def unknown_country(r, held: bool) -> tuple[str, str]:
    x = draw_no_country(r, held)
    prompt = r.choice([f"What is the capital of {x}?"] * 4 + [f"Which city is the capital of {x}?", f"Name the capital of {x}.", f"What's the capital of {x}?", f"Do you know the capital of {x}?"])
    return prompt, do_not_know(r, x)


def unknown_other(r) -> tuple[str, str]:
    x = invented(r)
    return r.choice([
        (f"Who is {x}?", f"I do not know. I have never heard of {x}."), (f"Where is {x}?", f"I do not know where {x} is."),
        (f"Who invented the {x.lower()}?", f"I do not know. I do not know what a {x.lower()} is."), (f"What is a {x.lower()}?", f"I do not know what a {x.lower()} is."),
        (r.choice(UNKNOWABLE), "I do not know."), (r.choice(UNKNOWABLE), "I do not know. I cannot know that.")])


def continent(r):
    where = r.choice(list(CONTINENTS))
    country = r.choice(CONTINENTS[where])
    if r.random() < 0.3:
        return f"Is {country} in {where}?", f"Yes, {country} is in {where}."
    return r.choice([f"On which continent is {country}?", f"Where is {country}?"]), f"{country} is in {where}."


def color(r):
    thing, c = r.choice(COLORS)
    if r.random() < 0.15:
        wrong = r.choice(sorted({x for _, x in COLORS} - {c}))
        return f"Is {thing} {wrong}?", f"No, {thing} is {c}."
    return r.choice([f"What color is {thing}?", f"What color is {thing}?", f"Which color is {thing}?", f"Tell me the color of {thing}."]), f"{upper(thing)} is {c}."


def opposite(r):
    pair = list(r.choice(OPPOSITES))
    if pair[1] not in ("light", "right", "old"):  # words with two opposites are asked in one direction only
        r.shuffle(pair)
    a, b = pair
    a, b = (a, b) if a not in ("light", "right", "old") or pair == ["light", "dark"] else (b, a)
    return r.choice([f"What is the opposite of {a}?", f'What is the opposite of "{a}"?', f"Give the opposite of {a}.", f"Which word means the opposite of {a}?"]), f"The opposite of {a} is {b}."


def animal(r):
    a, group, sound, young, home, legs, food = r.choice(ANIMALS)
    an = article(a)
    options = [
        (r.choice([f"What is a young {a} called?", f"What do you call a baby {a}?"]), f"A young {a} is called {article(young)}."),
        (r.choice([f"How many legs does {an} have?", f"How many legs has {an}?"]), f"{upper(an)} has {legs} legs." if a != "octopus" else "An octopus has eight arms."),
        (r.choice([f"Where does {an} live?", f"Where can I find {an}?"]), f"{upper(an)} lives {home}."),
        (r.choice([f"What does {an} eat?", f"What do you feed {an}?"]), f"{upper(an)} eats {food}."),
        (r.choice([f"Is {an} {article(group)}?", f"What kind of animal is {an}?"]), f"{upper(an)} is {article(group)}.")]
    if sound:
        options.append((r.choice([f"What sound does {an} make?", f"What does {an} do when it makes a sound?"]), f"{upper(an)} {sound}."))
        options.append((f"Which animal {sound}?", f"{upper(an)} {sound}."))
    return r.choice(options)


def calendar(r):
    i = r.randrange(7)
    j = r.randrange(12)
    day, after, before = DAYS[i], DAYS[(i + 1) % 7], DAYS[i - 1]
    month, next_month, last_month = MONTHS[j], MONTHS[(j + 1) % 12], MONTHS[j - 1]
    return r.choice([
        (r.choice([f"What day comes after {day}?", f"Which day follows {day}?"]), f"After {day} comes {after}."), (f"What day comes before {day}?", f"Before {day} comes {before}."),
        (f"If today is {day}, what day is tomorrow?", f"Tomorrow is {after}."), (f"If today is {day}, what day was yesterday?", f"Yesterday was {before}."),
        (r.choice([f"What month comes after {month}?", f"Which month follows {month}?"]), f"After {month} comes {next_month}."), (f"What month comes before {month}?", f"Before {month} comes {last_month}."),
        (r.choice([f"How many days are in {month}?", f"How many days does {month} have?"]), f"{month} has {MONTH_DAYS[month]} days" + (", and 29 in a leap year." if month == "February" else ".")),
        (r.choice(["What are the days of the week?", "Name the days of the week."]), "The days of the week are " + ", ".join(DAYS[:-1]) + " and Sunday."),
        (r.choice(["What are the months of the year?", "Name the months of the year."]), "The months of the year are " + ", ".join(MONTHS[:-1]) + " and December.")])


def unit(r):
    small, big, n = r.choice(UNITS)
    whole = "the " + big if big in ("alphabet", "solar system") else article(big)
    return r.choice([f"How many {small} are in {whole}?", f"How many {small} does {whole} have?", f"How many {small} are there in {whole}?"]), f"There are {n} {small} in {whole}."


def maker(r):
    verb, thing, who = r.choice(MAKERS)
    return (f"Who {verb} {thing}?", f"{upper(who)} {verb} {thing}.") if r.random() < 0.85 else (f"Do you know who {verb} {thing}?", f"{upper(who)} {verb} {thing}.")


def repeat(r, held: bool):
    """Copying on demand: it teaches the step that keeps a name the same through a story."""
    x, _ = name(r, held)
    y, _ = name(r, held)
    return r.choice([
        (f"Repeat the word {x}.", x), (f"Say {x}.", x), (f"Say {x} and then {y}.", f"{x} and {y}."), (f"Say hello to {x}.", f"Hello, {x}!"),
        (f"My name is {x}.", f"Hello, {x}! How can I help you?"), (f"I am {x}.", f"Hello, {x}! How can I help you?"),
        (f"{x} and {y} went out. Who went out?", f"{x} and {y} went out."), (f"{x} gave the ball to {y}. Who has the ball?", f"{y} has the ball."),
        (f"{x} is taller than {y}. Who is taller?", f"{x} is taller."), (f"{x} came first and {y} came second. Who won?", f"{x} won.")])


KINDS = [(capital, 34), (color, 8), (opposite, 9), (animal, 13), (calendar, 9), (unit, 7), (maker, 7), (continent, 5), (lambda r: r.choice(PLAIN), 13)]
WEIGHTS = [w for _, w in KINDS]


def simple(r, held: bool = False) -> tuple[str, str]:
    """What the smallest models can learn: well-known facts, each in one wording and on both sides of the split."""
    kind = r.random()
    if kind < 0.4:
        country = r.choice(WELL_KNOWN)
        return f"What is the capital of {country}?", f"The capital of {country} is {dict(CAPITALS)[country]}."
    if kind < 0.7:
        thing, c = r.choice(COLORS)
        return f"What color is {thing}?", f"{upper(thing)} is {c}."
    a, b = r.choice(OPPOSITES)
    return f"What is the opposite of {a}?", f"The opposite of {a} is {b}."


def exchange(r, held: bool = False) -> tuple[str, str]:
    """One question and its answer. One wording in thirty is held out; the name asked for is, where names are invented."""
    kind = r.random()
    if kind < 0.16:
        return unknown_country(r, held)
    if kind < 0.21:
        return unknown_other(r)
    if kind < 0.34:
        return repeat(r, held)
    while True:
        prompt, answer = r.choices([k for k, _ in KINDS], WEIGHTS)[0](r)
        if (held_out(prompt, 30) and not prompt.startswith("What is the capital of")) == held:
            return prompt, answer
