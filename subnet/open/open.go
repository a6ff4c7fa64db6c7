// Package open is the kind of subnet whose miners run whatever model they like,
// and earn more the better it is.
//
// Two things are measured. Questions with one right answer are generated from
// the validator's secret, on a ladder of difficulty, and none is asked twice
// (package quiz). Questions without one go to a few miners each; the
// validator's own model compares the answers in pairs, and a rating remembers
// who wins (package rating). [Mechanism] says how the two become a score.
//
// Copying: every miner has questions of its own, so there is no answer of
// someone else's to hand in, and answers are sealed: a hash binds a text to the
// miner and the task, which finds out who passes on what another miner says.
// Of two answers to the same open question that read alike the later loses. A
// miner that asks another one and seals the answer anew cannot be told from an
// honest customer of that miner; it is as good as its source, and slower.
//
// Start at [Mechanism] and [Manifest].
package open
