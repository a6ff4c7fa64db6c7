package corpus

// The network's own terms, in the words of docs/terms.md.

// Term and definition. The definition begins with the term as it is said.
var terms = rows(`
miner|A miner is a neuron that does the work of a subnet, such as answering prompts, and is paid for it.
validator|A validator sends prompts to miners, checks their answers and sets weights on them.
subnet|A subnet is a network inside Plexus with one kind of work, its own miners and its own validators.
neuron|A neuron is an account that is registered on a subnet: a miner or a validator.
uid|A uid is the number of a neuron's place on its subnet.
netuid|A netuid is the number of a subnet.
stake|Stake is the PLX that is locked behind a validator. More stake means more weight.
epoch|An epoch is one run of Yuma consensus on a subnet: weights go in and rewards come out.
tempo|The tempo of a subnet is the number of blocks between two epochs.
emission|Emission is the new PLX that each block makes for miners and validators.
axon|An axon is the server of a neuron. Others send their requests to it.
dendrite|A dendrite is the client that calls the axons of other neurons.
metagraph|The metagraph is the state of a subnet: its neurons, stake, weights and rewards.
PLX|PLX is the token of Plexus. There will never be more than 21 million PLX.
nplx|An nplx is the smallest unit of the token. One PLX is one billion nplx.
coldkey|A coldkey is the key of the owner. It holds the money and stays offline.
hotkey|A hotkey is the key that a neuron works with every day. It acts for the coldkey.
wallet|A wallet keeps your keys: a coldkey for the money and hotkeys for the work.
weight|A weight is a validator's opinion of a miner. Better work gets more weight.
bond|A bond ties a validator to a miner that it found early. Bonds decide the dividends.
incentive|Incentive is a miner's share of the rewards of its subnet.
dividend|Dividends are a validator's share of the rewards of its subnet.
consensus|Consensus is what most of the stake agrees on about each miner.
Yuma consensus|Yuma consensus turns the weights of all validators into incentive and dividends, and cuts off votes above the consensus.
trust|Trust tells how much of a miner's weight the validators agree on.
take|The take is the part of the dividends that a validator keeps before it pays its delegators.
delegation|To delegate is to lend your stake to a validator and share its dividends.
permit|A permit lets a neuron set weights. The neurons with the most stake get one.
immunity|Immunity protects a new neuron from being removed for a while.
kappa|Kappa is the part of the stake that must agree on a weight, usually one half.
block|A block is a list of transactions that the chain adds at once.
blockchain|A blockchain is a list of blocks that many computers keep and agree on.
height|The height of a block is its number in the chain.
block producer|A block producer signs new blocks of the chain.
transaction|A transaction is a signed order to the chain, such as a payment.
token|A token is a piece of a text, or a coin such as PLX.
halving|A halving cuts the emission in half. It happens every four years.
layer|A layer is one step of a language model. A run of layers is a span.
span|A span is a run of layers of a model that one server holds.
session|A session is one conversation with a model and its memory.
adapter|An adapter is a small addition to a model that changes how it speaks.
receipt|A receipt is the signed record of one answer.
challenge|A challenge is a validator's own prompt, made to test a miner.
organic prompt|An organic prompt comes from a user and not from a validator.
mechanism|A mechanism is the way in which the validators of a subnet turn answers into scores.
provider|A provider sells computers on the market of Plexus.
tenant|A tenant rents a computer on the market of Plexus.
lease|A lease is a running rental of a provider's computer by a tenant.
bid|A bid is the price that a provider asks for an order.
order|An order is a tenant's wish to rent a computer. Providers bid on it.
deployment|A deployment is what a tenant wants to run on the market.
escrow|Escrow is money that is set aside to pay for a lease, block by block.
deposit|A deposit is what a provider pledges. It can lose it when it cheats.
manifest|A manifest says exactly what shall run: which files and which settings.
gateway|The gateway takes your prompts, asks several miners and returns the best answer.
explorer|The explorer shows the blocks, neurons and subnets of the chain.
swarm|A swarm is a group of miners that serve one large model together, layer by layer.
horde|The horde is a subnet where volunteers answer jobs for kudos.
kudos|Kudos are the points of the horde. Who helps more is served first.
collab|A collab subnet trains one model on the computers of many miners.
round|A round is one step of training together on a collab subnet.
parameter|A parameter is one of the numbers that make up a model.
model|A model is a large set of numbers that turns a text into an answer.
prompt|A prompt is the text that you send to a model.
owner|The owner of a subnet is the account that registered it and sets its rules.
registration|To register is to get a place on a subnet, by burning PLX or by proof of work.
proof of work|Proof of work means to solve a hard puzzle before you may join.
slashing|Slashing takes stake away from a validator that breaks the rules.
root subnet|The root subnet is subnet 0. Its weights decide how much each subnet earns.
score|A score says how good a miner's answers were.
Plexus|Plexus is an open network of machine intelligence: one chain, one token and many subnets.
`)

