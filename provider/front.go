package provider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/plexus-network/plexus/provider/ingress"
)

// secure prepares HTTPS at the ingress, if it is wanted.
func (d *Daemon) secure() error {
	if d.o.IngressTLS == "" {
		return nil
	}
	if d.o.ACME.Directory != "" {
		var err error
		d.authority, err = ingress.NewAuthority(ingress.AuthorityOptions{
			Dir: filepath.Join(d.o.Dir, "acme"), Directory: d.o.ACME.Directory, Email: d.o.ACME.Email, HTTP: d.o.acmeHTTP,
			Leads: d.leadsHere, Log: d.o.Log,
		})
		if err != nil {
			return fmt.Errorf("provider: %w", err)
		}
	}
	var err error
	d.tls, err = ingress.NewCertificates(ingress.CertificateOptions{
		Self: d.o.Certificate, File: d.o.TLSFile, Key: d.o.TLSKey, ACME: d.authority, Log: d.o.Log,
	})
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	d.secureURL = "https://%s"
	if _, port, err := net.SplitHostPort(d.o.IngressTLS); err == nil && port != "443" {
		d.secureURL += ":" + port
	}
	return nil
}

// openIngress serves tenants' users.
func (d *Daemon) openIngress(ctx context.Context, all *errgroup.Group) error {
	if d.o.Ingress != "" {
		l, err := net.Listen("tcp", d.o.Ingress)
		if err != nil {
			return fmt.Errorf("provider: ingress: %w; plexus provider init --ingress and --ingress-tls choose other addresses", err)
		}
		var h http.Handler = d.router
		if d.tls != nil {
			var to func(string) string
			if d.o.Redirect {
				to = func(host string) string { return fmt.Sprintf(d.secureURL, host) }
			}
			h = d.tls.Plain(d.router, to)
		}
		all.Go(func() error { return d.door.Serve(ctx, l, h, nil) })
	}
	if d.tls == nil {
		return nil
	}
	l, err := net.Listen("tcp", d.o.IngressTLS)
	if err != nil {
		return fmt.Errorf("provider: ingress with TLS: %w", err)
	}
	all.Go(func() error { return d.door.Serve(ctx, l, d.router, d.tls.TLS()) })
	return nil
}

// leadsHere tells by an error why a name does not lead to this provider: it
// must have an address that the provider's own domain has.
func (d *Daemon) leadsHere(ctx context.Context, host string) error {
	look := net.DefaultResolver.LookupHost
	if d.o.lookup != nil {
		look = d.o.lookup
	}
	mine, err := look(ctx, d.o.Domain)
	if err != nil {
		return fmt.Errorf("the provider's own domain has no address: %w", err)
	}
	theirs, err := look(ctx, host)
	if err != nil {
		return fmt.Errorf("the name leads nowhere: %w", err)
	}
	if slices.ContainsFunc(theirs, func(a string) bool { return slices.Contains(mine, a) }) {
		return nil
	}
	return fmt.Errorf("%s leads to %q, and this provider is at %q: point it at %s", host, theirs, mine, d.o.Domain)
}

// maxCertified is how many names of one lease get certificates, so that no
// tenant has the authority refuse the others.
const maxCertified = 20

// certify has certificates made for the names of the leases that run.
func (d *Daemon) certify() {
	if d.authority == nil {
		return
	}
	var names []string
	for _, k := range d.all() {
		if r := k.keeper.Record(); r != nil {
			mine := hosts(r)
			names = append(names, mine[:min(len(mine), maxCertified)]...)
		}
	}
	slices.Sort(names)
	d.authority.Want(slices.Compact(names))
}

// url is where the world finds a name: over HTTPS if its certificate is one
// that the world trusts, or if there is no other way in.
func (d *Daemon) url(host string) string {
	if d.tls != nil && d.o.ownURL && (d.o.Ingress == "" || d.tls.Covers(host)) {
		return fmt.Sprintf(d.secureURL, host)
	}
	return fmt.Sprintf(d.o.IngressURL, host)
}
