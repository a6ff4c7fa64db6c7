package market

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/wire"
)

// Bounds of what messages hold. Akash defines those of groups and units, and
// enforces neither.
const (
	maxGroups     = 20  // of a deployment
	maxUnits      = 20  // of a group
	maxVolumes    = 16  // of a unit
	maxEndpoints  = 64  // of a unit
	maxAuditors   = 16  // in each list of a group
	maxAttributes = 256 // in one list
	maxValue      = 256 // bytes of an attribute's value
	maxName       = 63  // bytes of the name of a group or a volume
	maxText       = 256 // bytes of what a provider tells of itself
)

// checkHash tells what is wrong with a manifest's hash, if anything.
func checkHash(hash []byte) error {
	if len(hash) != sha256.Size {
		return sdkerrors.ErrInvalidRequest.Wrapf("hash of the manifest of %d bytes; it must have %d", len(hash), sha256.Size)
	}
	return nil
}

// checkDeployment tells why a new deployment is refused, if it is.
func (k *Keeper) checkDeployment(msg *marketv1.MsgCreateDeployment, params marketv1.Params) error {
	if err := checkHash(msg.Hash); err != nil {
		return err
	}
	if len(msg.Groups) > maxGroups {
		return sdkerrors.ErrInvalidRequest.Wrapf("%d groups; a deployment has at most %d", len(msg.Groups), maxGroups)
	}
	var specs []market.GroupSpec
	for i, g := range msg.Groups {
		if err := k.checkGroup(g); err != nil {
			return err
		}
		if i > 0 && g.Name < msg.Groups[i-1].Name {
			return sdkerrors.ErrInvalidRequest.Wrapf("group %q stands behind %q: sort groups by name", g.Name, msg.Groups[i-1].Name)
		}
		spec, err := wire.ReadGroupSpec(g)
		if err != nil {
			return refused(err)
		}
		specs = append(specs, spec)
	}
	if err := market.ValidateGroups(specs); err != nil {
		return refused(err)
	}
	denom := specs[0].Units[0].Price.Denom
	if err := accepted(params, denom); err != nil {
		return err
	}
	if err := checkCoin("deposit", msg.Deposit, denom, max(1, currency(params, denom).MinDeposit)); err != nil {
		return err
	}
	if msg.Reclaim == 0 {
		return nil
	}
	if err := rules(params, denom).CheckReclaim(wire.Seconds(msg.Reclaim)); err != nil {
		return refused(err)
	}
	return nil
}

// accepted returns an error unless new deployments may be paid in a denom.
func accepted(params marketv1.Params, denom string) error {
	var denoms []string
	for _, c := range params.Currencies {
		if c.Denom == denom {
			return nil
		}
		denoms = append(denoms, c.Denom)
	}
	return sdkerrors.ErrInvalidRequest.Wrapf("deployments are not paid in %.128q; they are in %s", denom, strings.Join(denoms, ", "))
}

// checkGroup tells what of a group is too much, or no address, if anything. The
// law says the rest.
func (k *Keeper) checkGroup(g marketv1.GroupSpec) error {
	if err := checkName("name of a group", g.Name); err != nil {
		return err
	}
	if len(g.Units) > maxUnits {
		return sdkerrors.ErrInvalidRequest.Wrapf("group %q: %d resource units; a group has at most %d", g.Name, len(g.Units), maxUnits)
	}
	if err := checkAttributes("placement of group "+strconv.Quote(g.Name), g.Attributes); err != nil {
		return err
	}
	for _, list := range [][]string{g.SignedBy.AllOf, g.SignedBy.AnyOf} {
		if len(list) > maxAuditors {
			return sdkerrors.ErrInvalidRequest.Wrapf("group %q: %d auditors in a list; there are at most %d", g.Name, len(list), maxAuditors)
		}
		for _, auditor := range list {
			if _, err := k.bytes(auditor); err != nil {
				return fmt.Errorf("group %q: auditor %w", g.Name, err)
			}
		}
	}
	for _, u := range g.Units {
		if err := checkResources(u.Resources); err != nil {
			return fmt.Errorf("group %q: unit %d: %w", g.Name, u.Resources.Id, err)
		}
	}
	return nil
}

