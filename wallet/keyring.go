// Package wallet keeps keys and signs with them.
//
// A coldkey owns: it holds coins, stake and neurons, and is best kept away
// from servers. A hotkey works: it signs a neuron's daily transactions by the
// grants of its coldkey ([Grants]), can take nothing, and can be revoked
// ([Revocation]). Keys live in a [Keyring], encrypted on disk or in the system's
// own store; [Derive] makes keys for networks of a day. A hotkey is called
// after its coldkey: "alice.miner" is a hotkey of "alice".
//
// Start at [Open] and [Key].
package wallet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/go-bip39"
)

// Sentinels of a [Keyring].
var (
	ErrNoKey     = errors.New("wallet: no such key")
	ErrKeyExists = errors.New("wallet: key exists")
	ErrMnemonic  = errors.New("wallet: not a mnemonic")
)

// A Backend is where a keyring keeps its keys.
type Backend string

// OS is the store of the system or desktop, File a folder of files encrypted
// with a passphrase, Test a folder of files anyone can read, Memory nothing at
// all.
const (
	OS     Backend = keyring.BackendOS
	File   Backend = keyring.BackendFile
	Test   Backend = keyring.BackendTest
	Memory Backend = keyring.BackendMemory
)

// Backends lists the backends that [Open] takes.
func Backends() []Backend { return []Backend{OS, File, Test, Memory} }

// Options says how to open a keyring. The zero value is refused: name at least
// a Home.
type Options struct {
	Home    string    // folder that File and Test make theirs in
	Backend Backend   // empty means File
	Input   io.Reader // answers the question for a passphrase; nil means the terminal
}

// A Keyring holds keys by name.
type Keyring struct {
	ring keyring.Keyring
}

// Open opens the keyring in o.Home, which it makes as needed. It asks for no
// passphrase before a key is used.
func Open(o Options) (*Keyring, error) {
	if o.Backend == "" {
		o.Backend = File
	}
	if !slices.Contains(Backends(), o.Backend) {
		return nil, fmt.Errorf("unknown keyring backend %q: use one of %q", o.Backend, Backends())
	}
	if o.Home == "" && o.Backend != Memory {
		return nil, errors.New("a keyring needs a home folder")
	}
	if o.Input == nil {
		o.Input = os.Stdin
	}
	configure()
	registry := codectypes.NewInterfaceRegistry()
	cryptocodec.RegisterInterfaces(registry)
	ring, err := keyring.New(Prefix, string(o.Backend), filepath.Clean(o.Home), o.Input, codec.NewProtoCodec(registry))
	if err != nil {
		return nil, fmt.Errorf("open %s keyring in %s: %w", o.Backend, o.Home, err)
	}
	return &Keyring{ring: ring}, nil
}

// configure makes the SDK write addresses with our prefix. A keyring has the
// SDK write some, and it remembers for the life of the process what it wrote.
var configure = sync.OnceFunc(func() {
	if c := sdk.GetConfig(); c.GetBech32AccountAddrPrefix() != Prefix {
		c.SetBech32PrefixForAccount(Prefix, Prefix+"pub")
	}
})

// Raw returns the SDK's own keyring with the same keys.
func (r *Keyring) Raw() keyring.Keyring { return r.ring }

// Create makes a new key and returns it with its mnemonic of 24 words, which
// is kept nowhere: who has it has the key.
func (r *Keyring) Create(name string) (*Key, string, error) {
	entropy, err := bip39.NewEntropy(256)
	if err != nil {
		return nil, "", fmt.Errorf("draw a key: %w", err)
	}
	mnemonic, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return nil, "", fmt.Errorf("draw a key: %w", err)
	}
	k, err := r.Recover(name, mnemonic)
	return k, mnemonic, err
}

// Recover makes the key of a mnemonic of 12 to 24 words (BIP-39), at the path
// m/44'/118'/0'/0/0. It returns [ErrMnemonic] when the words are none, and
// [ErrKeyExists] when the name is taken or the key is already there under
// another name.
func (r *Keyring) Recover(name, mnemonic string) (*Key, error) {
	mnemonic = strings.Join(strings.Fields(mnemonic), " ")
	if !bip39.IsMnemonicValid(mnemonic) {
		return nil, fmt.Errorf("%w: %d words, or a word is misspelt", ErrMnemonic, len(strings.Fields(mnemonic)))
	}
	if err := r.free(name); err != nil {
		return nil, err
	}
	path := hd.CreateHDPath(CoinType, 0, 0).String()
	record, err := r.ring.NewAccount(name, mnemonic, keyring.DefaultBIP39Passphrase, path, hd.Secp256k1)
	if err != nil {
		return nil, keyError(name, err)
	}
	return r.key(record)
}

