// Package text is the kind of subnet whose miners run one open language model
// that the subnet's manifest names.
//
// What a miner says is decided before it says it: the sampler's luck comes out
// of a [Seed] bound to a block, the asker, the miner and the task. So a
// validator with the same model can replay an answer in one pass and see, token
// by token, how far the miner was from what the model would have said. A
// smaller model, a canned or copied answer, and an answer made for someone else
// all miss by far; honest rounding misses by little. A sequential test over all
// tokens of a miner tells the two apart with stated error rates.
//
// Start at [Mechanism] and [Manifest]; [Request] and [Chunk] are what travels.
package text
