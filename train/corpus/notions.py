"""Simple explanations of a hundred notions, each put together from several wordings of its parts.

A line of `TABLE` is a notion and three parts: what it is, how it works, and an example or a reason to care. Each part
has one or two wordings, divided by ` / `.
"""
from .split import held_out

TABLE = """
quantum computing | Quantum computing uses the rules of very small things, like atoms, to solve problems. / Quantum computing is a new way to compute that uses the rules of very small things, such as atoms and light. | A normal computer works with bits, and each bit is either 0 or 1. A quantum computer works with qubits, and a qubit can be in a mix of 0 and 1 at the same time. / A normal computer uses bits that are 0 or 1. A quantum computer uses qubits, which can be in a mix of 0 and 1 at the same time. | By combining many qubits, it can solve some hard problems much faster than a normal computer. / This helps with some hard problems, such as finding new medicines, but it is not faster for everything.
photosynthesis | Photosynthesis is the way plants make their own food. / Photosynthesis is how a plant turns light into food. | A plant takes in light from the sun, water from the soil and carbon dioxide from the air. From these it makes sugar. / The green leaves catch sunlight and use it to turn water and carbon dioxide into sugar. | The plant gives back oxygen, which people and animals breathe. / Without it there would be no oxygen for us to breathe.
gravity | Gravity is a force that pulls things toward each other. / Gravity is the force that pulls everything toward the ground. | The Earth is very heavy, so it pulls everything toward its center. / The more mass a thing has, the stronger it pulls, and the Earth has a lot of mass. | That is why an apple falls to the ground and why we do not float away. / Gravity also keeps the moon near the Earth.
the water cycle | The water cycle is the journey of water around the Earth. / The water cycle is the way water moves between the sea, the air and the land. | The sun warms the sea, and water rises into the air as vapor. The vapor cools and becomes clouds, and the clouds bring rain. | The rain runs down the rivers back to the sea, and it begins again. / So the same water is used again and again.
electricity | Electricity is the movement of very small particles called electrons. / Electricity is a flow of tiny particles called electrons. | When they flow through a wire, they can light a lamp or turn a motor. / A battery pushes the electrons along a wire, like a pump pushes water through a pipe. | We use electricity for light, heat and machines.
a neural network | A neural network is a program that learns from examples. / A neural network is a kind of computer program that is loosely inspired by the brain. | It has many small units joined by weights. When it makes a mistake, the weights are changed a little, so that the next answer is better. | Neural networks can recognize pictures, understand speech and write text.
machine learning | Machine learning is a way to teach a computer with examples instead of rules. / Machine learning means that a computer learns from data. | The computer looks at many examples, finds patterns in them, and uses the patterns to make guesses about new things. | For example, it can learn to tell cats from dogs by looking at many pictures.
artificial intelligence | Artificial intelligence is the effort to make computers do things that seem to need thinking. / Artificial intelligence means that a machine can do tasks that we think of as clever. | Most of it works by learning patterns from a very large number of examples. | It is used to translate languages, to play games and to answer questions.
the internet | The internet is a network that joins computers all over the world. / The internet is many computers around the world that can talk to each other. | Messages are cut into small packets, and each packet finds its way from one computer to the next until it arrives. | We use it to send mail, read pages and watch films.
a black hole | A black hole is a place in space where gravity is so strong that not even light can get out. | It forms when a very big star runs out of fuel and falls in on itself. / When a huge star dies, it can fall together into a tiny point with a very strong pull. | We cannot see a black hole, but we can see how it pulls the stars near it.
evolution | Evolution is the slow change of living things over many generations. / Evolution is how living things change over a very long time. | Animals and plants that fit well into their world have more young, and so their useful traits become more common. | In this way, new kinds of animals and plants appear over millions of years.
an atom | An atom is a very small piece of matter. / Atoms are the tiny building blocks of everything. | In its center is a nucleus made of protons and neutrons, and around it move the electrons. | Everything you can touch is made of atoms.
a molecule | A molecule is a group of atoms that are joined together. | The atoms share electrons, and this holds them together. | Water is a molecule made of two hydrogen atoms and one oxygen atom.
DNA | DNA is a long molecule that holds the plan of a living thing. / DNA is like a recipe book inside every living cell. | It is written with four letters, and almost every cell carries a copy. | Parents pass their DNA on to their children, and that is why children look like their parents.
a cell | A cell is the smallest living part of a plant or an animal. | It has a thin skin around it and many small parts inside that make energy and build new things. | Your body is made of many trillions of cells that work together.
an algorithm | An algorithm is a list of clear steps that solves a problem. | A computer follows the steps one by one, very fast and always in the same way. | A recipe for a cake is a kind of algorithm.
recursion | Recursion is when a function calls itself. / Recursion means solving a problem by solving a smaller one of the same kind. | Each call works on a smaller part of the problem, until the part is so small that the answer is easy. | Then the answers are put together to solve the whole problem.
a database | A database is a place where a computer keeps information in order. | The information is often stored in tables with rows and columns, so that it is easy to find, add or change. | A library can use a database to know where every book is.
climate change | Climate change is the slow warming of the Earth. / Climate change means that the weather of the whole Earth is changing over many years. | When we burn coal, oil and gas, the air holds more carbon dioxide. This gas keeps heat in, like a blanket. | It melts ice, raises the sea and makes storms stronger.
inflation | Inflation means that prices rise over time. | When prices rise, the same money buys fewer things than before. | A little inflation is normal, but too much makes life hard.
a rainbow | A rainbow appears when sunlight shines through drops of rain. / A rainbow is made of sunlight and rain. | Each drop bends the light and splits it into its colors, from red on the outside to violet on the inside. | To see one, stand with the sun behind you and the rain in front of you.
sound | Sound is a wave that moves through the air. | When something shakes, it pushes the air back and forth. The wave travels to your ear, and your ear turns it into what you hear. | There is no sound in space, because there is no air to carry it.
light | Light is a kind of energy that we can see. | It moves in straight lines, and it is the fastest thing there is. When it hits something, some of it bounces into our eyes. | Light from the sun takes about eight minutes to reach us.
encryption | Encryption is a way to hide a message. / Encryption turns a message into something that looks like nonsense. | The message is mixed up with a secret key, so that only someone with the right key can read it again. | It keeps your messages and your money safe on the internet.
a computer | A computer is a machine that follows instructions very quickly. | It takes in data, works on it step by step, and shows the result. | Phones, laptops and even some washing machines have computers inside.
a computer virus | A computer virus is a harmful program that copies itself. | It hides in a file or a message, and when someone opens it, it spreads to other files. | That is why you should not open files from people you do not know.
a virus | A virus is a very small thing that can make us sick. | It cannot live alone. It enters a cell and makes the cell build copies of it. | The flu and the common cold are caused by viruses.
bacteria | Bacteria are tiny living things made of one cell each. | They live almost everywhere, and they grow by splitting in two. | Some make us sick, but many help us, for example in our stomach.
a vaccine | A vaccine teaches the body to fight a disease. | It shows the body a weak or broken form of the germ, so that the body learns what it looks like. | If the real germ comes later, the body can stop it quickly.
the immune system | The immune system is the way the body defends itself. | White blood cells look for germs and destroy them, and they remember germs they have met before. | A fever is often a sign that the immune system is at work.
the heart | The heart is a muscle that pumps blood through the body. | It squeezes and relaxes about once every second, and pushes the blood through thin tubes. | The blood carries oxygen and food to every part of the body.
the brain | The brain is the part of the body that thinks, feels and remembers. | It is made of billions of nerve cells that send signals to each other. | It also controls how we move and breathe.
digestion | Digestion is how the body turns food into energy. | Teeth cut the food, the stomach breaks it down, and the gut takes out the useful parts. | What the body cannot use leaves it again.
sleep | Sleep is a time of rest for the body and the brain. | While we sleep, the body repairs itself and the brain puts memories in order. | Without enough sleep, it is hard to think and to learn.
a dream | A dream is a story that the brain makes while we sleep. | Most dreams come when the eyes move quickly under the lids and the brain is very active. | We forget most of our dreams soon after we wake up.
a star | A star is a huge ball of hot gas. | Deep inside, hydrogen turns into helium, and this gives a lot of light and heat. | The sun is the star that is nearest to us.
a planet | A planet is a large round body that moves around a star. | It does not make its own light. It shines because it reflects the light of its star. | The Earth is one of eight planets that move around the sun.
the solar system | The solar system is the sun and everything that moves around it. | There are eight planets, many moons, and a lot of smaller rocks and ice. | The pull of the sun keeps them all on their paths.
a galaxy | A galaxy is a very large group of stars, gas and dust. | Gravity holds it together, and the stars move slowly around its center. | Our galaxy is called the Milky Way.
the big bang | The big bang is the name for the beginning of the universe. | About fourteen billion years ago everything was very hot and close together, and then it began to spread out. | The universe is still growing today.
a comet | A comet is a ball of ice and dust that moves around the sun. | When it comes near the sun, the ice turns to gas and makes a long bright tail. | Some comets come back again and again after many years.
the phases of the moon | The phases of the moon are the shapes that we see from the Earth. | The sun always lights one half of the moon, and as the moon moves around us, we see more or less of that half. | It takes about a month from one full moon to the next.
an eclipse | An eclipse happens when one body in space hides another. | When the moon comes between the sun and the Earth, it hides the sun. When the Earth is in the middle, its shadow falls on the moon. | You must never look at the sun without good protection.
the seasons | The seasons come from the tilt of the Earth. | The Earth leans to one side as it moves around the sun. The half that leans toward the sun has summer, and the other half has winter. | That is why it is summer in Australia when it is winter in Europe.
day and night | Day and night come from the turning of the Earth. | The Earth turns around once in 24 hours. The side that faces the sun has day, and the other side has night. | So the sun only seems to move across the sky.
the tides | Tides are the slow rise and fall of the sea. | The moon pulls the water of the sea toward it, and as the Earth turns, the high water moves along the coasts. | Most coasts have two high tides a day.
a volcano | A volcano is an opening in the ground through which hot melted rock comes out. | Deep in the Earth it is so hot that rock melts. When the pressure is too high, it breaks out. | The melted rock that flows out is called lava.
an earthquake | An earthquake is a shaking of the ground. | The outer shell of the Earth is made of big plates that move slowly. When two plates get stuck and then slip, the ground shakes. | Strong houses can be built so that they do not fall.
the wind | Wind is air that moves. | The sun warms some places more than others. Warm air rises, and cooler air flows in to take its place. | Wind can turn mills and make electricity.
a cloud | A cloud is made of very many tiny drops of water. | When warm wet air rises and cools, the water in it turns into small drops. | When the drops get too heavy, they fall as rain.
rain | Rain is water that falls from clouds. | In a cloud tiny drops join and grow, until they are too heavy to float. | Plants, animals and people all need rain.
snow | Snow is made of small crystals of ice. | When it is very cold in a cloud, water freezes into tiny stars with six arms. | They fall slowly and make a soft white cover.
lightning | Lightning is a very large spark in the sky. | In a storm cloud, bits of ice rub against each other and make electric charge. When there is too much, it jumps. | The hot air makes a loud sound, and that is thunder.
a magnet | A magnet is a piece of metal that can pull iron toward it. | It has two ends, called north and south. Different ends pull each other, and equal ends push each other away. | A compass needle is a small magnet that points north.
energy | Energy is what makes things move, warm up or shine. | It can change from one form to another, but it never gets lost. | Food gives us energy, and a battery gives energy to a lamp.
heat | Heat is energy that moves from a warm thing to a cold thing. | The tiny parts of a warm thing move quickly. When they touch a cold thing, they make its parts move faster too. | That is why a warm cup heats your hands.
temperature | Temperature tells how hot or cold something is. | It measures how fast the tiny parts of a thing move. | We measure it with a thermometer.
friction | Friction is a force that slows things down when they rub against each other. | Even smooth things have tiny bumps that catch on each other. | Without friction we could not walk, because our feet would slip.
a lever | A lever is a bar that helps us lift heavy things. | The bar turns on a point. When you push down on the long side, the short side lifts with more force. | A seesaw and a pair of scissors are levers.
a battery | A battery stores energy and gives it out as electricity. | Inside, two different materials react with each other and push electrons through a wire. | When the materials are used up, the battery is empty.
a solar panel | A solar panel turns sunlight into electricity. | The light hits a thin material and knocks electrons loose, and these flow through a wire. | It works best in bright sun and not at all at night.
nuclear energy | Nuclear energy is energy from the center of atoms. | When a heavy atom is split, it gives out a lot of heat. The heat makes steam, and the steam turns a machine that makes electricity. | It makes a lot of power, but its waste must be kept safe for a long time.
an engine | An engine is a machine that turns fuel into movement. | In a car engine, a little fuel burns in a closed space, and the hot gas pushes a piston. | The piston turns a shaft, and the shaft turns the wheels.
a telescope | A telescope is a tool that makes far things look near. | It collects a lot of light with a big lens or mirror and then makes the picture larger. | With a telescope one can see the rings of Saturn.
a microscope | A microscope is a tool that makes very small things look large. | It bends light through lenses, so that a tiny thing fills your view. | With a microscope we can see cells and bacteria.
the telephone | A telephone carries a voice over a long way. | It turns the sound into an electric signal, sends the signal, and turns it back into sound at the other end. | Today the signal often travels through the air as radio waves.
radio waves | Radio waves are a kind of light that we cannot see. | A sender makes them, they fly through the air, and a receiver turns them back into sound or pictures. | Radio, television and phones use them.
an airplane | An airplane is a machine that flies. | Its engines push it forward, and its wings bend the air downward, which lifts it up. | If it goes too slowly, the wings cannot hold it in the air.
why the sky is blue | The sky is blue because the air spreads blue light more than red light. | Sunlight has all colors. When it meets the air, the blue part is thrown in all directions, so it comes to us from everywhere. | In the evening the light goes a longer way, and more red is left.
why ice floats | Ice floats because it is lighter than the same amount of water. | When water freezes, its molecules take up more room. | So a lake freezes from the top, and fish can live below the ice.
a food chain | A food chain shows who eats whom. | Plants make food from light, small animals eat the plants, and larger animals eat the small ones. | If one part is lost, the others are in trouble too.
an ecosystem | An ecosystem is all the living things in a place, together with the water, the soil and the air. | The plants and animals need each other for food and shelter. | A forest and a pond are ecosystems.
pollination | Pollination is how flowers make seeds. | An insect or the wind carries a fine dust called pollen from one flower to another. | Bees do this when they look for nectar.
a seed | A seed is a small plant that is waiting to grow. | Inside is food for the first days. With water and warmth it opens and sends out a root and a leaf. | A big tree can grow from a very small seed.
hibernation | Hibernation is a long winter sleep. | Some animals slow down their heart and their breath, and they live on the fat of their body. | Hedgehogs and some bats hibernate.
migration | Migration is a long journey that animals make each year. | They leave when it gets cold or when there is little food, and they come back later. | Many birds fly south in autumn and return in spring.
a fossil | A fossil is what is left of a plant or an animal that lived long ago. | Mud covered it, and over a very long time the mud and the bones turned to stone. | Fossils tell us about the dinosaurs.
the dinosaurs | Dinosaurs were animals that lived many millions of years ago. | Some were as small as a hen, and some were longer than a bus. Most of them died out after a huge rock from space hit the Earth. | Birds are the last of their family.
democracy | Democracy is a way to rule in which the people decide. | They vote, and those who get the most votes make the laws for some years. | Everyone may say what they think, and no one is above the law.
a law | A law is a rule that everyone in a country must follow. | It is made by those who are chosen to make laws, and judges decide what happens when it is broken. | Laws help people to live together in peace.
taxes | Taxes are money that people pay to the state. | The state uses the money for things that all need, such as schools, roads and hospitals. | People who earn more often pay more.
money | Money is something that everyone accepts in exchange for goods. | Without it a baker who needs shoes must find a shoemaker who wants bread. With money he can sell to anyone. | Coins, notes and numbers in a bank are all money.
a bank | A bank is a place that keeps and lends money. | People put money in, and the bank lends it to others who pay a little extra for it. | The extra money is called interest.
supply and demand | Supply and demand decide the price of a thing. | When many want it and there is little of it, the price goes up. When there is a lot and few want it, the price goes down. | That is why ice cream can cost more on a hot day.
a company | A company is a group of people who work together to sell something. | It earns money from its buyers, and pays its workers and its costs. | What is left at the end is the profit.
insurance | Insurance is a way to share the cost of bad luck. | Many people pay a little every month, and the one whose house burns down gets money from it. | Most of them hope that they never need it.
a fraction | A fraction is a part of a whole. | The number below tells into how many equal parts the whole is cut, and the number above tells how many of them we take. | Half a cake is the fraction one over two.
a percentage | A percentage is a part of one hundred. | Ten percent means ten out of every hundred. | If 50 percent of a class like apples, then half of the class like apples.
an average | An average is a number that stands for a group of numbers. | You add all the numbers and divide by how many there are. | The average of 2, 4 and 6 is 4.
a prime number | A prime number is a number that can only be divided by 1 and by itself. | To test a number, try to divide it by the smaller numbers. If none of them fits, it is prime. | The numbers 2, 3, 5 and 7 are prime.
probability | Probability tells how likely something is. | It is a number between 0, which means never, and 1, which means always. | When you toss a coin, the probability of heads is one half.
multiplication | Multiplication is adding the same number many times. | Three times four means four and four and four. | The answer is 12.
a variable | A variable is a name for a value in a program. | You can store a number or a word in it and use it later, and you can change it. | For example, age = 7 stores the number 7 under the name age.
a loop | A loop is a part of a program that runs again and again. | It stops when it has gone through all things or when a condition is no longer true. | With a loop you can print the numbers from 1 to 100 in two lines.
a function in programming | A function is a named piece of a program. | You give it some values, it does its work, and it gives back a result. | Functions make a program shorter and easier to read.
a bug | A bug is a mistake in a program. | It makes the program stop or give a wrong answer. To find it, look at what the program does step by step. | Even very good programmers make bugs.
open source | Open source means that everyone may read and change a program. | The people who write it share the source code with the world, and others can make it better. | Linux and Python are open source.
a search engine | A search engine is a program that finds pages on the internet. | It reads very many pages, makes a list of their words, and shows you those that fit your question best. | It works like the index at the end of a very thick book.
the cloud in computing | The cloud means computers that belong to someone else and that you use over the internet. | Your files are stored in a large building full of computers, and you can reach them from anywhere. | Without the internet you cannot reach them.
a blockchain | A blockchain is a list of records that many computers keep together. | Each block holds a mark of the block before it, so nobody can change an old record without being noticed. | It is used for digital money.
a robot | A robot is a machine that can do work on its own. | It has sensors to feel the world, motors to move, and a computer that decides what to do. | Robots build cars and clean floors.
a language model | A language model is a program that guesses the next word of a text. | It has read a lot of text and learned which words often follow each other. | By guessing one word after another it can write whole answers, but it can also be wrong.
a ternary neural network | A ternary neural network is a network whose weights are only -1, 0 or 1. | Multiplying by such a weight is very easy: you add, you subtract, or you do nothing. | So it needs little memory and runs fast on a small computer.
friendship | Friendship is a bond between people who like and trust each other. | Friends listen, help and have fun together, and they say sorry when they have been unkind. | A good friend is worth more than gold.
music | Music is sound that is put in order. | It has rhythm, which is the beat, and melody, which is a line of notes. | It can make us happy or sad without any words.
history | History is the story of what happened before us. | We learn it from old books, letters, buildings and things found in the ground. | It helps us to understand the world of today.
the scientific method | The scientific method is a careful way to find out what is true. | You ask a question, make a guess, test it, and look at the result. If the test fails, you change the guess. | Others repeat the test to see whether it holds.
recycling | Recycling means making new things from old ones. | Paper, glass and metal are collected, cleaned and used again. | It saves energy and makes less waste.
oxygen | Oxygen is a gas that most living things need to breathe. | It has no color and no smell, and about a fifth of the air is oxygen. Plants make it. | Fire needs oxygen too.
"""