// Key returns the key of that name, or [ErrNoKey].
func (r *Keyring) Key(name string) (*Key, error) {
	record, err := r.ring.Key(name)
	if err != nil {
		return nil, keyError(name, err)
	}
	return r.key(record)
}

// Unlock returns the key of that name, kept in memory, for those who sign often
// and must not ask for a passphrase each time.
func (r *Keyring) Unlock(name string) (*Key, error) {
	passphrase := rand.Text()
	armor, err := r.Export(name, passphrase)
	if err != nil {
		return nil, err
	}
	priv, _, err := crypto.UnarmorDecryptPrivKey(armor, passphrase)
	if err != nil {
		return nil, keyError(name, err)
	}
	return &Key{name: name, pub: priv.PubKey(), sign: priv.Sign}, nil
}

// List returns all keys, each coldkey before its hotkeys.
func (r *Keyring) List() ([]*Key, error) {
	records, err := r.ring.List()
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	keys := make([]*Key, 0, len(records))
	for _, record := range records {
		k, err := r.key(record)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b *Key) int {
		return slices.Compare(strings.Split(a.name, "."), strings.Split(b.name, "."))
	})
	return keys, nil
}

// Delete forgets a key for good, or returns [ErrNoKey].
func (r *Keyring) Delete(name string) error {
	if err := r.ring.Delete(name); err != nil {
		return keyError(name, err)
	}
	return nil
}

// Export returns a key encrypted with a passphrase of at least 8 bytes, as
// ASCII armor.
func (r *Keyring) Export(name, passphrase string) (string, error) {
	if len(passphrase) < 8 {
		return "", fmt.Errorf("a passphrase of %d characters is too short: use at least 8", len(passphrase))
	}
	armor, err := r.ring.ExportPrivKeyArmor(name, passphrase)
	if err != nil {
		return "", keyError(name, err)
	}
	return armor, nil
}

// Import adds a key that [Keyring.Export] wrote, or returns [ErrKeyExists].
func (r *Keyring) Import(name, armor, passphrase string) (*Key, error) {
	if err := r.free(name); err != nil {
		return nil, err
	}
	if err := r.ring.ImportPrivKey(name, armor, passphrase); err != nil {
		return nil, keyError(name, err)
	}
	return r.Key(name)
}

// key returns record as a Key that signs through the keyring, so that secrets
// stay where the backend keeps them.
func (r *Keyring) key(record *keyring.Record) (*Key, error) {
	pub, err := record.GetPubKey()
	if err != nil {
		return nil, keyError(record.Name, err)
	}
	sign := func(doc []byte) ([]byte, error) {
		sig, _, err := r.ring.Sign(record.Name, doc, direct)
		return sig, err
	}
	return &Key{name: record.Name, pub: pub, sign: sign}, nil
}

// names are what a key may be called: they become file names.
var names = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}(\.[a-zA-Z0-9_-]{1,64})?$`)

// free tells whether a new key may take that name.
func (r *Keyring) free(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("key name %q: use letters, digits, - and _, as in alice or, for a hotkey of hers, alice.miner", name)
	}
	switch _, err := r.Key(name); {
	case err == nil:
		return fmt.Errorf("%w: %s; delete it first, or choose another name", ErrKeyExists, name)
	case errors.Is(err, ErrNoKey):
		return nil
	default:
		return err
	}
}

// keyError tells in this package's words what the keyring said.
func keyError(name string, err error) error {
	switch {
	case errors.Is(err, sdkerrors.ErrKeyNotFound):
		return fmt.Errorf("%w: %s", ErrNoKey, name)
	case errors.Is(err, keyring.ErrDuplicatedAddress):
		return fmt.Errorf("%w: %s is already there under another name", ErrKeyExists, name)
	default:
		return fmt.Errorf("key %s: %w", name, err)
	}
}
