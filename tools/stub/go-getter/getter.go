// Package getter stands in for github.com/hashicorp/go-getter, which the
// SDK's upgrade module imports to download a release's binary.
//
// The real package drags the SDKs of three clouds into every binary. Plexus
// never downloads its own successor: an operator installs it. Every fetch
// here fails and says so.
package getter

import (
	"context"
	"errors"
	"net/http"
)

// ErrNoDownload is what every fetch returns.
var ErrNoDownload = errors.New("this build does not download upgrades: install the new binary yourself")

// ChecksumError is never returned; callers only test for it.
type ChecksumError struct{}

// Error says that the download was never tried.
func (*ChecksumError) Error() string { return ErrNoDownload.Error() }

// Getter is a scheme's downloader.
type Getter any

// HttpGetter is a setting that has no effect.
type HttpGetter struct { //nolint:revive // the replaced package's name
	Client                *http.Client
	XTerraformGetDisabled bool
}

// Client is a setting that has no effect.
type Client struct {
	Ctx             context.Context
	DisableSymlinks bool
	Src, Dst, Pwd   string
	Getters         map[string]Getter
}

// Getters is the table of schemes that callers extend.
var Getters = map[string]Getter{}

// Get returns [ErrNoDownload].
func Get(dst, src string) error { return ErrNoDownload }

// Get returns [ErrNoDownload].
func (*Client) Get() error { return ErrNoDownload }
