// Package examples holds the SDL files that the documentation shows, so that
// the binary can offer them, too.
package examples

import "embed"

// Files are the examples' SDL files.
//
//go:embed *.yaml
var Files embed.FS