def parse(table: str) -> dict[str, list[list[str]]]:
    rows = [line.split(" | ") for line in table.strip().split("\n")]
    return {row[0]: [part.split(" / ") for part in row[1:]] for row in rows}


NOTIONS = parse(TABLE)
PROMPTS = ["Explain {x} in simple terms:", "Explain {x} in simple terms:", "Explain {x} in simple terms.", "Explain {x}.", "Can you explain {x}?", "Explain {x} to a child.",
           "Explain {x} in simple words.", "Tell me about {x}.", "What does {x} mean?", "Describe {x} in a few sentences."]
ASKED = ["What is {x}?", "What is {x}?"]
HOW = ("why ", "the phases", "the seasons", "day and")
PLURAL = ("bacteria", "taxes", "radio waves", "the tides", "the dinosaurs")


def answer(r, notion: str) -> str:
    """One wording of each part, in order; now and then the last part is left out."""
    parts = [r.choice(wordings) for wordings in NOTIONS[notion]]
    return " ".join(parts if r.random() < 0.85 else parts[:2])


def prompt_for(r, notion: str) -> str:
    if notion.startswith("why "):
        return r.choice([f"Explain {notion}.", f"Explain {notion} in simple terms:", f"Can you explain {notion}?"])
    asked = [a.replace("is", "are") if notion.startswith(PLURAL) else a for a in ASKED]
    return r.choice(PROMPTS + ([] if notion.startswith(HOW) else asked * 2)).format(x=notion)


def exchange(r, held: bool = False) -> tuple[str, str]:
    while True:
        notion = "quantum computing" if r.random() < 0.05 else r.choice(list(NOTIONS))
        prompt = prompt_for(r, notion)
        if (held_out(prompt, 20) and notion != "quantum computing") == held:
            return prompt, answer(r, notion)
