package hub

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/plexus-network/plexus/engine/shelf"
)

// A Name says which file is wanted. It is either a URL, or a Repo and in it a
// File, or a Quant that tells which of the repository's files, or neither,
// which is the only one.
type Name struct {
	Repo     string // "org/name"
	Revision string // branch, tag or commit; empty means main
	File     string // path in the repository, "q8/model-Q8_0.gguf"
	Quant    string // quantisation as in the file's name, "Q8_0"
	URL      string // of the file, wherever that is
}

// maxNameLen bounds the bytes of a name as it is written.
const maxNameLen = 1024

// What names may look like. A hub's own rules are narrower.
var (
	repoForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	revisionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)
	quantForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	elementForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9 ._+()\[\]=,-]{0,199}$`)
)

// forms tells how a name is written.
const forms = "write org/repo/file.gguf, org/repo:Q8_0, org/repo or https://…, the first three with @revision behind if it is not main"

// Parse reads a name as people write it:
//
//	org/repo/file.gguf     a file of a repository
//	org/repo:Q8_0          the one of its files with that quantisation
//	org/repo               its only file
//	org/repo:Q8_0@v1.0     a branch, tag or commit other than main
//	https://host/m.gguf    a file anywhere
func Parse(s string) (Name, error) {
	if len(s) > maxNameLen {
		return Name{}, fmt.Errorf("the name has %d bytes, at most %d are allowed", len(s), maxNameLen)
	}
	n := Name{}
	if strings.Contains(s, "://") {
		n.URL = s
		return n, n.check()
	}
	rest, revision, pinned := strings.Cut(s, "@")
	if pinned && revision == "" {
		return Name{}, fmt.Errorf("%q names no revision behind the @: %s", s, forms)
	}
	n.Revision = revision
	if repo, quant, ok := strings.Cut(rest, ":"); ok {
		if quant == "" {
			return Name{}, fmt.Errorf("%q names no quantisation behind the colon: %s", s, forms)
		}
		n.Repo, n.Quant = repo, quant
		return n, n.check()
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 {
		return Name{}, fmt.Errorf("%q names no repository: %s", s, forms)
	}
	n.Repo = parts[0] + "/" + parts[1]
	if len(parts) == 3 {
		n.File = parts[2]
		if n.File == "" {
			return Name{}, fmt.Errorf("%q names no file behind the slash: %s", s, forms)
		}
	}
	return n, n.check()
}

// String writes the name as Parse reads it.
func (n Name) String() string {
	s := n.Repo
	switch {
	case n.URL != "":
		return n.URL
	case n.File != "":
		s += "/" + n.File
	case n.Quant != "":
		s += ":" + n.Quant
	}
	if n.Revision != "" {
		s += "@" + n.Revision
	}
	return s
}

// check tells what is wrong with a name, before it becomes part of a URL and
// of a path on this machine.
func (n Name) check() error {
	if n.URL != "" {
		_, err := fileOfURL(n.URL)
		return err
	}
	switch {
	case !repoForm.MatchString(n.Repo) || strings.Contains(n.Repo, ".."):
		return fmt.Errorf("%.200q is no repository, which is org/name: %s", n.Repo, forms)
	case n.Revision != "" && (!revisionForm.MatchString(n.Revision) || strings.Contains(n.Revision, "..") || strings.Contains(n.Revision, "//")):
		return fmt.Errorf("%.200q is no revision: name a branch, a tag or a commit", n.Revision)
	case n.File != "" && n.Quant != "":
		return fmt.Errorf("both the file %s and the quantisation %s are named: one is enough", n.File, n.Quant)
	case n.Quant != "" && !quantForm.MatchString(n.Quant):
		return fmt.Errorf("%.200q is no quantisation, which is as in Q8_0", n.Quant)
	case n.File != "":
		return checkFile(n.File)
	}
	return nil
}

// checkFile tells whether a path in a repository is one of a model file.
func checkFile(file string) error {
	for element := range strings.SplitSeq(file, "/") {
		if !elementForm.MatchString(element) || strings.Contains(element, "..") {
			return fmt.Errorf("%.200q is no path of a file in a repository", file)
		}
	}
	if !strings.HasSuffix(strings.ToLower(file), shelf.Suffix) {
		return fmt.Errorf("%.200q is no model file: its name must end in %s", file, shelf.Suffix)
	}
	return nil
}

// fileOfURL returns the name of the file that a URL leads to.
func fileOfURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%.200q is no URL: %w", s, err)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("the URL begins with %.20q, https is wanted", u.Scheme)
	case u.Host == "":
		return "", fmt.Errorf("the URL %.200q names no host", s)
	case u.User != nil:
		return "", fmt.Errorf("the URL of %s holds a user or password: put a token into the environment variable HF_TOKEN instead", u.Host)
	}
	file := path.Base(u.Path)
	if err := checkFile(file); err != nil {
		return "", fmt.Errorf("URL: %w", err)
	}
	return file, nil
}
