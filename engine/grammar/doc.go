// Package grammar says which tokens may come next in an answer that must be
// JSON of a given form, or calls of given tools.
//
// A [Grammar] is compiled from an engine.Constraint: a pushdown automaton over
// bytes. A [Machine] runs it on a model's vocabulary; a [Matcher] is one answer
// on its way. All is a function of the constraint, the vocabulary and the
// tokens so far, so a miner and whoever checks it see the same.
//
// JSON is written compactly: no white space but one space, at choice, after
// each colon and comma. An object's properties come in the order in which the
// schema lists them. Numbers have at most 15 digits before the point, 15 after
// it and 2 in the exponent; integers keep to bounds, other numbers only to a
// minimum of 0. Start at [Compile].
package grammar