// checkResources tells what of a unit is too much, if anything.
func checkResources(r marketv1.Resources) error {
	if len(r.Storage) > maxVolumes || len(r.Endpoints) > maxEndpoints {
		return sdkerrors.ErrInvalidRequest.Wrapf("%d volumes and %d endpoints; there are at most %d and %d", len(r.Storage), len(r.Endpoints), maxVolumes, maxEndpoints)
	}
	if err := checkAttributes("cpu", r.CpuAttributes); err != nil {
		return err
	}
	if err := checkAttributes("gpu", r.GpuAttributes); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, v := range r.Storage {
		if err := checkName("name of a volume", v.Name); err != nil {
			return err
		}
		if seen[v.Name] {
			return sdkerrors.ErrInvalidRequest.Wrapf("two volumes are named %q", v.Name)
		}
		seen[v.Name] = true
		if err := checkAttributes("storage "+strconv.Quote(v.Name), v.Attributes); err != nil {
			return err
		}
	}
	return nil
}

// checkOffers tells what of a bid's offers is too much, if anything.
func checkOffers(offers []marketv1.Offer) error {
	if len(offers) > maxUnits {
		return sdkerrors.ErrInvalidRequest.Wrapf("offers for %d resource units; a group has at most %d", len(offers), maxUnits)
	}
	for i, o := range offers {
		if err := checkResources(o.Resources); err != nil {
			return fmt.Errorf("offer %d: %w", i+1, err)
		}
	}
	return nil
}

// checkName tells what is wrong with a short text that must not be empty, if
// anything.
func checkName(what, name string) error {
	if name == "" || len(name) > maxName || !printable(name) {
		return sdkerrors.ErrInvalidRequest.Wrapf("%s: %.80q; it must be 1 to %d bytes of printable text", what, name, maxName)
	}
	return nil
}

// printable tells whether a text is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// checkAttributes tells what is wrong with a list of attributes, if anything.
func checkAttributes(what string, list []marketv1.Attribute) error {
	if len(list) > maxAttributes {
		return sdkerrors.ErrInvalidRequest.Wrapf("%s: %d attributes; there are at most %d", what, len(list), maxAttributes)
	}
	for _, a := range list {
		if len(a.Value) > maxValue || !printable(a.Value) {
			return sdkerrors.ErrInvalidRequest.Wrapf("%s: value of attribute %.130q; it must be printable text of at most %d bytes", what, a.Key, maxValue)
		}
	}
	if err := wire.ReadAttributes(list).Validate(); err != nil {
		return sdkerrors.ErrInvalidRequest.Wrapf("%s: %v", what, err)
	}
	return nil
}

// checkProvider tells what is wrong with what a provider tells of itself, if
// anything.
func checkProvider(p marketv1.Provider) error {
	if err := checkHost(p.HostUri); err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{{"email", p.Email}, {"website", p.Website}} {
		if len(f.text) > maxText || !printable(f.text) {
			return sdkerrors.ErrInvalidRequest.Wrapf("%s: it must be printable text of at most %d bytes", f.name, maxText)
		}
	}
	if len(p.TlsPin) != 0 && len(p.TlsPin) != sha256.Size {
		return sdkerrors.ErrInvalidRequest.Wrapf("tls_pin of %d bytes; it must have none or %d", len(p.TlsPin), sha256.Size)
	}
	return checkAttributes("attributes", p.Attributes)
}

// checkHost tells what is wrong with the address of a provider's gateway, if
// anything: it is https, a host and maybe a port.
func checkHost(uri string) error {
	host, https := strings.CutPrefix(uri, "https://")
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
		if n, err := strconv.ParseUint(host[i+1:], 10, 16); err != nil || n == 0 {
			https = false
		}
	}
	inner := name
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		inner = strings.ReplaceAll(name[1:len(name)-1], ":", "") // an IPv6 address
	}
	bad := strings.IndexFunc(inner, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	}) >= 0
	if !https || inner == "" || bad || len(uri) > maxText {
		return sdkerrors.ErrInvalidRequest.Wrapf("host_uri %.300q; write https://, a host and maybe a port, as https://provider.example.com:8443", uri)
	}
	return nil
}
