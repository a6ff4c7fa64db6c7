// Package compute is the subnet kind whose miners sell machines on the compute
// market, and whose validators measure them: the network's own incentive for
// supply, and an audit that nobody does by hand.
//
// A miner's account is a provider on the market. A validator rents from it by
// the chain, as any tenant does, at random times and under random names, runs a
// program that does exercises (package exercise) and takes the time by its own
// clock: how soon a lease starts, what its cores, memory, disks and network
// deliver of what was promised, whether it stays up. What was shown is what
// counts; what a provider says of itself counts for nothing.
//
// What miners answer to a validator's tasks is only that they are there; the
// score is what [Mechanism.Run] learns by renting. Start at [Manifest] and
// [Mechanism].
package compute