var termAsks = []string{
	"What is %?", "What is %?", "What is %?", "What's %?", "Define %.", "Explain %.", "What does the word % mean?", "Tell me about %.", "Can you explain %?", "What does % mean?", "Explain to me what % is.",
}

// uncounted terms take no article.
var uncounted = map[string]bool{
	"stake": true, "emission": true, "PLX": true, "incentive": true, "consensus": true, "Yuma consensus": true, "trust": true, "delegation": true,
	"immunity": true, "kappa": true, "escrow": true, "kudos": true, "registration": true, "proof of work": true, "slashing": true, "Plexus": true,
}

func term(g *Generator) exchange {
	r := g.row(terms)
	name, form := r[0], g.pick(termAsks)
	switch {
	case name == "dividend" && g.chance(70):
		return exchange{g.pick([]string{"What are dividends?", "Explain dividends.", "What does dividends mean?"}), r[1]}
	case uncounted[name], form == "What does the word % mean?":
	case g.chance(25) && form != "Explain to me what % is.":
		name = "the " + name
	case g.chance(85):
		name = article(name)
	}
	ask := fill(form, name)
	if g.chance(8) {
		ask = "What are " + r[0] + "s?"
		if uncounted[r[0]] {
			ask = upper(r[0])
		}
	} else if g.chance(10) {
		ask = upper(r[0]) + "?"
	}
	return exchange{ask, r[1]}
}

// An answer and the questions that it answers.
var networkFacts = rows(`
Miners earn PLX when validators find their answers good.|How do miners earn money?|How do miners earn PLX?|How are miners paid?|Why do miners work?|What do miners get?|How does a miner earn?
Validators earn dividends when they judge the miners well.|How do validators earn money?|How are validators paid?|What do validators get?|How does a validator earn?
The rewards of a subnet go half to its miners and half to its validators.|Who gets the rewards?|How are rewards shared?|How is the emission divided?|Who gets the emission?
Miners answer prompts, and validators check the answers.|What is the difference between a miner and a validator?|What do miners do?|What does a miner do?|What do miners and validators do?
Validators send prompts to miners, check the answers and set weights.|What does a validator do?|What do validators do?|What is the job of a validator?
Validators compare the answer with what the model would have said. A cheat is caught and earns nothing.|How are cheats caught?|What happens when a miner cheats?|How does Plexus catch cheats?|Can a miner cheat?
There will never be more than 21 million PLX.|How many PLX are there?|How many PLX will there be?|What is the supply of PLX?|What is the maximum supply?
Run plexus up and a whole network starts on your computer.|How do I start Plexus?|How do I start a network?|How can I try Plexus?|How do I begin?
Register a neuron on a subnet, run a model and answer prompts.|How do I become a miner?|How can I mine?|How do I start mining?|Can I be a miner?
Delegate your PLX to a validator, and you share its dividends.|How do I stake?|How can I stake PLX?|How do I delegate?|How can I earn without a computer?
The kinds of subnets are text, swarm, horde and collab.|What kinds of subnets are there?|Which subnets exist?|Name the kinds of subnets.
Nobody owns the network. Everyone who takes part runs a piece of it.|Who owns Plexus?|Who owns the network?|Who runs Plexus?|Who controls Plexus?
Every four years the emission is cut in half.|When is the halving?|How often is the halving?
Yes. Plexus is open source under the Apache 2.0 licence.|Is Plexus open source?|Is Plexus free?|What licence does Plexus have?
Every answer comes from several miners, and the best one is shown.|How does the gateway work?|How does Plexus answer?|Where do the answers come from?
`)

func networkFact(g *Generator) exchange {
	line := g.row(networkFacts)
	return exchange{g.pick(line[1:]), line[0]}
}
