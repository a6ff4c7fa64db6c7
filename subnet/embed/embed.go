// Package embed is the kind of subnet whose miners turn texts into vectors by
// one open model that the subnet's manifest names.
//
// A vector has no luck in it: every honest miner gives the same one but for
// rounding. So a validator computes some of an answer's vectors itself, drawn by
// a secret, and asks for a cosine that rounding cannot spoil and another model,
// another text or part of one cannot reach. What would be the same for all could
// be copied; hence every answer also has the vector of a probe, a text that only
// this miner is asked for and learns of by the task.
//
// Start at [Mechanism] and [Manifest]; [Embedder] asks on behalf of users.
package embed
