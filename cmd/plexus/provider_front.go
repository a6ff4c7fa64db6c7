package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"
)

// letsEncrypt is what --acme letsencrypt means.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// ingressFlags are those of HTTPS at the ingress.
func (s *seller) ingressFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.c.IngressTLS, "ingress-tls", "", "address on which they are reached over HTTPS, as 0.0.0.0:443 (default none)")
	f.StringVar(&s.c.TLSFile, "tls-certificate", "", "PEM file of a certificate for *.domain; read again when it changes")
	f.StringVar(&s.c.TLSKey, "tls-key", "", "PEM file of its key")
	f.StringVar(&s.c.ACME.Directory, "acme", "", "who certifies names that tenants bring: letsencrypt, or an ACME directory's URL (default nobody)")
	f.StringVar(&s.c.ACME.Email, "acme-email", "", "where that authority warns")
	f.BoolVar(&s.c.Redirect, "redirect", false, "send HTTP to HTTPS, for names with a certificate that users' machines trust")
	f.StringSliceVar(&s.proxies, "ingress-trusted-proxies", nil, "networks of your own proxies before the ingress, as 10.0.0.0/8,192.0.2.7: what they say of who asks is believed (default nobody)")
	f.IntVar(&s.c.PerAddress, "ingress-per-address", 0, "connections of one address at a time (default 256)")
	f.IntVar(&s.c.PerLease, "ingress-per-lease", 0, "requests to one lease at a time (default 2048)")
	for _, name := range []string{"tls-certificate", "tls-key"} {
		_ = cmd.MarkFlagFilename(name, "pem", "crt", "key") // the flag is there
	}
	_ = cmd.RegisterFlagCompletionFunc("acme", cobra.FixedCompletions([]string{"letsencrypt"}, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// decideProxies reads whom the ingress believes, and how much it takes.
func (s *seller) decideProxies() error {
	for _, text := range s.proxies {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("--ingress-trusted-proxies %q: want networks or addresses, as 10.0.0.0/8 or 192.0.2.7", text)
		}
		if p.Bits() == 0 {
			return fmt.Errorf("--ingress-trusted-proxies %s: then anybody could say to be anybody; name your proxies' addresses", text)
		}
		s.c.Proxies = append(s.c.Proxies, p.Masked())
	}
	if s.c.PerAddress < 0 || s.c.PerLease < 0 {
		return fmt.Errorf("--ingress-per-address %d, --ingress-per-lease %d: want how many, or 0 for the default", s.c.PerAddress, s.c.PerLease)
	}
	return nil
}

// decideTLS checks what the flags say of HTTPS.
func (s *seller) decideTLS() error {
	c := &s.c
	if c.ACME.Directory == "letsencrypt" {
		c.ACME.Directory = letsEncrypt
	}
	switch u, err := url.Parse(c.ACME.Directory); {
	case (c.TLSFile == "") != (c.TLSKey == ""):
		return errors.New("--tls-certificate and --tls-key: a certificate needs both")
	case c.IngressTLS == "" && (c.TLSFile != "" || c.ACME.Directory != "" || c.Redirect):
		return errors.New("--tls-certificate, --acme and --redirect are for HTTPS: say where it listens, as --ingress-tls 0.0.0.0:443")
	case c.ACME.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == ""):
		return fmt.Errorf("--acme %q: want letsencrypt, or an https URL", c.ACME.Directory)
	}
	for _, file := range []*string{&c.TLSFile, &c.TLSKey} {
		if *file == "" {
			continue
		}
		var err error
		if *file, err = filepath.Abs(*file); err != nil { // run may start elsewhere
			return err
		}
	}
	return nil
}
