package pass

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/plexus-network/plexus/wallet"
)

const provider = "plx1provider"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sign(t testing.TB, leases Leases) (*wallet.Key, string) {
	t.Helper()
	key := wallet.Derive("pass", "tenant")
	token, err := Sign(key, provider, now, time.Hour, leases)
	if err != nil {
		t.Fatal(err)
	}
	return key, token
}

func TestPass(t *testing.T) {
	key, token := sign(t, Leases{})
	c, err := Verify(token, provider, now.Add(59*time.Minute))
	if err != nil || c.Issuer != key.Address() {
		t.Fatalf("got %+v, %v", c, err)
	}
	if err := c.Allow(Shell, 7, "web"); err != nil {
		t.Errorf("full access: %v", err)
	}
}

func TestPassOfAWallet(t *testing.T) {
	key := wallet.Derive("pass", "tenant")
	text, err := unsigned(header{adr36, "JWT", encoding.EncodeToString(key.PubKey().Bytes())}, Claims{
		Issuer: key.Address(), Audience: provider, Issued: now.Unix(), Expires: now.Unix() + 60, Version: Version, Leases: Leases{Access: "full"},
	})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.SignText(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(text+"."+encoding.EncodeToString(signature), provider, now); err != nil {
		t.Error(err)
	}
}

func TestRefusedPasses(t *testing.T) {
	_, token := sign(t, Leases{})
	_, other := sign(t, Leases{Access: "scoped", Scope: []Scope{Logs}})
	parts, others := strings.Split(token, "."), strings.Split(other, ".")
	for name, c := range map[string]struct {
		token, provider string
		now             time.Time
	}{
		"another_provider": {token, "plx1other", now},
		"expired":          {token, provider, now.Add(2 * time.Hour)},
		"not_yet":          {token, provider, now.Add(-time.Hour)},
		"changed":          {parts[0] + "." + others[1] + "." + parts[2], provider, now},
		"no_signature":     {parts[0] + "." + parts[1] + ".", provider, now},
		"two_parts":        {parts[0] + "." + parts[1], provider, now},
		"no_base64":        {"!." + parts[1] + "." + parts[2], provider, now},
		"empty":            {"", provider, now},
		"huge":             {strings.Repeat("a", maxSize+1), provider, now},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := Verify(c.token, c.provider, c.now); !errors.Is(err, ErrPass) {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestSomebodyElsesName(t *testing.T) {
	key := wallet.Derive("pass", "thief")
	text, err := unsigned(header{direct, "JWT", encoding.EncodeToString(key.PubKey().Bytes())}, Claims{
		Issuer: wallet.Derive("pass", "tenant").Address(), Audience: provider, Issued: now.Unix(), Expires: now.Unix() + 60,
		Version: Version, Leases: Leases{Access: "full"},
	})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(text+"."+encoding.EncodeToString(signature), provider, now); !errors.Is(err, ErrPass) {
		t.Errorf("a pass in another's name: %v", err)
	}
}

func TestScopes(t *testing.T) {
	_, token := sign(t, Leases{Access: "scoped", Scope: []Scope{Logs, Status}, DSeqs: []uint64{3}, Services: []string{"web"}})
	c, err := Verify(token, provider, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct {
		scope   Scope
		dseq    uint64
		service string
		ok      bool
	}{
		{Logs, 3, "web", true}, {Shell, 3, "web", false}, {Logs, 4, "web", false}, {Logs, 3, "db", false}, {Status, 3, "", false},
	} {
		if err := c.Allow(a.scope, a.dseq, a.service); (err == nil) != a.ok {
			t.Errorf("%s of %q of deployment %d: %v", a.scope, a.service, a.dseq, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	_, token := sign(f, Leases{})
	f.Add(token)
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Verify(text, provider, now); err == nil && text != token {
			t.Errorf("%q passes", text)
		}
	})
}
