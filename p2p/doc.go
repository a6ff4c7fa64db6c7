// Package p2p is how the peers of a Plexus network find each other, ask each
// other for work, and prove afterwards what was asked and answered.
//
// A [Host] is one peer: a key, listening addresses, and limits on everything
// that others may cost it. [Host.Find] turns a peer id into a [Record] signed
// by that peer; [Host.Call] sends a signed request and hands out the pieces of
// the answer as they come; [Host.Serve] answers. Each piece is signed over the
// request and over all pieces before it, so that the [Receipt] of a whole or a
// broken-off answer convinces anyone who trusts neither side.
//
// Everything that a peer sends is taken for hostile: it is bounded before it
// is read, its signature is checked before any policy is asked, and a request
// is executed at most once, also after a restart.
package p2p
