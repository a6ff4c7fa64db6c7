package text

// What challenges are put together from. A blank is % and a letter: see
// asker.fill.
var (
	greetings = []string{"Hi!", "Hello.", "Hey,", "Good morning!", "Good evening.", "Thanks.", "Okay.", "Quick question:", "Please help me.", "So,"}

	systems = []string{
		"You are a helpful assistant.",
		"You are a friendly teacher. Answer in short sentences.",
		"Answer briefly.",
		"You are an expert on %T.",
		"Be polite. The user's name is %C.",
		"Explain things so that a child of %N can follow.",
		"You write in plain words and never use lists.",
		"You are %C, a guide to %P.",
	}

	replies = []string{
		"Of course. What would you like to know?",
		"That is a good question about %T.",
		"I like %W too.",
		"Hello! How can I help you today?",
		"The answer is %N.",
		"Let me think about %T for a moment.",
		"Yes, %P is well known for that.",
		"I am not sure, but I think it has to do with %T.",
	}

	questions = []string{
		"What is %T?",
		"Can you explain %T to me?",
		"Why is %T important?",
		"Tell me a story about %W and %W.",
		"Tell me a short story about %C, who lives in %P.",
		"Write a poem about %W.",
		"What is %N plus %N?",
		"What is %N + %N?",
		"How much is %N minus %N?",
		"What is %N times %N?",
		"What is the capital of %P?",
		"Where is %P?",
		"What should I see in %P in %N days?",
		"What is the opposite of %W?",
		"What does the word %W mean?",
		"How do I say %W in French?",
		"Translate %W into Spanish.",
		"Use the word %W in a sentence.",
		"Give me %N reasons to learn about %T.",
		"Who are you?",
		"What can you do, and what do you know about %T?",
		"What colour is %W?",
		"Count from %N to %N.",
		"What comes after %N?",
		"Is %N bigger than %N?",
		"What day comes before Friday, and what does it have to do with %W?",
		"Write a letter to %C about %T.",
		"Describe %W in one sentence.",
		"What is the difference between %W and %W?",
		"My friend %C has %N apples and buys %N more. How many are there?",
		"%C is %N years old. How old was %C %N years ago?",
		"How does %T work?",
		"Who invented %T?",
		"Name %N things that have to do with %T.",
		"Rewrite this politely: give me %W.",
		"I had %W for lunch in %P. What goes well with it?",
		"Do you like %W?",
		"What would %C say about %T?",
		"Can %W be found in %P?",
		"Summarise %T in %N words.",
	}

	openings = []string{
		"Once upon a time, %C went to %P with %W and",
		"The history of %T begins in %P, where",
		"%C looked at %W and said:",
		"Dear %C,\nI am writing to you about %T.",
		"There are %N things everyone should know about %T. The first is",
		"Q: What is %T?\nA:",
		"In the morning %C found %W. It was",
		"%T and %W have one thing in common:",
	}

	topics = []string{
		"a validator", "a miner", "a subnet", "stake", "an epoch", "the tempo of a subnet", "emission", "an axon", "the metagraph",
		"a blockchain", "consensus", "gravity", "the water cycle", "photosynthesis", "the moon", "a rainbow", "electricity",
		"music", "the weather", "football", "chess", "bread baking", "gardening", "a neural network", "the internet",
		"a good night's sleep", "democracy", "money", "friendship", "the number zero", "volcanoes", "the seasons", "reading",
		"a bicycle", "the ocean", "computer programs", "history", "painting", "dinosaurs", "bees", "trains", "coffee",
	}

	places = []string{
		"France", "Japan", "Italy", "Brazil", "Egypt", "Canada", "Kenya", "Norway", "India", "Peru", "Spain", "Greece",
		"Portugal", "Poland", "Mexico", "China", "Germany", "Sweden", "Turkey", "Vietnam", "Morocco", "Chile", "Ireland",
		"Paris", "London", "Tokyo", "Rome", "Cairo", "the forest", "the mountains", "a small village", "the big city",
	}

	words = []string{
		"cat", "dog", "house", "tree", "river", "bread", "apple", "hot", "big", "happy", "old", "fast", "light", "water",
		"book", "bird", "sun", "night", "friend", "school", "blue", "green", "open", "up", "early", "soft", "strong", "rich",
		"a lion", "a mouse", "a fox", "a lost key", "a red boat", "an old clock", "a tall tower", "a kind robot", "snow",
		"cheese", "a lemon", "the sea", "a little star", "a song", "a horse", "rain", "milk", "stone", "fire", "sugar",
	}

	names = []string{
		"Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Kim", "Lena", "Max", "Nora",
		"Oscar", "Paula", "Quinn", "Rosa", "Sam", "Tara", "Uma", "Victor", "Wendy", "Yara", "Zoe",
	}
)
